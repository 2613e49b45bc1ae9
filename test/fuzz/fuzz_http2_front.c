/* test/fuzz/fuzz_http2_front.c — libFuzzer target: what a client sends after HTTP/2's preface, through the
 * session and its streams, with exchanges that answer.
 *
 * The input's first byte says how the bytes are cut, the rest is what comes, so that a client's recorded
 * opening is a corpus file behind one byte. What must hold is asserted by the rig: no call to an exchange
 * that is over, nothing beyond a window, and after the connection's end no object, segment or buffer.
 */
#include "io/log.h"
#include "test/fuzz/fuzz.h"
#include "test/support/front_rig.h"

enum { TURNS_MAX = 400 };

#define OK "HTTP/1.1 200 OK\r\n"

/* Each exchange is answered in one of a few ways, by its number, a step at a turn. */
static void play(struct played *p, unsigned number, unsigned step)
{
    static const uint8_t bytes[70000] = {1};
    if (p->end != PLAYED_RUNS || p->ex.last_heard)
        return;
    if (p->received > p->granted && number % 3 != 0)
        play_grant(p, (uint32_t)(p->received - p->granted));
    if (p->ex.form == EXCHANGE_CONNECT && number % 4 != 3) {
        if (step == 1)
            play_connected(p);
        else if (step == 3)
            play_data(p, bytes, sizeof(bytes), false);
        else if (step == 5 && number % 4 == 0)
            play_fin(p);
        else if (step == 7 && number % 4 == 1)
            play_reset(p, ENDING_PEER_RESET);
        else if (step > 7 && p->ended && number % 4 == 0)
            play_end(p, NULL);
        return;
    }
    switch (number % 6 * 10 + step) {
    case 1: play_head(p, OK "Content-Length: 2\r\n\r\n"); break;
    case 2: play_data(p, bytes, 2, true); break;
    case 11: play_reset(p, ENDING_REFUSED); break;
    case 21: play_head(p, OK "Transfer-Encoding: chunked\r\n\r\n"); break;
    case 23: play_data(p, bytes, sizeof(bytes), false); break;
    case 25: play_end(p, "X-Sum: 1\r\n\r\n"); break;
    case 31: play_head(p, "HTTP/1.1 100 Continue\r\n\r\n"); break;
    case 33: play_head(p, OK "Transfer-Encoding: chunked\r\n\r\n"); break;
    case 35: play_reset(p, ENDING_TRUNCATED); break;
    case 41: play_head(p, "HTTP/1.1 204 No Content\r\n\r\n"); break;
    case 44: play_end(p, NULL); break;
    default: break; /* the sixth kind is never answered, and a step may have nothing to say */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t steps[PLAYED_MAX], sink[1 << 16];
    static const struct log_options quiet = {.level = LOG_ERROR};
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    log_configure(&quiet);
    memset(steps, 0, sizeof(steps));
    front_rig_start();
    pipe_give(rig.pipe, preface, sizeof(preface) - 1);
    if (size > 0) {
        rig.pipe->piece = data[0];
        rig.pipe->pieces_turn = data[0] ? 8 : 0;
        pipe_give(rig.pipe, data + 1, size - 1);
    }
    for (unsigned turn = 0; turn < TURNS_MAX && front_rig_conn(); turn++) {
        world_turn(&rig.world);
        for (unsigned i = 0; i < rig.asked; i++)
            if (steps[i] < 9)
                play(&rig.played[i], i, ++steps[i]);
        if (!front_rig_conn() || (rig.pipe->to_owner.len == 0 && turn % 16 == 15))
            break;
        while (pipe_take(rig.pipe, sink, sizeof(sink)) > 0)
            ;
    }
    front_rig_stop();
    return 0;
}
