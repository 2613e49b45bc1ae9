/* test/unit/test_front_http2_call_random.c — client and destinations of a call of the Proxy service that do
 * anything they may, in any order: nothing is lost.
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

/* -- anything -----------------------------------------------------------------------------------------------
 */

static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % below;
}

static struct played *any_exchange(bool tunnel)
{
    for (int tries = 0; tries < 8 && rig.asked > 0; tries++) {
        unsigned recent = rig.asked < 40 ? rig.asked : 40;
        struct played *p = &rig.played[rig.asked - 1 - any(recent)];
        if (p->end == PLAYED_RUNS && (p->ex.progress == EXCHANGE_TUNNEL) == tunnel)
            return p;
    }
    return NULL;
}

static int64_t any_id(void)
{
    return (int64_t)any(rig.asked + 2);
}

static bool client_may_speak(void)
{
    return !call_rig.call->closed && call_rig.call->upload_sent == call_rig.call->upload_len &&
           rig.asked < PLAYED_MAX - 1;
}

static void client_does_anything(void)
{
    if (!client_may_speak())
        return;
    switch (any(16)) {
    case 0: call_say_close(any_id()); break;
    case 1: call_say_dial_close((uint8_t)any(20)); break;
    case 2: call_say_data(any_id(), 1 + any(900000)); break;
    case 3:
        if (any(8) == 0) { /* no message */
            memcpy(call_rig.upload, "\0\0\0\0\3xyz", 8);
            call_say(8);
        }
        break;
    case 4:
        if (any(10) == 0)
            h2_client_reset(call_rig.call, NGHTTP2_CANCEL);
        break;
    case 5:
        if (any(10) == 0)
            h2_client_say(call_rig.call, call_rig.upload, 0, true);
        break;
    case 6:
    case 7:
    case 8: call_say_dial(any(4) ? "10.0.0.1:443" : "nowhere", any(20)); break;
    default: call_say_data(any_id(), 1 + any(30000)); break;
    }
}

static void destination_does_anything(void)
{
    struct played *dial = any_exchange(false), *p = any_exchange(true);
    if (dial && any(3) == 0)
        play_reset(dial, ENDING_REFUSED);
    else if (dial)
        play_connected(dial);
    if (!p)
        return;
    switch (any(8)) {
    case 0: play_reset(p, ENDING_PEER_RESET); break;
    case 1: play_fin(p); break;
    case 2:
    case 3: play_grant(p, (uint32_t)(p->received - p->granted)); break;
    default:
        if (p->released && p->ex.access.bytes_out - p->credited < EXCHANGE_BUDGET - 70000) {
            uint32_t len = 1 + any(70000);
            p->ex.access.bytes_out += len; /* which nobody else counts here */
            play_data(p, call_rig.upload, len, false);
        }
        break;
    }
}

/* The rig asserts that every exchange settles once, and that no object and no buffer is left. */
static void whatever_comes_nothing_is_lost(void **state)
{
    for (unsigned round = 0; round < 200; round++) {
        seed = round * 7919 + 1;
        for (unsigned step = 0; step < 400 && front_rig_conn(); step++) {
            client_does_anything();
            destination_does_anything();
            rig.pipe->stalled = any(20) == 0 ? !rig.pipe->stalled : rig.pipe->stalled;
            if (any(10) == 0)
                call_rig_pass(any(600));
            h2_client_turn();
            if (call_rig.call->closed && any(4) == 0 && h2_client.count < 60)
                call_rig.call = call_rig_open("localhost", "/ProxyService/Proxy", CALL);
        }
        assert_false(h2_client.dead);
        teardown(state);
        setup(state);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(whatever_comes_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
