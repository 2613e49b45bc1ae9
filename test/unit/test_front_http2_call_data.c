/* test/unit/test_front_http2_call_data.c — bytes of connections in a call of the Proxy service, and back
 * pressure: who is waited for, and who is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "test/support/call_rig.h"

static int setup(void **state)
{
    (void)state;
    call_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    call_rig_stop();
    return 0;
}

/* -- bytes --------------------------------------------------------------------------------------------------
 */

static void the_destination_waits_for_the_client_or_a_moment(void **state)
{
    (void)state;
    int64_t id;
    call_say_dial("10.0.0.1:443", 1);
    struct played *p = call_dialled(0, &id);
    assert_false(p->released);
    call_rig_pass(5);
    assert_false(p->released);
    call_rig_pass(10);
    assert_true(p->released);
    call_say_dial("10.0.0.1:443", 2);
    p = call_dialled(1, &id);
    call_say_data(id, 1);
    assert_true(p->released);
    assert_int_equal(p->received, 1);
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    static const uint32_t sizes[] = {1, 100, 5000, 40000, 100000};
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        call_say_data(id, sizes[i]);
        sum += sizes[i];
        assert_int_equal(p->received, sum);
    }
    play_grant(p, (uint32_t)sum);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint32_t got = 0;
        play_data(p, call_rig.upload, sizes[i], false);
        h2_client_turns(8);
        while (got < sizes[i]) {
            assert_true(call_heard(PACKET_DATA));
            assert_true(call_rig.said.connect_id == id);
            assert_true(call_rig.said.data.len > 0 && call_rig.said.data.len <= PROXY_DATA_MAX);
            got += call_rig.said.data.len;
        }
        assert_int_equal(got, sizes[i]);
    }
    assert_int_equal(p->credited, sum);
}

static void small_pieces_are_put_together(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    for (int i = 0; i < 100; i++)
        play_data(p, call_rig.upload, 300, false);
    h2_client_turns(6);
    assert_true(call_heard(PACKET_DATA));
    assert_int_equal(call_rig.said.data.len, 30000);
    assert_int_equal(p->credited, 30000);
}

static void data_of_an_odd_shape_passes_too(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    uint8_t *at = call_rig.upload + 7;
    *at++ = 0x1a; /* the data before the connection, and both before the type */
    *at++ = 2;
    *at++ = 'o';
    *at++ = 'k';
    *at++ = 0x08;
    at = call_put_varint(at, (uint64_t)id);
    call_rig.upload[5] = 0x22;
    call_rig.upload[6] = (uint8_t)(at - call_rig.upload - 7);
    *at++ = 0x08;
    *at++ = 0x04;
    memcpy(call_rig.upload, "\0\0\0\0", 4);
    call_rig.upload[4] = (uint8_t)(at - call_rig.upload - 5);
    call_say((size_t)(at - call_rig.upload));
    assert_int_equal(p->received, 2);
    assert_memory_equal(p->body.bytes + p->body.from, "ok", 2);
}

static void strangers_are_told_so_once(void **state)
{
    (void)state;
    call_say_data(0, 10);
    assert_false(call_heard(PACKET_CLOSE_RSP));
    call_say_data(4711, 10);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_int_equal(call_rig.said.connect_id, 4711);
    assert_string_equal(call_rig.room, "unrecognized connectID");
    call_say_close(4712);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_string_equal(call_rig.room, "Unknown connectID");
    assert_false(call_rig.call->ended);
}

static void another_calls_connection_is_a_stranger(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    call_rig.call = call_rig_open("localhost", "/ProxyService/Proxy", CALL);
    call_say_data(id, 10);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    call_say_close(id);
    assert_int_equal(p->received, 0);
    assert_int_equal(p->end, PLAYED_RUNS);
}

/* -- back pressure ------------------------------------------------------------------------------------------
 */

static void alone_on_its_stream_a_destination_is_waited_for(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    uint32_t len = 900000, head = packet_write_data_head(call_rig.upload, id, len);
    h2_client_say(call_rig.call, call_rig.upload, head + len, false);
    h2_client_turns(60);
    assert_true(p->received <= EXCHANGE_BUDGET);
    assert_true(call_rig.call->upload_sent < 3 * EXCHANGE_BUDGET); /* the window holds the client */
    for (int s = 0; s < 60; s++)
        call_rig_pass(1000);
    assert_int_equal(p->end, PLAYED_RUNS);
    for (int i = 0; i < 40 && p->received < len; i++) {
        play_grant(p, (uint32_t)(p->received - p->granted));
        h2_client_turns(20);
    }
    assert_int_equal(p->received, len);
}

