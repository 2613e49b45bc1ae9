/* test/unit/test_mailbox_overflow.c — messages that do not fit into the ring: in order, soon, and without a
 * sender that spins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "io/engine_sim.h"
#include "io/mailbox.h"
#include "io/worker.h"

enum { MESSAGES = 50, RING = 4 };

struct pair_of_workers {
    struct sim_world *world;
    struct mailboxes *mail;
    struct worker workers[2];
    struct worker *peers[2];
    struct timer post;
    uint64_t posted_ns;
    uint32_t heard;
};

static struct pair_of_workers rig;

static int set_up(void **state)
{
    struct buf_limits limits = {
        {16, 1, 1}
    };
    (void)state;
    rig = (struct pair_of_workers){0};
    assert_int_equal(sim_world_new(1, NULL, &rig.world), 0);
    assert_int_equal(mailboxes_new(2, RING, &rig.mail), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct worker *w = rig.peers[i] = &rig.workers[i];
        assert_int_equal(worker_init(w, i, 2, rig.mail, &limits), 0);
        w->peers = rig.peers;
        assert_int_equal(engine_sim_new(rig.world, w, &w->engine), 0);
        worker_start_clock(w);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        worker_fini(&rig.workers[i]);
    mailboxes_free(&rig.mail);
    sim_world_free(&rig.world);
    return 0;
}

static void hear(struct worker *w, struct msg *msg)
{
    assert_ptr_equal(w, &rig.workers[1]);
    assert_int_equal(msg->value, rig.heard);
    rig.heard++;
}

static uint64_t now(void)
{
    return sim_now_ns(sim_world_net(rig.world));
}

static void post_all(struct timer *t)
{
    (void)t;
    rig.posted_ns = now();
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct msg msg = {.deliver = hear, .value = i};
        mailbox_post(&rig.workers[0], 1, &msg);
    }
}

static bool all_posted(void *arg)
{
    (void)arg;
    return rig.posted_ns > 0;
}

static bool all_heard(void *arg)
{
    (void)arg;
    return rig.heard == MESSAGES;
}

static void post_from_sender(void)
{
    timer_init(&rig.post, post_all);
    worker_arm_ms(&rig.workers[0], &rig.post, 1000);
    assert_true(sim_world_run(rig.world, now() + 3000000000u, all_posted, NULL));
}

static void overflow_wakes_a_receiver_that_slept_again(void **state)
{
    (void)state;
    post_from_sender(); /* the receiver has slept for a second */
    assert_true(sim_world_run(rig.world, now() + 10000000000u, all_heard, NULL));
    /* A retry of the sender moves at most a ring full; no wait may fall back on the bound of a sleep. */
    assert_true(now() - rig.posted_ns < (uint64_t)MESSAGES * 2000000);
}

static void sender_of_overflow_does_not_spin(void **state)
{
    (void)state;
    sim_world_hold(rig.world, &rig.workers[1], 2000000000);
    post_from_sender();
    uint64_t turns = atomic_load(&rig.workers[0].counters.values[COUNTER_turns]);
    sim_world_run(rig.world, rig.posted_ns + 500000000, NULL, NULL);
    assert_true(rig.heard < MESSAGES);
    assert_true(atomic_load(&rig.workers[0].counters.values[COUNTER_turns]) - turns < 2600);
    assert_true(sim_world_run(rig.world, now() + 2000000000, all_heard, NULL));
}

static bool time_to_post;

static void on_time_to_post(struct timer *t)
{
    (void)t;
    time_to_post = true;
}

static void turn_then_post(struct worker *w, uint64_t wait_limit_ns)
{
    worker_turn(w, wait_limit_ns);
    if (time_to_post && rig.posted_ns == 0) {
        struct msg msg = {.deliver = hear};
        rig.posted_ns = now();
        mailbox_post(w, 1, &msg);
    }
}

static bool one_heard(void *arg)
{
    (void)arg;
    return rig.heard == 1;
}

static void what_is_posted_between_turns_wakes_its_receiver(void **state)
{
    (void)state;
    time_to_post = false;
    sim_world_turn_by(&rig.workers[0], turn_then_post);
    timer_init(&rig.post, on_time_to_post);
    worker_arm_ms(&rig.workers[0], &rig.post, 100); /* in the middle of the other's sleep */
    assert_true(sim_world_run(rig.world, now() + 1000000000, one_heard, NULL));
    assert_true(now() - rig.posted_ns < 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(overflow_wakes_a_receiver_that_slept_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_posted_between_turns_wakes_its_receiver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sender_of_overflow_does_not_spin, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("mailbox overflow", tests, NULL, NULL);
}
