/* test/unit/test_front_linger.c — what a client is owed when its connection is over for us: the last bytes,
 * for as long as it goes on taking them, whatever becomes of the destination meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/front_rig.h"

static const char get_request[] =
    "GET http://10.0.0.1/ HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n";
static const char connect_request[] = "CONNECT 10.0.0.1:10250 HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n";
static const char long_response[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

static void turns(int n)
{
    while (n-- > 0)
        world_turn(&rig.world);
}

static void advance(unsigned s)
{
    rig.world.now_ns += s * 1000000000ull;
    turns(2);
}

static int start(void **state)
{
    (void)state;
    front_rig_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    front_rig_stop();
    return 0;
}

static struct played *ask(const char *request, size_t len)
{
    pipe_give(rig.pipe, request, len);
    turns(3);
    assert_int_equal(rig.asked, 1);
    return &rig.played[0];
}

/* The last answer has left for the kernel, which has a part of it still. */
static void with_the_last_answer_under_way(void)
{
    struct played *p = ask(get_request, sizeof(get_request) - 1);
    rig.pipe->under_way = 1000;
    play_head(p, response);
    play_data(p, "hello", 5, true);
    turns(2);
    assert_int_equal(p->end, PLAYED_COMPLETE);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
    assert_true(rig.pipe->owner_finished);
}

/* The destination has sent something and ended its direction; the client does not read. */
static struct played *with_a_tunnel_s_end_under_way(void)
{
    struct played *p = ask(connect_request, sizeof(connect_request) - 1);
    play_connected(p);
    turns(1);
    pipe_give(rig.pipe, "hi", 2);
    turns(2);
    assert_int_equal(front_rig_conn()->state, FRONT_TUNNEL);
    rig.pipe->stalled = true;
    play_data(p, "hello", 5, false);
    play_fin(p);
    turns(2);
    return p;
}

static void a_client_may_be_slow_to_take_its_last_bytes(void **state)
{
    (void)state;
    with_the_last_answer_under_way();
    for (int i = 0; i < 5; i++) { /* it takes some, and pauses */
        for (int j = 0; j < 5; j++)
            advance(10);
        assert_non_null(front_rig_conn());
        rig.pipe->under_way -= 200;
    }
    advance(3); /* it has them; only its own end is missing */
    assert_null(front_rig_conn());
}

static void a_client_that_takes_nothing_more_is_cut(void **state)
{
    (void)state;
    with_the_last_answer_under_way();
    advance(3);
    advance(58);
    assert_non_null(front_rig_conn());
    advance(3);
    assert_null(front_rig_conn());
}

static void a_lost_destination_takes_nothing_from_who_reads_slowly(void **state)
{
    (void)state;
    struct played *p = with_a_tunnel_s_end_under_way();
    play_reset(p, ENDING_PEER_RESET);
    turns(2);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
    advance(50);
    assert_non_null(front_rig_conn());
    rig.pipe->stalled = false;
    turns(2);
    char got[100] = {0};
    size_t len = pipe_take(rig.pipe, got, sizeof(got) - 1);
    assert_true(len > 5);
    assert_string_equal(got + len - 5, "hello");
    assert_true(rig.pipe->owner_finished);
    advance(3);
    assert_null(front_rig_conn());
}

static void a_lost_destination_is_told_at_once_to_who_has_all(void **state)
{
    (void)state;
    struct played *p = with_a_tunnel_s_end_under_way();
    rig.pipe->stalled = false;
    turns(2);
    play_reset(p, ENDING_PEER_RESET);
    turns(2);
    assert_null(front_rig_conn());
}

static void a_destination_lost_before_its_end_is_told_at_once(void **state)
{
    (void)state;
    struct played *p = ask(connect_request, sizeof(connect_request) - 1);
    play_connected(p);
    turns(1);
    pipe_give(rig.pipe, "hi", 2);
    turns(2);
    rig.pipe->stalled = true;
    play_data(p, "hello", 5, false);
    play_reset(p, ENDING_PEER_RESET);
    turns(2);
    assert_null(front_rig_conn());
}

/* The client has ended its direction and reads nothing; the answer is in the middle. */
static struct played *half_closed_with_an_answer_under_way(void)
{
    struct played *p = ask(get_request, sizeof(get_request) - 1);
    play_head(p, long_response);
    pipe_end(rig.pipe);
    turns(2);
    rig.pipe->stalled = true;
    play_data(p, "hello", 5, false);
    turns(2);
    assert_int_equal(front_rig_conn()->state, FRONT_EXCHANGE);
    return p;
}

static void who_has_ended_may_be_slow_in_the_middle_of_an_answer(void **state)
{
    (void)state;
    struct played *p = half_closed_with_an_answer_under_way();
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 5; j++)
            advance(11);
        assert_non_null(front_rig_conn());
        rig.pipe->stalled = false;
        turns(2);
        rig.pipe->stalled = true;
        play_data(p, "hello", 5, false); /* no more and no less waits than before */
        turns(2);
    }
    assert_int_equal(p->end, PLAYED_RUNS);
}

static void who_has_ended_and_takes_nothing_in_the_middle_of_an_answer_is_cut(void **state)
{
    (void)state;
    struct played *p = half_closed_with_an_answer_under_way();
    for (int i = 0; i < 5; i++)
        advance(11);
    assert_non_null(front_rig_conn());
    advance(11);
    advance(11);
    assert_null(front_rig_conn());
    assert_int_equal(p->end, PLAYED_GONE);
    assert_int_equal(p->reason, ENDING_SLOW_READER);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_client_may_be_slow_to_take_its_last_bytes),
        T(a_client_that_takes_nothing_more_is_cut),
        T(a_lost_destination_takes_nothing_from_who_reads_slowly),
        T(a_lost_destination_is_told_at_once_to_who_has_all),
        T(a_destination_lost_before_its_end_is_told_at_once),
        T(who_has_ended_may_be_slow_in_the_middle_of_an_answer),
        T(who_has_ended_and_takes_nothing_in_the_middle_of_an_answer_is_cut),
    };
#undef T
    return cmocka_run_group_tests_name("front linger", tests, NULL, NULL);
}
