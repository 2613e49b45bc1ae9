/* test/unit/test_konnectivity_agent_flow.c — how much an agent may send: whose bytes are kept from its
 * window, who is cut for holding too much, and how the window grows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "test/support/home_rig.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

static int setup(void **state)
{
    (void)state;
    home_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    home_rig_stop();
    return 0;
}

static int32_t window(void)
{
    return nghttp2_session_get_stream_remote_window_size(h2_client.session, home.call->id);
}

static int32_t connection_window(void)
{
    return nghttp2_session_get_remote_window_size(h2_client.session);
}

static uint64_t held(void)
{
    const struct agent_call *a = home.card->call;
    uint64_t sum = 0;
    list_each_safe(node, tmp, (struct list *)&a->conns)
        sum += list_entry(node, struct agent_conn, node)->held.bytes;
    return sum;
}

/* More than the window lets go; the rest waits in the agent. */
static void flood(int64_t id, uint32_t len)
{
    static uint8_t bytes[4096];
    for (uint32_t at = 0; at < len; at += sizeof(bytes))
        agent_put_data(id, bytes, sizeof(bytes));
    agent_flush();
    h2_client_turns(20);
}

static bool agent_is_stopped(void)
{
    return home.call->upload_sent < home.call->upload_len;
}

/* -- credit -------------------------------------------------------------------------------------------------
 */

static void windows_are_large_from_the_start(void **state)
{
    (void)state;
    assert_int_equal(window(), MIB);
    assert_int_equal(connection_window(), 16 * MIB);
}

static void what_is_taken_is_given_back(void **state)
{
    (void)state;
    struct near *n = near_open(1, 64 * MIB);
    for (int i = 0; i < 8; i++)
        flood(1, MIB);
    assert_false(agent_is_stopped());
    assert_int_equal(n->got.len, 8 * MIB);
    assert_true(window() >= MIB / 2);
    assert_true(connection_window() >= 8 * MIB);
}

static void a_budget_is_given_back_unread(void **state)
{
    (void)state;
    for (int64_t id = 1; id <= 8; id++) { /* two windows, in budgets */
        near_open(id, 0);
        flood(id, 256 * KIB);
        assert_false(agent_is_stopped());
    }
    assert_int_equal(held(), 2 * MIB);
    assert_true(window() >= MIB / 2);
}

/* -- back pressure ------------------------------------------------------------------------------------------
 */

static void a_reader_alone_stops_its_agent(void **state)
{
    (void)state;
    struct near *n = near_open(1, 0);
    home_pass(1100);
    flood(1, 3 * MIB);
    assert_true(agent_is_stopped());
    assert_true(held() <= MIB + 256 * KIB);
    assert_true(held() >= MIB);
    assert_true(connection_window() >= 8 * MIB); /* the connection's is never kept */
    near_credit(n, 64 * MIB);
    h2_client_turns(60);
    assert_int_equal(n->got.len, 3 * MIB);
    assert_false(n->closed);
}

static void a_window_that_is_shut_leaks(void **state)
{
    (void)state;
    struct near *n = near_open(1, 0);
    home_pass(1100);
    flood(1, 3 * MIB);
    uint64_t before = held();
    home_pass(1000);
    uint64_t leaked = held() - before;
    assert_true(leaked >= 15 * 16 * KIB && leaked <= 21 * 16 * KIB);
    assert_false(n->closed);
}

static void a_reader_alone_is_waited_for(void **state)
{
    (void)state;
    rig.config.agents.connection_bytes_max = 2 * MIB;
    struct near *n = near_open(1, 0);
    home_pass(1100);
    flood(1, 3 * MIB + 512 * KIB);
    home_pass(70000);
    assert_false(n->closed);
    assert_true(held() <= 2 * MIB + 16 * KIB); /* no leak beyond */
    assert_true(agent_is_stopped());
    near_credit(n, 64 * MIB);
    h2_client_turns(100);
    assert_int_equal(n->got.len, 3 * MIB + 512 * KIB);
}

/* -- others -------------------------------------------------------------------------------------------------
 */

static void others_open_the_window(void **state)
{
    (void)state;
    struct near *slow = near_open(1, 0), *other = near_open(2, MIB);
    home_pass(1100);
    flood(1, 2 * MIB);
    assert_true(agent_is_stopped());
    near_say(other, "x", 1); /* it asks for something */
    home_pass(50);
    assert_false(agent_is_stopped());
    assert_int_equal(held(), 2 * MIB);
    assert_false(slow->closed);
    agent_say_data(2, 1000);
    assert_int_equal(other->got.len, 1000);
}