static void what_was_sent_before_close_is_waited_for(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    for (int i = 0; i < 4; i++)
        call_say_data(id, 100000);
    call_say_close(id);
    assert_int_equal(p->end, PLAYED_RUNS);
    assert_false(call_heard(PACKET_CLOSE_RSP));
    play_data(p, call_rig.upload, 100, false); /* for nobody: its credit goes back */
    assert_int_equal(p->credited, 100);
    play_grant(p, (uint32_t)p->received);
    h2_client_turns(2);
    assert_int_equal(p->received, 400000);
    assert_int_equal(p->end, PLAYED_CLOSED);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_string_equal(call_rig.room, "");
}

static void one_that_stands_still_is_cut_when_it_blocks_others(void **state)
{
    (void)state;
    int64_t stalled_id, other_id;
    struct played *stalled = call_opened("10.0.0.1:443", &stalled_id),
                  *other = call_opened("10.0.0.2:443", &other_id);
    for (int i = 0; i < 4; i++)
        call_say_data(stalled_id, 100000);
    call_say_data(other_id, 5000); /* there is room yet */
    assert_int_equal(other->received, 5000);
    call_rig_pass(1100);
    assert_int_equal(stalled->end, PLAYED_GONE);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_true(call_rig.said.connect_id == stalled_id);
    assert_non_null(strstr(call_rig.room, "took no data"));
    for (int i = 0; i < 10; i++) {
        call_say_data(other_id, 100000);
        play_grant(other, (uint32_t)(other->received - other->granted));
        h2_client_turns(8);
    }
    assert_int_equal(other->received, 1005000);
}

static void one_that_stands_still_a_little_has_longer(void **state)
{
    (void)state;
    int64_t stalled_id, other_id;
    struct played *stalled = call_opened("10.0.0.1:443", &stalled_id);
    call_opened("10.0.0.2:443", &other_id);
    for (int i = 0; i < 3; i++)
        call_say_data(stalled_id, 100000);
    for (int s = 0; s < 8; s++)
        call_rig_pass(1010);
    assert_int_equal(stalled->end, PLAYED_RUNS);
    for (int s = 0; s < 3; s++)
        call_rig_pass(1010);
    assert_int_equal(stalled->end, PLAYED_GONE);
}

static void answers_overtake_the_data_of_others(void **state)
{
    (void)state;
    int64_t busy_id;
    struct played *busy = call_opened("10.0.0.1:443", &busy_id);
    rig.pipe->stalled = true;
    for (int i = 0; i < 4; i++)
        play_data(busy, call_rig.upload, 60000, false);
    call_say_dial("10.0.0.2:443", 6);
    play_connected(&rig.played[1]);
    h2_client_turns(2);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    uint32_t before = 0;
    while (call_heard(PACKET_DATA))
        before += call_rig.said.data.len;
    assert_int_equal(call_rig.said.type, PACKET_DIAL_RSP);
    assert_true(before < 200000);
}

static void connections_take_turns(void **state)
{
    (void)state;
    int64_t ids[2];
    struct played *p[2] = {call_opened("10.0.0.1:443", &ids[0]), call_opened("10.0.0.2:443", &ids[1])};
    for (int i = 0; i < 2; i++)
        play_data(p[i], call_rig.upload, 130000, false);
    h2_client_turns(20);
    int64_t last = 0;
    for (int i = 0; i < 8; i++) {
        assert_true(call_heard(PACKET_DATA));
        assert_true(call_rig.said.connect_id != last);
        last = call_rig.said.connect_id;
    }
}

static void a_client_that_reads_nothing_is_bounded(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    rig.pipe->stalled = true;
    for (int i = 0; i < 4; i++)
        play_data(p, call_rig.upload, 60000, false);
    h2_client_turns(4);
    assert_true(p->credited < 240000);
    for (int i = 0; i <= PROXY_STRANGERS_MAX; i++) {
        assert_int_equal(p->end, PLAYED_RUNS);
        call_say_data(5000 + i, 1);
    }
    assert_int_equal(p->end, PLAYED_GONE);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    assert_non_null(strstr(call_rig.call->trailers, "grpc-status=8;"));
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_destination_waits_for_the_client_or_a_moment),
        T(bytes_pass_both_ways),
        T(small_pieces_are_put_together),
        T(data_of_an_odd_shape_passes_too),
        T(strangers_are_told_so_once),
        T(another_calls_connection_is_a_stranger),
        T(alone_on_its_stream_a_destination_is_waited_for),
        T(what_was_sent_before_close_is_waited_for),
        T(one_that_stands_still_is_cut_when_it_blocks_others),
        T(one_that_stands_still_a_little_has_longer),
        T(answers_overtake_the_data_of_others),
        T(connections_take_turns),
        T(a_client_that_reads_nothing_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
