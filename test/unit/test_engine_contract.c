/* test/unit/test_engine_contract.c — what every engine promises (io/engine.h, io/stream.h), checked on each
 * of them by test/support/engine_rig.h. How connections end is test_engine_endings.c's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/support/engine_rig.h"

enum { BULK = 3000000, CROWD = 100 /* more than are expected at once */ };

/* -- the promises -------------------------------------------------------------------------------------------
 */

static void bytes_arrive_once_and_in_order_both_ways(struct engine_rig *r)
{
    struct two t = two_join(r);
    t.a->to_send = t.b->to_send = BULK / 4;
    t.a->regrant = t.b->regrant = 50000;
    node_grant(t.a, 50000);
    node_grant(t.b, 50000);
    node_pump(t.a);
    node_pump(t.b);
    assert_true(engine_rig_spin(r, two_received, &t));
    two_part(r, t);
}

static void what_is_sent_before_open_arrives(struct engine_rig *r)
{
    struct two t = {node_new(r, 0, 1, 2), node_new(r, 1, 2, 1)};
    engine_rig_listen(r);
    r->next_accepted = t.b;
    t.b->regrant = 1000;
    node_dial(t.a);
    t.a->to_send = 5000;
    t.a->piece = 777;
    t.a->finish_after = true;
    node_pump(t.a);
    assert_true(engine_rig_spin(r, node_is_ended, t.b) || !t.b->stream);
    assert_int_equal(t.b->received, 5000);
    assert_int_equal(t.b->ended, 1);
    two_part(r, t);
}

static void without_credit_nothing_is_delivered(struct engine_rig *r)
{
    struct two t = two_join(r);
    t.a->to_send = 20000;
    t.a->finish_after = true;
    node_pump(t.a);
    engine_rig_spin_ms(r, 50);
    assert_int_equal(t.b->received, 0);
    assert_int_equal(t.b->ended, 0);
    node_grant(t.b, 1);
    engine_rig_spin_ms(r, 50);
    assert_int_equal(t.b->received, 1);
    t.b->regrant = 13;
    node_grant(t.b, 13);
    assert_true(engine_rig_spin(r, node_is_ended, t.b));
    assert_int_equal(t.b->received, 20000);
    two_part(r, t);
}

static void stopped_reader_stops_its_sender(struct engine_rig *r)
{
    struct two t = two_join(r);
    t.a->to_send = 10 * BULK;
    node_pump(t.a);
    engine_rig_spin_ms(r, 200);
    uint64_t stuck_at = t.a->returned;
    assert_true(t.a->returned < t.a->to_send);
    engine_rig_spin_ms(r, 100);
    assert_int_equal(t.a->returned, stuck_at);
    t.a->to_send = t.a->sent + 1;
    t.b->regrant = 60000;
    node_grant(t.b, 60000);
    node_pump(t.a);
    assert_true(engine_rig_spin(r, two_a_is_home, &t));
    two_part(r, t);
}

static void idle_connection_with_one_credit_tells_the_end(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.a, 1);
    node_finish(t.b);
    assert_true(engine_rig_spin(r, node_is_ended, t.a));
    assert_int_equal(t.a->closed, 0);
    assert_int_equal(t.a->received, 0);
    two_part(r, t);
}

static void a_crowd_that_comes_at_once_is_served(struct engine_rig *r)
{
    struct two crowd[CROWD];
    for (int i = 0; i < CROWD; i++)
        crowd[i] = two_join(r);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++) {
            crowd[i].a->to_send += 1000;
            node_pump(crowd[i].a);
        }
        for (int i = 0; i < CROWD; i++)
            node_grant(crowd[i].b, 1000);
        for (int i = 0; i < CROWD; i++)
            assert_true(engine_rig_spin(r, two_received, &crowd[i]));
    }
    for (int i = 0; i < CROWD; i++)
        two_part(r, crowd[i]);
}

static void directions_end_one_by_one(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.b, 10);
    node_finish(t.a);
    assert_true(engine_rig_spin(r, node_is_ended, t.b));
    t.b->to_send = 100000;
    t.b->finish_after = true;
    t.a->regrant = 9000;
    node_grant(t.a, 9000);
    node_pump(t.b);
    assert_true(engine_rig_spin(r, two_closed, &t));
    assert_int_equal(t.a->received, 100000);
    assert_int_equal(t.a->ended, 1);
    assert_int_equal(t.b->ended, 1);
    assert_int_equal(t.b->returned, 100000);
    assert_int_equal(t.a->reason, ENDING_DONE);
    assert_int_equal(t.b->reason, ENDING_DONE);
    two_part(r, t);
}

