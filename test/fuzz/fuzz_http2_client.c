/* test/fuzz/fuzz_http2_client.c — libFuzzer target: what a destination says over HTTP/2 to three requests
 * that share its connection.
 *
 * The first octet of the input says how large the pieces are in which the rest arrives (0: as it comes). Must
 * hold, and is asserted by the rig: every exchange hears exactly one last word and nothing after it, no body
 * goes beyond its credit, what is posted is a good head, and when all is over every object and buffer is
 * home.
 */
#include <string.h>

#include "test/fuzz/fuzz.h"
#include "test/support/http2_rig.h"

enum { REQUESTS = 3 };

static const char *const heads[REQUESTS] = {
    "GET https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n",
    "HEAD https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n",
    "POST https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\nTransfer-Encoding: chunked\r\n\r\n",
};

static void say(struct http2_rig *rig, const uint8_t *data, size_t size)
{
    size_t piece = data[0] ? data[0] : size;
    for (size_t at = 1; at < size; at += piece) {
        struct rig_peer *p = rig->peers[0];
        if (!p->stream || p->stream->closing)
            return;
        rig_send_raw(p, data + at, size - at < piece ? size - at : piece);
        rig_run(rig);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http2_rig rig;
    static struct rig_request r[REQUESTS];
    rig_start(&rig);
    rig.raw = true;
    for (int i = 0; i < REQUESTS; i++)
        rig_ask(&rig, &r[i], heads[i], i < 2);
    rig_body(&r[2], "body", 4, false);
    rig_run(&rig);
    rig_frame(rig.peers[0], 4, 0, 0, NULL, 0); /* SETTINGS, which must come first */
    rig_run(&rig);
    if (size > 1)
        say(&rig, data, size);
    for (unsigned i = 0; i < rig.peer_count; i++)
        if (rig.peers[i]->stream && !rig.peers[i]->stream->closing)
            script_close(rig.peers[i]->stream, ENDING_PEER_RESET);
    for (int i = 0; i < REQUESTS; i++)
        rig_cancel(&r[i]);
    rig_run(&rig);
    for (int i = 0; i < REQUESTS; i++) {
        ASSERT(r[i].ended != r[i].reset);
        rig_forget(&r[i]);
    }
    rig_stop(&rig);
    return 0;
}