static void others_show_themselves_through_the_leak(void **state)
{
    (void)state;
    struct near *slow = near_open(1, 0), *other = near_open(2, MIB);
    static uint8_t bytes[4096];
    home_pass(1100);
    for (uint32_t at = 0; at < MIB + 320 * KIB; at += sizeof(bytes))
        agent_put_data(1, bytes, sizeof(bytes));
    agent_put_data(2, "behind", 6);
    agent_flush();
    h2_client_turns(20);
    assert_int_equal(other->got.len, 0);
    home_pass(600);
    assert_int_equal(other->got.len, 6);
    assert_false(agent_is_stopped());
    assert_false(slow->closed);
}

static void who_holds_too_much_and_stands_still_is_cut_for_others(void **state)
{
    (void)state;
    rig.config.agents.connection_bytes_max = 2 * MIB;
    struct near *slow = near_open(1, 0), *other = near_open(2, MIB);
    near_say(other, "x", 1);
    flood(1, 2 * MIB + 8 * KIB);
    home_pass(800);
    assert_true(slow->closed);
    assert_int_equal(slow->reason, ENDING_SLOW_READER);
    assert_non_null(strstr(slow->detail, "connectionBytesMax"));
    assert_int_equal(held(), 0);
    assert_false(other->closed);
    assert_true(agent_heard(PACKET_DATA));
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    assert_int_equal(home.said.connect_id, 1);
}

/* As a client does that stops reading: what its sockets have room for has gone before. */
static void who_took_much_and_stands_still_is_cut_no_later(void **state)
{
    (void)state;
    rig.config.agents.connection_bytes_max = 2 * MIB;
    struct near *slow = near_open(1, 0), *other = near_open(2, MIB);
    home_pass(1100);
    flood(1, MIB);
    near_credit(slow, 800 * KIB);
    flood(1, MIB);
    home_pass(300);
    assert_int_equal(slow->got.len, 800 * KIB);
    near_say(other, "x", 1);
    flood(1, MIB);
    flood(1, MIB);
    home_pass(50);
    assert_true(slow->closed);
    assert_int_equal(slow->reason, ENDING_SLOW_READER);
    assert_false(agent_is_stopped());
}

static void who_holds_too_much_and_moves_has_back_pressure(void **state)
{
    (void)state;
    rig.config.agents.connection_bytes_max = MIB;
    struct near *slow = near_open(1, 0), *other = near_open(2, 64 * MIB);
    near_say(other, "x", 1);
    static uint8_t bytes[4096];
    for (uint32_t at = 0; at < 4 * MIB; at += sizeof(bytes))
        agent_put_data(1, bytes, sizeof(bytes));
    agent_flush();
    for (unsigned i = 0; slow->got.len < 4 * MIB; i++) {
        assert_true(i < 200);
        assert_false(slow->closed);
        assert_true(held() <= MIB + home.card->call->call.window + 256 * KIB); /* the limit, and a window */
        near_credit(slow, 64 * KIB);
        if (i % 10 == 0)
            near_say(other, "x", 1);
        home_pass(50);
    }
    assert_int_equal(slow->got.len, 4 * MIB);
    assert_false(slow->closed);
}

static void who_was_here_is_no_other(void **state)
{
    (void)state;
    rig.config.agents.connection_bytes_max = MIB;
    struct near *n = near_open(1, 0), *gone = near_open(2, MIB);
    near_say(gone, "x", 1);
    near_abort(gone);
    flood(1, 3 * MIB);
    home_pass(900);
    assert_false(n->closed);
    assert_true(agent_is_stopped());
}

static void who_held_too_much_alone_is_cut_when_others_come(void **state)
{
    (void)state;
    rig.config.agents.connection_bytes_max = 2 * MIB;
    struct near *slow = near_open(1, 0);
    home_pass(1100);
    flood(1, 3 * MIB + 512 * KIB);
    home_pass(10000);
    assert_false(slow->closed);
    struct near *other = near_dial("10.0.0.1:443", MIB);
    home_pass(600);
    assert_true(slow->closed);
    assert_false(other->closed);
    assert_false(agent_is_stopped()); /* what still comes of it is thrown away */
}

static void who_takes_nothing_for_long_is_cut_for_others(void **state)
{
    (void)state;
    struct near *slow = near_open(1, 0), *little = near_open(2, 0), *busy = near_open(3, 64 * MIB);
    flood(1, MIB);
    flood(2, 256 * KIB);
    for (int i = 0; i < 85; i++) {
        agent_say_data(3, 4096);
        home_pass(100);
    }
    assert_false(slow->closed);
    for (int i = 0; i < 20; i++) {
        agent_say_data(3, 4096);
        home_pass(100);
    }
    assert_true(slow->closed);
    assert_int_equal(slow->reason, ENDING_SLOW_READER);
    assert_non_null(strstr(slow->detail, "patienceMs"));
    assert_false(little->closed); /* within its budget */
    assert_false(busy->closed);
}

