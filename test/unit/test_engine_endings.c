/* test/unit/test_engine_endings.c — how connections end, on every engine: a peer that is lost is told whether
 * anybody reads or not, and neither a reset nor a FIN passes for the other. */
#include <linux/filter.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/filter.h>
#include <netinet/tcp.h>

#include "io/engine_uring.h"
#include "test/support/engine_rig.h"

enum {
    FEW = 400, /* bytes that fit every window, and arrive while nobody reads */
    ARRIVED_MS = 40,
    LONG_MS = 800 /* longer than a loss takes to be told */
};

/* a sends, b does not read. */
static struct two with_unread_bytes(struct engine_rig *r)
{
    struct two t = two_join(r);
    t.a->to_send = FEW;
    node_pump(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    return t;
}

static void reset_is_told_although_nobody_reads(struct engine_rig *r)
{
    struct two t = two_join(r);
    engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(t.b->closed, 0);
    node_abort(t.a, ENDING_CANCELLED);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

static void reset_is_told_behind_unread_bytes(struct engine_rig *r)
{
    struct two t = with_unread_bytes(r);
    node_abort(t.a, ENDING_CANCELLED);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    assert_int_equal(t.b->received, 0);
    assert_int_equal(t.b->ended, 0);
    two_part(r, t);
}

static void reset_is_told_to_a_reader_that_stopped(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.b, FEW / 2);
    t.a->to_send = FEW;
    node_pump(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    assert_int_equal(t.b->received, FEW / 2);
    node_abort(t.a, ENDING_CANCELLED);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

static void reader_that_moves_gets_what_came_before_a_reset(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.b, 10);
    t.a->to_send = FEW;
    node_pump(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_abort(t.a, ENDING_CANCELLED);
    for (int i = 0; i < FEW && !t.b->closed; i += 10) {
        engine_rig_spin_ms(r, 10);
        if (!t.b->closed)
            node_grant(t.b, 10);
    }
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    assert_int_equal(t.b->ended, 0);
    if (r->uring) /* the simulated kernel may lose what was under way */
        assert_int_equal(t.b->received, FEW);
    two_part(r, t);
}

static void fin_behind_unread_bytes_is_neither_end_nor_reset(struct engine_rig *r)
{
    struct two t = with_unread_bytes(r);
    node_finish(t.a);
    engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(t.b->ended, 0);
    assert_int_equal(t.b->closed, 0);
    node_grant(t.b, FEW + 1);
    assert_true(engine_rig_spin(r, node_is_ended, t.b));
    assert_int_equal(t.b->received, FEW);
    assert_int_equal(t.b->ended, 1);
    engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(t.b->closed, 0); /* it may be waiting for what we have to say */
    t.b->to_send = FEW;
    t.b->finish_after = true;
    node_grant(t.a, FEW + 1);
    node_pump(t.b);
    assert_true(engine_rig_spin(r, two_closed, &t));
    assert_int_equal(t.a->received, FEW);
    assert_int_equal(t.a->reason, ENDING_DONE);
    assert_int_equal(t.b->reason, ENDING_DONE);
    two_part(r, t);
}

static void reset_behind_a_fin_takes_nothing_away(struct engine_rig *r)
{
    struct two t = with_unread_bytes(r);
    node_finish(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_abort(t.a, ENDING_CANCELLED);
    engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(t.b->closed, 0);
    assert_int_equal(t.b->ended, 0);
    node_grant(t.b, FEW + 1);
    assert_true(engine_rig_spin(r, node_is_closed, t.b)); /* that it is gone is told after what it said */
    assert_int_equal(t.b->received, FEW);
    assert_int_equal(t.b->ended, 1);
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

static void what_a_peer_left_is_not_kept_for_ever(struct engine_rig *r)
{
    if (r->uring) /* not at the real clock's pace */
        return;
    struct two t = with_unread_bytes(r);
    node_finish(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_abort(t.a, ENDING_CANCELLED);
    for (int ms = 0; ms < STREAM_LEFT_MS - LONG_MS; ms += LONG_MS)
        engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(t.b->closed, 0);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

static void peer_that_resets_after_its_end_is_told(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.b, 1);
    node_finish(t.a);
    assert_true(engine_rig_spin(r, node_is_ended, t.b));
    engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(t.b->closed, 0);
    node_abort(t.a, ENDING_CANCELLED);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

static void send_that_fails_ends_a_stream_nobody_reads(struct engine_rig *r)
{
    struct two t = with_unread_bytes(r);
    node_finish(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_abort(t.a, ENDING_CANCELLED);
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_send(t.b, FEW);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    assert_int_equal(t.b->ended, 0);
    two_part(r, t);
}

static void failed_send_is_told_after_the_end_and_never_as_done(struct engine_rig *r)
{
    struct two t = with_unread_bytes(r);
    node_finish(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_abort(t.a, ENDING_CANCELLED);
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_send(t.b, FEW);
    node_finish(t.b);
    node_grant(t.b, FEW + 1);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->received, FEW);
    assert_int_equal(t.b->ended, 1);
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

static void reset_frees_a_sender_whose_bytes_are_queued(struct engine_rig *r)
{
    for (int reads = 0; reads < 2; reads++) {
        struct two t = two_join(r);
        t.a->to_send = UINT32_MAX;
        if (reads)
            node_grant(t.a, 1);
        node_pump(t.a);
        engine_rig_spin_ms(r, 200);
        assert_int_equal(t.a->closed, 0);
        node_abort(t.b, ENDING_CANCELLED);
        assert_true(engine_rig_spin(r, node_is_closed, t.a));
        assert_int_equal(t.a->reason, ENDING_PEER_RESET);
        assert_int_equal(t.a->ended, 0);
        two_part(r, t);
    }
}

static void second_to_finish_says_so_too(struct engine_rig *r)
{
    struct two t = two_join(r);
    node_grant(t.a, 1);
    node_grant(t.b, 1);
    node_finish(t.a);
    assert_true(engine_rig_spin(r, node_is_ended, t.b));
    node_send(t.b, 1);
    node_finish(t.b);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    engine_rig_spin_ms(r, ARRIVED_MS);
    node_grant(t.a, 1);
    assert_true(engine_rig_spin(r, two_closed, &t));
    assert_int_equal(t.a->received, 1);
    assert_int_equal(t.a->reason, ENDING_DONE);
    assert_int_equal(t.b->reason, ENDING_DONE);
    two_part(r, t);
}

/* -- io_uring alone -----------------------------------------------------------------------------------------
 */

static int option_of(const struct node *n, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(SOCKET_OF(n->stream)->fd, level, name, &value, &len), 0);
    return value;
}

static void both_ends_have_the_owner_s_options(struct engine_rig *r)
{
    struct two t = two_join(r);
    const struct node *ends[] = {t.a, t.b};
    assert_int_equal(option_of(t.a, IPPROTO_TCP, TCP_NODELAY), 1);
    engine_rig_spin_ms(r, 1600); /* a dialled one gets the rest when it has lasted */
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option_of(ends[i], SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_KEEPIDLE), 7);
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_KEEPINTVL), 2);
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_KEEPCNT), 3);
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_USER_TIMEOUT), 21000);
    }
    two_part(r, t);
}

