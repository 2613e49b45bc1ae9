/* test/unit/test_konnectivity_agent_ends.c — the home side of an agent: ends of connections, from either
 * side, and of the agent itself; near halves are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/support/home_rig.h"

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

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void the_destinations_end_comes_behind_its_bytes(void **state)
{
    (void)state;
    struct near *n = near_open(1, 10);
    agent_put_data(1, "0123456789abcdef", 16);
    agent_put(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    agent_flush();
    assert_int_equal(n->got.len, 10);
    assert_false(n->ended);
    near_credit(n, 100);
    assert_int_equal(n->got.len, 16);
    assert_true(n->ended && n->closed);
    assert_int_equal(n->reason, ENDING_DONE);
    assert_true(agent_heard_nothing());
}

static void a_close_with_words_is_no_end(void **state)
{
    (void)state;
    struct near *n = near_open(1, 10);
    agent_say(
        &(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1, .error = SLICE("Unknown connectID")});
    assert_true(n->closed && !n->ended);
    assert_int_equal(n->reason, ENDING_PEER_RESET);
    assert_string_equal(n->detail, "Unknown connectID");
}

static void an_abort_closes_at_once(void **state)
{
    (void)state;
    struct near *n = near_open(1, 10);
    near_abort(n);
    assert_true(n->closed);
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    assert_int_equal(home.said.connect_id, 1);
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1}); /* twice is normal */
    assert_true(agent_heard_nothing());
    assert_false(home.call->ended);
}

static void a_fin_waits_for_silence(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1 << 20);
    near_say(n, "last words", 10);
    assert_true(agent_heard(PACKET_DATA));
    near_fin(n);
    for (int i = 0; i < 5; i++) {
        home_pass(150);
        assert_true(agent_heard_nothing());
        agent_say_data(1, 100);
    }
    home_pass(150);
    assert_true(agent_heard_nothing());
    home_pass(100);
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    agent_put_data(1, "x", 1); /* under way */
    agent_put(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    agent_flush();
    assert_int_equal(n->got.len, 501);
    assert_true(n->ended && n->closed);
    assert_int_equal(n->reason, ENDING_DONE);
}

static void fins_of_one_moment_go_together(void **state)
{
    (void)state;
    enum { COUNT = 4 };
    struct near *nears[COUNT];
    unsigned heard = 0, moments = 0;
    for (int i = 0; i < COUNT; i++)
        nears[i] = near_open(i + 1, 1 << 20);
    uint64_t first_ns = rig.world.now_ns;
    for (int i = 0; i < COUNT; i++) {
        near_fin(nears[i]);
        home_pass(1);
    }
    uint64_t last_ns = rig.world.now_ns;
    assert_in_range(last_ns - first_ns, COUNT * 1000000u, 25000000u);
    while (heard < COUNT && rig.world.now_ns < last_ns + 250000000u) {
        unsigned before = heard;
        home_pass(1);
        while (agent_heard(PACKET_CLOSE_REQ))
            heard++;
        moments += heard > before;
        assert_true(heard == 0 || rig.world.now_ns - first_ns >= 200000000u);
    }
    assert_int_equal(heard, COUNT);
    assert_in_range(moments, 1, 2);
}

static void a_fin_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1 << 20);
    near_fin(n);
    for (int i = 0; i < 44; i++) {
        home_pass(100);
        agent_say_data(1, 10);
        assert_true(agent_heard_nothing());
    }
    home_pass(600);
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    home_pass(10100);
    assert_true(n->closed);
    assert_int_equal(n->reason, ENDING_DEADLINE);
}

static void a_fin_goes_behind_what_was_sent(void **state)
{
    (void)state;
    static uint8_t bytes[200000];
    struct near *n = near_open(1, 0);
    rig.pipe->stalled = true;
    near_say(n, bytes, 60000);
    near_say(n, bytes, 60000);
    near_say(n, bytes, 60000);
    near_say(n, bytes, 60000);
    near_fin(n);
    home_pass(1000);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    home_pass(250);
    uint64_t sum = 0;
    while (agent_heard(PACKET_DATA))
        sum += home.said.data.len;
    assert_int_equal(sum, 240000);
    assert_int_equal(home.said.type, PACKET_CLOSE_REQ);
    near_abort(n);
    h2_client_turns(3);
    assert_true(agent_heard_nothing()); /* CLOSE_REQ is said once */
}

static void an_agents_end_is_heard_by_all_at_once(void **state)
{
    (void)state;
    struct near *a = near_open(1, 0), *c = near_open(3, 0), *b = near_dial("10.0.0.1:443", 0);
    agent_say_data(3, 4000); /* which cannot be told */
    near_say(a, "x", 1);
    h2_client_say(home.call, "", 0, true);
    h2_client_turns(4);
    assert_int_equal(a->reason, ENDING_AGENT_LOST);
    assert_int_equal(b->reason, ENDING_AGENT_LOST);
    assert_int_equal(c->reason, ENDING_AGENT_LOST);
    assert_string_equal(home.call->trailers, "grpc-status=0;");
    assert_true(home.call->ended);
    assert_int_equal(home_known(), 0);
}

static void a_lost_connection_is_an_end(void **state)
{
    (void)state;
    struct near *a = near_open(1, 0), *b = near_dial("10.0.0.1:443", 0);
    pipe_reset(rig.pipe);
    world_turns(&rig.world, 2);
    assert_true(a->closed && b->closed);
    assert_int_equal(a->reason, ENDING_AGENT_LOST);
    assert_int_equal(home_known(), 0);
}

static void a_reset_stream_is_an_end(void **state)
{
    (void)state;
    struct near *a = near_open(1, 0);
    h2_client_reset(home.call, NGHTTP2_CANCEL);
    h2_client_turns(3);
    assert_true(a->closed);
    assert_int_equal(a->reason, ENDING_AGENT_LOST);
}

static void a_drain_ends_the_stream_in_peace(void **state)
{
    (void)state;
    front_drain(front_rig_conn());
    h2_client_turns(4);
    assert_string_equal(home.call->trailers, "grpc-status=0;");
    assert_int_equal(home_known(), 0);
    home_pass(8000);
    assert_null(front_rig_conn()); /* whether the agent leaves or not */
}

static void drain_marks_the_card(void **state)
{
    (void)state;
    assert_false(home.card->draining);
    agent_say_bytes("\0\0\0\0\4\x08\x06\x42\0", 9);
    assert_true(home.card->draining);
    near_open(1, 0); /* and nothing else */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_destinations_end_comes_behind_its_bytes),
        T(a_close_with_words_is_no_end),
        T(an_abort_closes_at_once),
        T(a_fin_waits_for_silence),
        T(fins_of_one_moment_go_together),
        T(a_fin_does_not_wait_for_ever),
        T(a_fin_goes_behind_what_was_sent),
        T(an_agents_end_is_heard_by_all_at_once),
        T(a_lost_connection_is_an_end),
        T(a_reset_stream_is_an_end),
        T(a_drain_ends_the_stream_in_peace),
        T(drain_marks_the_card),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
