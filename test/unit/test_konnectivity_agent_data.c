/* test/unit/test_konnectivity_agent_data.c — the home side of an agent: bytes both ways, in pieces that take
 * turns, within their credit; near halves are played. Who holds up whom: test_konnectivity_agent_flow.c.
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

/* -- data ---------------------------------------------------------------------------------------------------
 */

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    struct near *n = near_open(1, 100000);
    near_say(n, "hello", 5);
    assert_true(agent_heard(PACKET_DATA));
    assert_int_equal(home.said.connect_id, 1);
    assert_int_equal(home.data.len, 5);
    assert_memory_equal(home.data.bytes, "hello", 5);
    assert_int_equal(n->returned, 5);
    agent_put_data(1, "wor", 3);
    agent_put_data(1, "ld", 2);
    agent_flush();
    assert_int_equal(n->got.len, 5);
    assert_memory_equal(n->got.bytes, "world", 5);
    assert_int_equal(n->pieces, 1); /* put together */
}

static void nothing_comes_beyond_the_credit(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1000);
    agent_say_data(1, 20000);
    assert_int_equal(n->got.len, 1000);
    near_credit(n, 5000);
    assert_int_equal(n->got.len, 6000);
    near_credit(n, 50000);
    assert_int_equal(n->got.len, 20000);
}

static void large_data_goes_in_pieces_that_take_turns(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    struct near *a = near_open(1, 0), *b = near_open(2, 0);
    rig.pipe->stalled = true;
    near_say(a, bytes, sizeof(bytes));
    near_say(a, bytes, sizeof(bytes));
    near_say(b, bytes, sizeof(bytes));
    near_say(b, bytes, 10);
    struct near *c = near_dial("10.0.0.1:443", 0);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    int64_t order[16];
    uint64_t sums[3] = {0, 0, 0};
    unsigned count = 0, dial_at = 16;
    while (!agent_heard_nothing()) {
        assert_true(count < 16);
        if (agent_heard(PACKET_DIAL_REQ)) {
            dial_at = count;
            continue;
        }
        assert_int_equal(home.said.type, PACKET_DATA);
        assert_true(home.said.data.len <= 32768);
        sums[home.said.connect_id] += home.said.data.len;
        order[count++] = home.said.connect_id;
    }
    assert_int_equal(sums[1], 131072);
    assert_int_equal(sums[2], 65546);
    unsigned turns = 0;
    for (unsigned i = 1; i < count; i++)
        turns += order[i] != order[i - 1];
    assert_true(turns >= 3);
    assert_true(dial_at < count); /* it overtook data */
    assert_int_equal(a->returned, 131072);
    assert_int_equal(b->returned, 65546);
    assert_int_equal(a->untaken + b->untaken + c->untaken, 0);
}

static void an_abort_in_the_middle_of_a_packet_leaves_the_packet_whole(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    struct near *a = near_open(1, 0), *b = near_open(2, 0);
    rig.pipe->stalled = true;
    for (int i = 0; i < 4; i++)
        near_say(a, bytes, sizeof(bytes)); /* more than the connection takes */
    near_say(b, "after", 5);
    near_abort(a);
    assert_true(a->closed);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    bool close_heard = false, data_heard = false;
    while (!agent_heard_nothing()) {
        bool closes = agent_heard(PACKET_CLOSE_REQ);
        close_heard |= closes && home.said.connect_id == 1;
        assert_true(!close_heard || closes || home.said.connect_id != 1); /* nothing of it after that */
        data_heard |= home.said.type == PACKET_DATA && home.said.connect_id == 2;
    }
    assert_true(close_heard && data_heard);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_pass_both_ways),
        T(nothing_comes_beyond_the_credit),
        T(large_data_goes_in_pieces_that_take_turns),
        T(an_abort_in_the_middle_of_a_packet_leaves_the_packet_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
