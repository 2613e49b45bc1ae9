/* test/unit/test_mailbox.c — mailboxes and the worker's turn: several workers in one thread. */
#include "io/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "io/engine.h"
#include "io/worker.h"
#include "test/support/poll_engine.h"

enum { WORKERS = 3, ENTRIES = 16 };

static struct mailboxes *mail;
static struct worker workers[WORKERS];
static struct worker *peers[WORKERS];

/* What a worker received from each other one: numbers must come without gap or repetition. */
static struct {
    uint64_t next[WORKERS];
    unsigned total;
} inbox[WORKERS];
static uint64_t posted[WORKERS][WORKERS];

static int setup(void **state)
{
    (void)state;
    static const struct buf_limits limits = {
        {64, 4, 1}
    };
    memset(inbox, 0, sizeof(inbox));
    memset(posted, 0, sizeof(posted));
    assert_int_equal(mailboxes_new(WORKERS, ENTRIES, &mail), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(worker_init(&workers[i], i, WORKERS, mail, &limits), 0);
        assert_int_equal(poll_engine_new(&workers[i], &workers[i].engine), 0);
        peers[i] = &workers[i];
        workers[i].peers = peers;
        worker_start_clock(&workers[i]);
        for (unsigned n = 0; n < 4; n++)
            workers[i].random_state[n] = i * 4 + n + 1; /* the same posts in every run */
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; i++)
        worker_fini(&workers[i]);
    mailboxes_free(&mail);
    return 0;
}

static void receive(struct worker *w, struct msg *msg)
{
    unsigned from = msg->kind;
    assert_ptr_equal(msg->to, &inbox[w->number]);
    assert_int_equal(msg->extra[0], inbox[w->number].next[from]);
    inbox[w->number].next[from]++;
    inbox[w->number].total++;
}

static void post(unsigned from, unsigned to, bool lazily)
{
    struct msg msg = {.deliver = receive, .to = &inbox[to], .kind = from, .extra = {posted[from][to]++}};
    if (lazily)
        mailbox_post_lazy(&workers[from], to, &msg);
    else
        mailbox_post(&workers[from], to, &msg);
}

static uint64_t count_of(unsigned worker, enum counter c)
{
    return atomic_load(&workers[worker].counters.values[c]);
}

static void messages_arrive_in_order_per_pair(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        for (unsigned from = 0; from < WORKERS; from++)
            for (unsigned to = 0; to < WORKERS; to++)
                post(from, to, i & 1);
    for (unsigned w = 0; w < WORKERS; w++) {
        assert_int_equal(mailbox_depth(&workers[w]), 30);
        worker_turn(&workers[w], 0);
        assert_int_equal(inbox[w].total, 30);
        assert_int_equal(mailbox_depth(&workers[w]), 0);
        assert_false(mailbox_has_mail(&workers[w]));
    }
}

static void what_does_not_fit_is_kept_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++)
        post(0, 1, false);
    assert_true(count_of(0, COUNTER_mailbox_overflows) >= 5000 - ENTRIES);
    assert_true(mailbox_is_overflowing(&workers[0])); /* so its sender does not sleep for long */
    unsigned turns = 0;
    while (inbox[1].total < 5000) {
        worker_turn(&workers[0], 0);
        worker_turn(&workers[1], 0);
        if (turns++ % 7 == 0)
            post(0, 1, turns & 1); /* a later one may not overtake */
        assert_true(turns < 1000);
    }
    while (inbox[1].total < posted[0][1]) {
        worker_turn(&workers[0], 0);
        worker_turn(&workers[1], 0);
    }
    assert_false(mailbox_has_mail(&workers[0]) || mailbox_is_overflowing(&workers[0]));
    assert_false(mailbox_has_mail(&workers[1]) || mailbox_is_overflowing(&workers[1]));
}