static void both_may_finish_at_once(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.a, 1);
    node_grant(t.b, 1);
    node_finish(t.a);
    node_finish(t.b);
    assert_true(engine_rig_spin(r, two_closed, &t));
    assert_int_equal(t.a->reason, ENDING_DONE);
    assert_int_equal(t.b->reason, ENDING_DONE);
    two_part(r, t);
}

static void reset_is_closed_and_never_end(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.b, 100);
    node_abort(t.a, ENDING_DEADLINE);
    assert_true(engine_rig_spin(r, two_closed, &t));
    assert_int_equal(t.a->reason, ENDING_DEADLINE);
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    assert_int_equal(t.a->ended + t.b->ended, 0);
    two_part(r, t);
}

static void abort_is_idempotent_and_first_reason_counts(struct engine_rig *r)
{
    struct two t = two_join(r);
    t.a->to_send = BULK;
    node_pump(t.a);
    engine_rig_turn(r);
    node_abort(t.a, ENDING_DEADLINE);
    node_abort(t.a, ENDING_CANCELLED);
    node_finish(t.a);
    assert_int_equal(t.a->closed, 0);
    assert_true(engine_rig_spin(r, node_is_closed, t.a));
    assert_int_equal(t.a->reason, ENDING_DEADLINE);
    node_abort(t.a, ENDING_CANCELLED); /* after closed: harmless until freed */
    two_part(r, t);
}

