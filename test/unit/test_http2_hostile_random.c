/* test/unit/test_http2_hostile_random.c — destinations that say any frames of HTTP/2 in any order.
 * HAWSER_SEED repeats a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/support/raw_server.h"

static int setup(void **state)
{
    (void)state;
    raw_server_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw_server_stop();
    return 0;
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

static uint64_t dice;

static uint32_t pick(uint32_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % below;
}

static void say_anything(struct rig_peer *p)
{
    static const char *const blocks[] = {":status=200",       ":status=200|content-length=3",
                                         ":status=103|a=b",   "grpc-status=0",
                                         ":status=204",       ":status=999",
                                         "x=y|:status=200|z="};
    uint8_t payload[64];
    int32_t id = (int32_t)pick(8);
    switch (pick(10)) {
    case 0:
        raw_server_say_headers(p, id | 1, pick(4) ? 0 : END_STREAM, blocks[pick(ARRAY_SIZE(blocks))]);
        break;
    case 3:
    case 4: /* an answer, often */
        raw_server_say_headers(p, id | 1, 0, ":status=200");
        rig_frame(p, DATA, pick(8) ? END_STREAM : 0, id | 1, "abcdef", pick(7));
        break;
    case 5:
        if (pick(4) == 0)
            rig_frame(p, RST_STREAM, 0, id | 1, (uint8_t[]){0, 0, 0, (uint8_t)pick(15)}, 4);
        break;
    case 6:
        rig_frame(p, WINDOW_UPDATE, 0, pick(2) ? id : 0, (uint8_t[]){0, 0, (uint8_t)pick(3), 1}, 4);
        break;
    case 7:
        if (pick(20) == 0)
            rig_frame(p, GOAWAY, 0, 0, (uint8_t[]){0, 0, 0, (uint8_t)(pick(4) * 2 + 1), 0, 0, 0, 0}, 8);
        break;
    default:
        if (pick(40))
            break;
        for (size_t i = 0; i < sizeof payload; i++)
            payload[i] = (uint8_t)pick(256);
        rig_frame(p, (uint8_t)pick(12), (uint8_t)pick(256), id, payload, pick(sizeof payload));
    }
}

static void any_frames_in_any_order_end_every_exchange_once(void **state)
{
    const char *seed = getenv("HAWSER_SEED");
    unsigned ended = 0, reset = 0;
    (void)state;
    rig_stop(&raw_server.rig);
    dice = seed ? strtoull(seed, NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)dice);
    for (int round = 0; round < 400; round++) {
        rig_start(&raw_server.rig);
        raw_server.rig.raw = true;
        for (unsigned i = 0; i < 4; i++)
            rig_ask(&raw_server.rig, &raw_server.r[i], pick(3) ? GET : HEAD, true);
        rig_run(&raw_server.rig);
        rig_frame(raw_server_peer(), SETTINGS, 0, 0, NULL, 0);
        for (int i = 0; i < 40; i++) {
            struct rig_peer *p = raw_server.rig.peers[pick(raw_server.rig.peer_count)];
            if (p->stream && !p->stream->closing)
                say_anything(p);
            if (pick(3) == 0)
                rig_run(&raw_server.rig);
            if (pick(20) == 0)
                rig_cancel(&raw_server.r[pick(4)]);
            if (raw_server.rig.peer_count + 6 > RIG_PEERS)
                break;
        }
        rig_run(&raw_server.rig);
        for (unsigned i = 0; i < raw_server.rig.peer_count; i++)
            if (raw_server.rig.peers[i]->stream && !raw_server.rig.peers[i]->stream->closing)
                script_close(raw_server.rig.peers[i]->stream, ENDING_PEER_RESET);
        rig_run(&raw_server.rig);
        for (unsigned i = 0; i < 4; i++)
            rig_cancel(&raw_server.r[i]);
        rig_run(&raw_server.rig);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(raw_server.r[i].ended != raw_server.r[i].reset);
            ended += raw_server.r[i].ended;
            reset += raw_server.r[i].reset;
            rig_forget(&raw_server.r[i]);
        }
        rig_stop(&raw_server.rig);
    }
    printf("answered %u, reset %u\n", ended, reset);
    assert_true(ended > 100 && reset > 100); /* the dice reach both */
    rig_start(&raw_server.rig);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(any_frames_in_any_order_end_every_exchange_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