static void random_posts_and_turns_keep_order(void **state)
{
    (void)state;
    for (int step = 0; step < 20000; step++) {
        uint64_t r = worker_random(&workers[0]);
        unsigned from = r % WORKERS, to = r / 8 % WORKERS;
        for (uint64_t n = r / 64 % 32; n > 0; n--)
            post(from, to, r & 1u << 20);
        worker_turn(&workers[r / 4096 % WORKERS], 0);
    }
    bool mail_left = true;
    while (mail_left) {
        for (unsigned w = 0; w < WORKERS; w++)
            worker_turn(&workers[w], 0);
        mail_left = false;
        for (unsigned w = 0; w < WORKERS; w++)
            mail_left |= mailbox_has_mail(&workers[w]) || mailbox_is_overflowing(&workers[w]);
    }
    for (unsigned from = 0; from < WORKERS; from++)
        for (unsigned to = 0; to < WORKERS; to++)
            assert_int_equal(inbox[to].next[from], posted[from][to]);
}

/* As if the worker were inside its wait. */
static void fall_asleep(unsigned w)
{
    assert_true(mailbox_prepare_sleep(&workers[w]));
}

static uint64_t wakes_seen(unsigned w)
{
    workers[w].engine->ops->turn(workers[w].engine, 0);
    return poll_engine_wakes(workers[w].engine);
}

static void a_sleeper_is_woken_once_and_others_never(void **state)
{
    (void)state;
    post(0, 1, false);
    mailbox_flush(&workers[0]);
    assert_int_equal(wakes_seen(1), 0); /* awake */
    mailbox_drain(&workers[1]);
    fall_asleep(1);
    fall_asleep(2);
    post(0, 1, false);
    post(0, 1, false);
    assert_int_equal(wakes_seen(1), 0); /* only at the end of the turn */
    mailbox_flush(&workers[0]);
    post(0, 1, false);
    mailbox_flush(&workers[0]);
    assert_int_equal(wakes_seen(1), 1);
    assert_int_equal(wakes_seen(2), 0);
    assert_int_equal(count_of(0, COUNTER_mailbox_wakes), 1);
    mailbox_awake(&workers[1]);
    mailbox_awake(&workers[2]);
}

static void two_senders_wake_once(void **state)
{
    (void)state;
    fall_asleep(2);
    post(0, 2, false);
    post(1, 2, false);
    mailbox_flush(&workers[0]);
    mailbox_flush(&workers[1]);
    assert_int_equal(wakes_seen(2), 1);
    mailbox_awake(&workers[2]);
}

static void lazy_messages_wake_nobody(void **state)
{
    (void)state;
    fall_asleep(1);
    post(0, 1, true);
    mailbox_flush(&workers[0]);
    assert_int_equal(wakes_seen(1), 0);
    mailbox_awake(&workers[1]);
    worker_turn(&workers[1], 0);
    assert_int_equal(inbox[1].total, 1);
}

static void nobody_falls_asleep_over_mail(void **state)
{
    (void)state;
    post(0, 1, true);
    assert_false(mailbox_prepare_sleep(&workers[1]));
    mailbox_flush(&workers[0]);
    assert_int_equal(wakes_seen(1), 0); /* it is not asleep */
    post(2, 2, false);                  /* to itself */
    assert_false(mailbox_prepare_sleep(&workers[2]));
}

static void overflow_that_moves_later_wakes_the_sleeper(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * ENTRIES; i++)
        post(0, 1, false);
    mailbox_flush(&workers[0]); /* the ring stays full; everybody was awake */
    while (mailbox_drain(&workers[1]) > 0)
        ;
    assert_int_equal(inbox[1].total, ENTRIES - 1);
    fall_asleep(1); /* the rest is still with the sender */
    mailbox_flush(&workers[0]);
    assert_int_equal(wakes_seen(1), 1);
    mailbox_awake(&workers[1]);
    while (mailbox_drain(&workers[1]) > 0)
        mailbox_flush(&workers[0]);
    assert_int_equal(inbox[1].total, 2 * ENTRIES);
}

