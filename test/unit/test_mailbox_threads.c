/* test/unit/test_mailbox_threads.c — two workers on two threads: millions of messages, no wake lost.
 *
 * Both phases wait without the product's safety net (WORKER_WAIT_MAX_MS): a lost wake shows as a wait that
 * was sat out to its end. Run under ThreadSanitizer too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "io/worker.h"
#include "test/support/poll_engine.h"

enum { FLOOD = 1000000, WINDOW = 5000, BATCH_MAX = 1200, RALLY = 30000, ENTRIES = 256 };

static const uint64_t patience_ns = 20000000000u;

struct side {
    _Alignas(CACHE_LINE) struct worker worker;
    uint64_t to_send, to_receive;
    uint64_t sent, received;
    uint64_t acknowledged; /* of ours, by the other */
    uint64_t lost_wakes;
};

static struct side sides[2];
static struct worker *const peers[2] = {&sides[0].worker, &sides[1].worker};

static struct side *side_of(struct worker *w)
{
    return container_of(w, struct side, worker);
}

static void post(struct side *s, void (*deliver)(struct worker *, struct msg *))
{
    unsigned to = 1 - s->worker.number;
    struct msg msg = {
        .deliver = deliver, .to = &sides[to], .extra = {s->sent++, s->received}
    };
    mailbox_post(&s->worker, to, &msg);
}

static void turn(struct side *s)
{
    uint64_t limit = s->worker.now_ns + patience_ns;
    worker_turn(&s->worker, limit);
    if (s->worker.now_ns >= limit)
        s->lost_wakes++;
}

static bool is_done(const struct side *s)
{
    return s->sent == s->to_send && s->received == s->to_receive && !mailbox_has_mail(&s->worker) &&
           !mailbox_is_overflowing(&s->worker);
}

static void receive(struct worker *w, struct msg *msg)
{
    struct side *s = side_of(w);
    ASSERT(msg->to == s);
    ASSERT(msg->extra[0] == s->received); /* in order, none lost, none twice */
    ASSERT(msg->extra[1] >= s->acknowledged);
    s->received++;
    s->acknowledged = msg->extra[1];
}

static void acknowledge(struct worker *w, struct msg *msg)
{
    side_of(w)->acknowledged = msg->extra[0];
}

/* Bursts larger than the ring, as far as the window allows; asleep when it is used up. */
static void flood_main(struct worker *w)
{
    struct side *s = side_of(w);
    uint64_t told = 0; /* what the other knows we received */
    while (!is_done(s)) {
        uint64_t burst = 1 + worker_random(w) % BATCH_MAX;
        for (; burst > 0 && s->sent < s->to_send && s->sent - s->acknowledged < WINDOW; burst--) {
            told = s->received;
            post(s, receive);
        }
        if (s->received - told >= WINDOW / 2) { /* own window used up, or nothing left to send */
            told = s->received;
            mailbox_post(w, 1 - w->number, &(struct msg){.deliver = acknowledge, .extra = {told}});
        }
        if (burst == 0 || (s->sent == s->to_send && s->received == s->to_receive))
            worker_turn(w, 0); /* more to send, or nothing more to wait for */
        else
            turn(s);
    }
}

static void rally(struct worker *w, struct msg *msg)
{
    receive(w, msg);
    struct side *s = side_of(w);
    if (s->sent < s->to_send)
        post(s, rally);
}

/* One ball: each stroke finds the other asleep, or just about to be. */
static void rally_main(struct worker *w)
{
    struct side *s = side_of(w);
    if (w->number == 0)
        post(s, rally);
    while (!is_done(s)) {
        if (worker_random(w) % 4 == 0)
            worker_turn(w, 0); /* now and then only look */
        else
            turn(s);
    }
}

static void play(uint64_t messages, void (*main)(struct worker *))
{
    static const struct buf_limits limits = {
        {1, 1, 1}
    };
    struct mailboxes *mail;
    assert_int_equal(mailboxes_new(2, ENTRIES, &mail), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &sides[i];
        s->to_send = s->to_receive = messages;
        s->sent = s->received = s->acknowledged = s->lost_wakes = 0;
        assert_int_equal(worker_init(&s->worker, i, 2, mail, &limits), 0);
        assert_int_equal(poll_engine_new(&s->worker, &s->worker.engine), 0);
        s->worker.peers = peers;
        worker_start_clock(&s->worker);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(worker_start_thread(&sides[i].worker, -1, main), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(sides[i].worker.thread, NULL);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(sides[i].sent, messages);
        assert_int_equal(sides[i].received, messages);
        assert_int_equal(sides[i].lost_wakes, 0);
        print_message("worker %u: %llu wakes given, %llu overflows, %llu turns\n", i,
                      (unsigned long long)sides[i].worker.counters.values[COUNTER_mailbox_wakes],
                      (unsigned long long)sides[i].worker.counters.values[COUNTER_mailbox_overflows],
                      (unsigned long long)sides[i].worker.counters.values[COUNTER_turns]);
        worker_fini(&sides[i].worker);
    }
    mailboxes_free(&mail);
}

static void a_flood_both_ways_arrives_in_order(void **state)
{
    (void)state;
    play(FLOOD, flood_main);
}

static void a_rally_loses_no_wake(void **state)
{
    (void)state;
    play(RALLY, rally_main);
}

static void idle_main(struct worker *w)
{
    worker_run(w);
}

static void a_worker_stops_when_told_from_another_thread(void **state)
{
    (void)state;
    static const struct buf_limits limits = {
        {1, 1, 1}
    };
    struct mailboxes *mail;
    struct worker *w = &sides[0].worker;
    assert_int_equal(mailboxes_new(2, ENTRIES, &mail), 0);
    assert_int_equal(worker_init(w, 0, 2, mail, &limits), 0);
    assert_int_equal(poll_engine_new(w, &w->engine), 0);
    w->peers = peers;
    worker_start_clock(w);
    assert_int_equal(worker_start_thread(w, -1, idle_main), 0);
    worker_stop_any_thread(w); /* seen after WORKER_WAIT_MAX_MS at the latest */
    pthread_join(w->thread, NULL);
    worker_fini(w);
    mailboxes_free(&mail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_both_ways_arrives_in_order),
        cmocka_unit_test(a_rally_loses_no_wake),
        cmocka_unit_test(a_worker_stops_when_told_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