static void who_takes_a_little_is_not_cut(void **state)
{
    (void)state;
    struct near *slow = near_open(1, 0), *busy = near_open(2, 64 * MIB);
    flood(1, MIB);
    for (int i = 0; i < 150; i++) {
        agent_say_data(2, 4096);
        home_pass(100);
        if (i % 50 == 0)
            near_credit(slow, 100);
    }
    assert_false(slow->closed);
    assert_false(busy->closed);
}

/* -- growing ------------------------------------------------------------------------------------------------
 */

/* A path of 20 turns there and back: the window is the limit. */
static void a_window_that_is_the_limit_grows(void **state)
{
    (void)state;
    struct near *n = near_open(1, 64 * MIB);
    static uint8_t bytes[16384];
    const struct agent_call *a = home.card->call;
    uint32_t first = a->call.window;
    for (int i = 0; i < 24 && a->call.window == first; i++) {
        for (int k = 0; k < 224; k++)
            agent_put_data(1, bytes, sizeof(bytes));
        h2_client_say(home.call, home.upload, home.upload_len, false);
        home.upload_len = 0;
        while (agent_is_stopped()) { /* all that the window allows comes at once, and nothing for a while */
            h2_client_turn();
            h2_client.reads_nothing = true;
            h2_client_turns(60);
            h2_client.reads_nothing = false;
        }
    }
    assert_true(a->call.window >= 2 * first);
    assert_int_equal(nghttp2_session_get_stream_effective_local_window_size(front_rig_conn()->http2->session,
                                                                            home.call->id),
                     a->call.window);
    assert_false(n->closed);
}

static void a_window_that_is_no_limit_stays(void **state)
{
    (void)state;
    near_open(1, 64 * MIB);
    const struct agent_call *a = home.card->call;
    for (int i = 0; i < 200; i++) {
        agent_say_data(1, 100 * KIB);
        home_pass(10);
    }
    assert_int_equal(a->call.window, MIB);
}

/* -- hostile ------------------------------------------------------------------------------------------------
 */

static void tiny_packets_do_not_pin_a_buffer_each(void **state)
{
    (void)state;
    near_open(1, 0);
    for (int i = 0; i < 400; i++) {
        agent_put_data(1, "x", 1);
        agent_flush();
    }
    assert_int_equal(held(), 400);
    assert_true(world_buffers_used(&rig.world) < 10);
}

/* -- idle connections ---------------------------------------------------------------------------------------
 */

static void what_a_small_message_came_in_is_let_go(void **state)
{
    (void)state;
    struct near *n = near_open(1, MIB);
    unsigned before = world_buffers_used(&rig.world);
    for (int i = 0; i < 3; i++) {
        agent_say_data(1, 100);
        home_pass(1);
        assert_int_equal(n->got.len, 100 * (i + 1));
        assert_int_equal(world_buffers_used(&rig.world), before);
    }
}

static void what_much_came_in_is_let_go_after_a_moment(void **state)
{
    (void)state;
    struct near *n = near_open(1, MIB);
    unsigned before = world_buffers_used(&rig.world);
    agent_say_data(1, 12000);
    home_pass(1);
    assert_int_equal(n->got.len, 12000);
    assert_int_equal(world_buffers_used(&rig.world), before + 1);
    home_pass(1100);
    assert_int_equal(world_buffers_used(&rig.world), before);
}

static void what_somebody_holds_a_part_of_is_kept_until_it_is_let_go(void **state)
{
    (void)state;
    unsigned before = world_buffers_used(&rig.world);
    struct near *n = near_open(1, 150);
    for (int i = 0; i < 20; i++) {
        agent_say_data(1, 100);
        home_pass(60);
    }
    assert_int_equal(held(), 1850);
    assert_int_equal(world_buffers_used(&rig.world), before + 1);
    near_credit(n, 1850);
    home_pass(1100);
    assert_int_equal(n->got.len, 2000);
    assert_int_equal(world_buffers_used(&rig.world), before);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(windows_are_large_from_the_start),
        T(what_is_taken_is_given_back),
        T(a_budget_is_given_back_unread),
        T(a_reader_alone_stops_its_agent),
        T(a_window_that_is_shut_leaks),
        T(a_reader_alone_is_waited_for),
        T(others_open_the_window),
        T(others_show_themselves_through_the_leak),
        T(who_holds_too_much_and_stands_still_is_cut_for_others),
        T(who_took_much_and_stands_still_is_cut_no_later),
        T(who_holds_too_much_and_moves_has_back_pressure),
        T(who_was_here_is_no_other),
        T(who_held_too_much_alone_is_cut_when_others_come),
        T(who_takes_nothing_for_long_is_cut_for_others),
        T(who_takes_a_little_is_not_cut),
        T(a_window_that_is_the_limit_grows),
        T(a_window_that_is_no_limit_stays),
        T(tiny_packets_do_not_pin_a_buffer_each),
        T(what_a_small_message_came_in_is_let_go),
        T(what_much_came_in_is_let_go_after_a_moment),
        T(what_somebody_holds_a_part_of_is_kept_until_it_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