static void abort_in_an_event_is_the_last_but_closed(struct engine_rig *r)
{
    struct two t = two_join(r);
    t.b->abort_on_data = true;
    t.a->to_send = BULK;
    node_grant(t.b, BULK);
    node_grant(t.a, 1);
    node_pump(t.a);
    assert_true(engine_rig_spin(r, two_closed, &t));
    assert_int_equal(t.b->reason, ENDING_SLOW_READER);
    assert_int_equal(t.a->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

static void abort_while_dialling_never_opens(struct engine_rig *r)
{
    struct node *n = node_new(r, 0, 1, 2);
    engine_rig_listen(r);
    node_dial(n);
    node_send(n, 100);
    node_abort(n, ENDING_CONNECT_TIMEOUT);
    assert_true(engine_rig_spin(r, node_is_closed, n));
    assert_int_equal(n->opened, 0);
    assert_int_equal(n->reason, ENDING_CONNECT_TIMEOUT);
    node_free(n);
}

static void abort_at_any_moment_loses_no_segment(struct engine_rig *r)
{
    for (int moment = 0; moment < 25; moment++) {
        struct two t = two_join(r);
        t.a->to_send = t.b->to_send = BULK;
        t.a->regrant = t.b->regrant = 20000;
        node_grant(t.a, 20000);
        node_grant(t.b, 20000);
        node_pump(t.a);
        node_pump(t.b);
        engine_rig_spin_ms(r, moment / 2);
        node_abort(moment % 2 ? t.a : t.b, ENDING_CANCELLED);
        two_part(r, t); /* engine_rig_free() finds what is missing */
    }
}

static void nobody_listens_is_refused(struct engine_rig *r)
{
    struct node *n = node_new(r, 0, 1, 2);
    node_dial(n);
    node_send(n, 10);
    assert_true(engine_rig_spin(r, node_is_closed, n));
    assert_int_equal(n->opened, 0);
    assert_int_equal(n->reason, ENDING_REFUSED);
    node_free(n);
}

static void refused_handle_ends_the_dialler(struct engine_rig *r)
{
    struct node *n = node_new(r, 0, 1, 2);
    engine_rig_listen(r);
    r->refusing = true;
    node_dial(n);
    node_grant(n, 1);
    assert_true(engine_rig_spin(r, node_is_ended, n));
    assert_int_equal(r->accepted, 1);
    if (!n->closed)
        node_abort(n, ENDING_CANCELLED);
    assert_true(engine_rig_spin(r, node_is_closed, n));
    node_free(n);
}

static void after_unlisten_nobody_is_accepted(struct engine_rig *r)
{
    engine_rig_listen(r);
    engine_rig_spin_ms(r, 2);
    r->listener.engine->ops->unlisten(&r->listener);
    r->listening = false;
    engine_rig_spin_ms(r, 2);
    struct node *n = node_new(r, 0, 1, 2);
    node_dial(n);
    assert_true(engine_rig_spin(r, node_is_closed, n));
    assert_int_equal(n->reason, ENDING_REFUSED);
    node_free(n);
}

static void used_address_is_not_given_twice(struct engine_rig *r)
{
    struct listen_options o = {.address = r->address, .backlog = 64};
    struct listener second = {.owner = r, .accepted = engine_rig_accepted};
    struct engine *e = r->workers[0].engine;
    engine_rig_listen(r);
    engine_rig_spin_ms(r, 2);
    assert_int_equal(e->ops->listen(e, &second, &o), -EADDRINUSE);
}

static void handle_is_adopted_on_either_worker(struct engine_rig *r)
{
    for (unsigned on = 0; on < RIG_WORKERS; on++) {
        r->adopt_on = on;
        struct two t = two_join(r);
        assert_ptr_equal(t.b->stream->worker, &r->workers[on]);
        t.a->to_send = t.b->to_send = 100000;
        t.a->regrant = t.b->regrant = 4000;
        node_grant(t.a, 4000);
        node_grant(t.b, 4000);
        node_pump(t.a);
        node_pump(t.b);
        assert_true(engine_rig_spin(r, two_received, &t));
        two_part(r, t);
    }
}

static bool b_and_tags(void *arg)
{
    struct two *t = arg;
    return t->b->ended && t->a->tag_back == t->a->next_tag;
}

static void empty_segments_come_back_in_their_turn(struct engine_rig *r)
{
    struct two t = two_join(r);
    t.b->regrant = 1000;
    node_grant(t.b, 1000);
    static const uint32_t lens[] = {0, 10, 0, 0, 4000, 0};
    for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
        node_send(t.a, lens[i]);
    node_finish(t.a);
    assert_true(engine_rig_spin(r, b_and_tags, &t));
    assert_int_equal(t.b->received, 4010);
    two_part(r, t);
}

static void sent_after_finish_is_released(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.b, 1000);
    node_send(t.a, 100);
    node_finish(t.a);
    node_send(t.a, 100);
    assert_true(engine_rig_spin(r, node_is_ended, t.b));
    engine_rig_spin_ms(r, 20);
    assert_int_equal(t.b->received, 100);
    assert_int_equal(t.a->tag_back, 1);
    two_part(r, t);
}

static void answer_before_a_reset_of_our_sending_is_still_read(struct engine_rig *r)
{
    /* The peer answers, ends its direction and stops reading: what it said must not be lost to our failing
     * sends. */
    struct two t = two_join(r);
    node_grant(t.a, 100000);
    t.b->to_send = 3000;
    t.b->finish_after = true;
    node_pump(t.b);
    t.a->to_send = 10 * BULK;
    node_pump(t.a);
    assert_true(engine_rig_spin(r, node_is_ended, t.a));
    assert_int_equal(t.a->received, 3000);
    two_part(r, t);
}

static bool watch_fired;
static void on_ready(struct watch *w, bool readable, bool writable)
{
    (void)writable;
    assert_int_equal(node_calling, 0);
    assert_ptr_equal(w->owner, engine_rig_current);
    assert_true(readable);
    watch_fired = true;
}

static bool has_fired(void *arg)
{
    (void)arg;
    return watch_fired;
}

static void watch_tells_readiness_once_or_is_not_supported(struct engine_rig *r)
{
    int fds[2];
    struct watch w = {.owner = r, .ready = on_ready};
    struct engine *e = r->workers[0].engine;
    assert_int_equal(pipe(fds), 0);
    watch_fired = false;
    int rc = e->ops->watch(e, &w, fds[0], true, false);
    if (rc != -ENOTSUP) {
        assert_int_equal(rc, 0);
        engine_rig_spin_ms(r, 5);
        assert_false(watch_fired);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_true(engine_rig_spin(r, has_fired, NULL));
        watch_fired = false;
        engine_rig_spin_ms(r, 5);
        assert_false(watch_fired);
        assert_int_equal(e->ops->watch(e, &w, fds[0], true, false), 0);
        e->ops->unwatch(&w);
        engine_rig_spin_ms(r, 5);
        assert_false(watch_fired);
    }
    close(fds[0]);
    close(fds[1]);
}

/* -- threads: only where workers really sleep
 * ---------------------------------------------------------------- */

enum { SLEEP_NS = 1000000000 };

static _Atomic uint64_t posted_ns, heard_ns;

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void hear(struct worker *w, struct msg *msg)
{
    (void)msg;
    atomic_store(&heard_ns, monotonic_ns());
    worker_stop_any_thread(w);
}

static void sleep_and_listen(struct worker *w)
{
    while (!atomic_load(&w->stop))
        worker_turn(w, w->now_ns + SLEEP_NS);
}

static void post_when_sent(struct stream *s, struct seg seg)
{
    struct node *n = s->owner;
    struct msg msg = {.deliver = hear};
    worker_release_seg(n->worker, seg);
    atomic_store(&posted_ns, monotonic_ns());
    mailbox_post(n->worker, 1, &msg);
}

static void mail_posted_by_sent_does_not_wait_out_a_sleep(struct engine_rig *r)
{
    if (!r->uring)
        return;
    static struct stream_events events;
    events = node_events;
    events.sent = post_when_sent;
    struct node *a = node_new(r, 0, 1, 2);
    struct worker *w = &r->workers[0];
    struct net_address elsewhere = r->address;
    struct listen_options o = {.address = r->address, .backlog = 1};
    net_address_set_port(&elsewhere, (uint16_t)(net_address_port(&r->address) + 10000));
    o.address = elsewhere;
    r->listener = (struct listener){.owner = r, .accepted = engine_rig_accepted};
    r->adopt_on = 0;
    struct node *b = r->next_accepted = node_new(r, 0, 2, 1);
    /* All of it on worker 0, so that worker 1 can be a thread that does nothing but sleep. */
    assert_int_equal(w->engine->ops->listen(w->engine, &r->listener, &o), 0);
    r->listening = true;
    r->address = elsewhere;
    node_dial(a);
    stream_bind(a->stream, &events, a);
    assert_int_equal(worker_start_thread(&r->workers[1], -1, sleep_and_listen), 0);
    for (int i = 0; i < 200; i++) /* until worker 1 sleeps and the connection is open */
        worker_turn(w, monotonic_ns() + 1000000);
    assert_int_equal(a->opened, 1);
    node_send(a, 1);
    worker_turn(w, monotonic_ns() + SLEEP_NS);
    pthread_join(r->workers[1].thread, NULL);
    assert_true(heard_ns - posted_ns < SLEEP_NS / 4);
    stream_abort(a->stream, ENDING_CANCELLED);
    stream_abort(b->stream, ENDING_CANCELLED);
    while (!a->closed || !b->closed)
        worker_turn(w, monotonic_ns() + 1000000);
    node_free(a);
    node_free(b);
}

/* -- runner -------------------------------------------------------------------------------------------------
 */

#define PROMISES(X)                                                                                          \
    X(bytes_arrive_once_and_in_order_both_ways)                                                              \
    X(what_is_sent_before_open_arrives)                                                                      \
    X(without_credit_nothing_is_delivered)                                                                   \
    X(stopped_reader_stops_its_sender)                                                                       \
    X(idle_connection_with_one_credit_tells_the_end)                                                         \
    X(a_crowd_that_comes_at_once_is_served)                                                                  \
    X(directions_end_one_by_one)                                                                             \
    X(both_may_finish_at_once)                                                                               \
    X(reset_is_closed_and_never_end)                                                                         \
    X(abort_is_idempotent_and_first_reason_counts)                                                           \
    X(abort_in_an_event_is_the_last_but_closed)                                                              \
    X(abort_while_dialling_never_opens)                                                                      \
    X(abort_at_any_moment_loses_no_segment)                                                                  \
    X(nobody_listens_is_refused)                                                                             \
    X(refused_handle_ends_the_dialler)                                                                       \
    X(after_unlisten_nobody_is_accepted)                                                                     \
    X(used_address_is_not_given_twice)                                                                       \
    X(handle_is_adopted_on_either_worker)                                                                    \
    X(empty_segments_come_back_in_their_turn)                                                                \
    X(sent_after_finish_is_released)                                                                         \
    X(answer_before_a_reset_of_our_sending_is_still_read)                                                    \
    X(watch_tells_readiness_once_or_is_not_supported)                                                        \
    X(mail_posted_by_sent_does_not_wait_out_a_sleep)

PROMISES(ENGINE_PROMISE)

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(promise) cmocka_unit_test(sim_##promise), cmocka_unit_test(uring_##promise),
        PROMISES(X)
#undef X
    };
    return cmocka_run_group_tests_name("engine contract", tests, NULL, NULL);
}