static void mail_posted_between_turns_is_announced_before_sleep(void **state)
{
    (void)state;
    fall_asleep(1);
    post(0, 1, false); /* by the owner's own loop, not from within a turn */
    fall_asleep(0);
    assert_int_equal(wakes_seen(1), 1);
    mailbox_awake(&workers[0]);
    mailbox_awake(&workers[1]);
}

static void a_drain_is_bounded_and_the_worker_goes_on(void **state)
{
    (void)state;
    mailboxes_free(&mail);
    assert_int_equal(mailboxes_new(WORKERS, 1024, &mail), 0);
    for (unsigned w = 0; w < WORKERS; w++)
        workers[w].mail = mail;
    for (int i = 0; i < 1000; i++)
        post(0, 1, false);
    assert_true(mailbox_drain(&workers[1]) < 1000);
    assert_false(mailbox_prepare_sleep(&workers[1]));
    for (int i = 0; i < 10; i++)
        worker_turn(&workers[1], 0);
    assert_int_equal(inbox[1].total, 1000);
}

static void lent_segments_go_home(void **state)
{
    (void)state;
    struct buf *b = buf_get(&workers[0].bufs, BUF_SMALL);
    struct seg near = seg_of(b, b->mem, 5), far = seg_of(b, b->mem + 5, 5);
    buf_unref(b);
    worker_release_seg(&workers[0], near); /* at home: at once */
    assert_int_equal(b->refs, 1);
    worker_release_seg(&workers[1], far);
    assert_int_equal(workers[0].bufs.classes[BUF_SMALL].used, 1);
    worker_turn(&workers[1], 0);
    worker_turn(&workers[0], 0);
    assert_int_equal(workers[0].bufs.classes[BUF_SMALL].used, 0);
}

static struct {
    struct task task;
    unsigned runs, again;
} job;

static void run_job(struct task *t)
{
    job.runs++;
    if (job.again > 0) {
        job.again--;
        worker_defer(&workers[0], t);
    }
}

static void a_deferred_task_runs_once_and_later(void **state)
{
    (void)state;
    task_init(&job.task, run_job);
    job.runs = job.again = 0;
    worker_defer(&workers[0], &job.task);
    worker_defer(&workers[0], &job.task);
    assert_int_equal(job.runs, 0);
    worker_turn(&workers[0], workers[0].now_ns + 10000000000u); /* does not sleep over a task */
    assert_int_equal(job.runs, 1);
    worker_defer(&workers[0], &job.task);
    task_cancel(&job.task);
    task_cancel(&job.task);
    worker_turn(&workers[0], 0);
    assert_int_equal(job.runs, 1);
}

static void a_task_that_defers_itself_cannot_hold_the_turn(void **state)
{
    (void)state;
    task_init(&job.task, run_job);
    job.runs = 0;
    job.again = 1000;
    worker_defer(&workers[0], &job.task);
    worker_turn(&workers[0], 0);
    assert_in_range(job.runs, 1, 100);
    while (job.again > 0)
        worker_turn(&workers[0], workers[0].now_ns + 10000000000u); /* nor is it slept over */
    assert_int_equal(job.runs, 1001);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(messages_arrive_in_order_per_pair),
        TEST(what_does_not_fit_is_kept_in_order),
        TEST(random_posts_and_turns_keep_order),
        TEST(a_sleeper_is_woken_once_and_others_never),
        TEST(two_senders_wake_once),
        TEST(lazy_messages_wake_nobody),
        TEST(nobody_falls_asleep_over_mail),
        TEST(overflow_that_moves_later_wakes_the_sleeper),
        TEST(mail_posted_between_turns_is_announced_before_sleep),
        TEST(a_drain_is_bounded_and_the_worker_goes_on),
        TEST(lent_segments_go_home),
        TEST(a_deferred_task_runs_once_and_later),
        TEST(a_task_that_defers_itself_cannot_hold_the_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