/* Nothing that arrives is seen any more: the host has not even a reset to say. */
static void make_silent(const struct node *n)
{
    struct sock_filter nothing = {.code = BPF_RET | BPF_K};
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    assert_int_equal(
        setsockopt(SOCKET_OF(n->stream)->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}

static void silent_peer_is_lost_although_nobody_reads(struct engine_rig *r)
{
    for (unsigned i = 0; i < RIG_WORKERS; i++)
        r->workers[i].engine->sockets = (struct socket_options){.keepalive_ms = 1000,
                                                                .user_timeout_ms = 1500};
    for (int sends = 0; sends < 2; sends++) { /* keepalive finds it out, or bytes that nobody acknowledges */
        struct two t = with_unread_bytes(r);
        make_silent(t.a);
        if (sends)
            node_send(t.b, FEW);
        assert_true(engine_rig_spin(r, node_is_closed, t.b));
        assert_int_equal(t.b->reason, ENDING_PEER_LOST);
        two_part(r, t);
    }
}

static void no_descriptor_is_told_as_such(struct engine_rig *r)
{
    struct rlimit was, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = was;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct node *n = node_new(r, 0, 1, 2);
    node_dial(n);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_true(engine_rig_spin(r, node_is_closed, n));
    assert_int_equal(n->reason, ENDING_DESCRIPTORS);
    node_free(n);
}

static void family_that_is_not_here_is_unreachable(struct engine_rig *r)
{
    struct node *n = node_new(r, 0, 1, 2);
    r->address.sa.sa_family = AF_X25;
    node_dial(n);
    node_send(n, 1);
    assert_true(engine_rig_spin(r, node_is_closed, n));
    assert_int_equal(n->reason, ENDING_UNREACHABLE);
    node_free(n);
}

/* A Unix socket knows no reset, but a peer that is closed takes nothing any more. */
static void closed_unix_peer_is_told_after_its_end(struct engine_rig *r)
{
    char path[100];
    snprintf(path, sizeof(path), "/tmp/hawser-endings-%d.sock", (int)getpid());
    assert_true(net_address_unix(path, &r->address));
    r->unix_mode = 0600;
    struct two t = with_unread_bytes(r);
    node_abort(t.a, ENDING_CANCELLED);
    engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(t.b->closed, 0); /* all it sent is there */
    node_grant(t.b, FEW + 1);
    assert_true(engine_rig_spin(r, node_is_closed, t.b));
    assert_int_equal(t.b->received, FEW);
    assert_int_equal(t.b->ended, 1);
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    two_part(r, t);
}

enum { IMPATIENT_MS = 600, STOPPED_MS = 3000, MUCH = 12 << 20 /* more than both sockets hold */ };

/* a sends much, b does not read: a's kernel probes a closed window. */
static struct two with_a_shut_window(struct engine_rig *r)
{
    r->workers[0].engine->sockets.user_timeout_ms = IMPATIENT_MS;
    struct two t = two_join(r);
    t.a->to_send = MUCH;
    node_pump(t.a);
    engine_rig_spin_ms(r, ARRIVED_MS);
    return t;
}

static void peer_that_takes_nothing_is_waited_for(struct engine_rig *r)
{
    struct two t = with_a_shut_window(r);
    engine_rig_spin_ms(r, STOPPED_MS);
    assert_int_equal(t.a->closed, 0);
    assert_true(SOCKET_OF(t.a->stream)->window_shut);
    assert_true(stream_owed(t.a->stream) > 0);
    node_grant(t.b, MUCH);
    assert_true(engine_rig_spin(r, two_received, &t));
    engine_rig_spin_ms(r, LONG_MS);
    assert_int_equal(stream_owed(t.a->stream), 0);
    assert_int_equal(option_of(t.a, IPPROTO_TCP, TCP_USER_TIMEOUT), IMPATIENT_MS);
    two_part(r, t);
}

static void peer_that_is_lost_behind_its_shut_window_is_told(struct engine_rig *r)
{
    struct two t = with_a_shut_window(r);
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K,
                                          0); /* takes no packet any more, and answers none */
    struct sock_fprog deaf = {1, &nothing};
    assert_int_equal(
        setsockopt(SOCKET_OF(t.b->stream)->fd, SOL_SOCKET, SO_ATTACH_FILTER, &deaf, sizeof(deaf)), 0);
    assert_true(engine_rig_spin(r, node_is_closed, t.a));
    assert_int_equal(t.a->reason, ENDING_PEER_LOST);
    two_part(r, t);
}

/* -- runner -------------------------------------------------------------------------------------------------
 */

#define PROMISES(X)                                                                                          \
    X(reset_is_told_although_nobody_reads)                                                                   \
    X(reset_is_told_behind_unread_bytes)                                                                     \
    X(reset_is_told_to_a_reader_that_stopped)                                                                \
    X(reader_that_moves_gets_what_came_before_a_reset)                                                       \
    X(fin_behind_unread_bytes_is_neither_end_nor_reset)                                                      \
    X(reset_behind_a_fin_takes_nothing_away)                                                                 \
    X(what_a_peer_left_is_not_kept_for_ever)                                                                 \
    X(peer_that_resets_after_its_end_is_told)                                                                \
    X(send_that_fails_ends_a_stream_nobody_reads)                                                            \
    X(failed_send_is_told_after_the_end_and_never_as_done)                                                   \
    X(reset_frees_a_sender_whose_bytes_are_queued)                                                           \
    X(second_to_finish_says_so_too)
#define URING_PROMISES(X)                                                                                    \
    X(both_ends_have_the_owner_s_options)                                                                    \
    X(silent_peer_is_lost_although_nobody_reads)                                                             \
    X(no_descriptor_is_told_as_such)                                                                         \
    X(family_that_is_not_here_is_unreachable)                                                                \
    X(closed_unix_peer_is_told_after_its_end)                                                                \
    X(peer_that_takes_nothing_is_waited_for)                                                                 \
    X(peer_that_is_lost_behind_its_shut_window_is_told)

PROMISES(ENGINE_PROMISE)
URING_PROMISES(ENGINE_PROMISE_URING)

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(promise) cmocka_unit_test(sim_##promise), cmocka_unit_test(uring_##promise),
        PROMISES(X)
#undef X
#define X(promise) cmocka_unit_test(uring_##promise),
            URING_PROMISES(X)
#undef X
    };
    return cmocka_run_group_tests_name("engine endings", tests, NULL, NULL);
}
