/* test/unit/test_front_idle.c — what a client's connection keeps while nothing moves: no buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/support/front_rig.h"

static const char get_request[] = "GET http://10.0.0.1/ HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n";
static const char connect_request[] = "CONNECT 10.0.0.1:10250 HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n";

static void turns(int n)
{
    while (n-- > 0)
        world_turn(&rig.world);
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

static struct played *ask(const char *request, size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece) {
        pipe_give(rig.pipe, request + at, len - at < piece ? len - at : piece);
        turns(3);
    }
    assert_int_equal(rig.asked, 1);
    return &rig.played[0];
}

static void who_waits_for_an_answer_keeps_none(void **state)
{
    (void)state;
    ask(get_request, sizeof(get_request) - 1, sizeof(get_request));
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void who_asked_in_pieces_keeps_none(void **state)
{
    (void)state;
    ask(get_request, sizeof(get_request) - 1, 7);
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void who_waits_for_a_tunnel_keeps_none(void **state)
{
    (void)state;
    ask(connect_request, sizeof(connect_request) - 1, sizeof(connect_request));
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void a_tunnel_that_was_used_keeps_none(void **state)
{
    (void)state;
    struct played *p = ask(connect_request, sizeof(connect_request) - 1, sizeof(connect_request));
    char got[100];
    play_connected(p);
    turns(1);
    pipe_give(rig.pipe, "hi", 2);
    turns(2);
    play_data(p, "hello", 5, false);
    turns(2);
    assert_int_equal(front_rig_conn()->state, FRONT_TUNNEL);
    pipe_take(rig.pipe, got, sizeof(got));
    play_grant(p, 2);
    turns(2);
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(who_waits_for_an_answer_keeps_none),
        TEST(who_asked_in_pieces_keeps_none),
        TEST(who_waits_for_a_tunnel_keeps_none),
        TEST(a_tunnel_that_was_used_keeps_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
