/* broker/http/http2_watch.h — what a peer may make us do for nothing, counted before it is done.
 *
 * HTTP/2 has many frames that cost the sender thirteen bytes and the receiver work: each is harmless once and
 * an attack by the million. Frames are counted as they arrive, by their headers alone and ahead of nghttp2,
 * so the bounds hold whatever its version checks by itself. Two budgets: frames that carry no request and no
 * body, and requests that come to nothing by the client's doing. Both fill up with time and with honest work.
 * Pure; embedded in its connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

/* Symbol, label of the counter, text. */
#define HTTP2_FLOODS(X)                                                                                      \
    X(NONE, none, "nothing")                                                                                 \
    X(RESET, reset, "requests begun and given up, or broken, one after another")                             \
    X(CONTINUATION, continuation, "a field block of too many CONTINUATION frames")                           \
    X(PING, ping, "too many PING frames")                                                                    \
    X(SETTINGS, settings, "too many SETTINGS frames")                                                        \
    X(PRIORITY, priority, "too many PRIORITY frames")                                                        \
    X(EMPTY_DATA, empty_data, "too many DATA frames with nothing in them")                                   \
    X(WINDOW_UPDATE, window_update, "too many WINDOW_UPDATE frames for what was sent")                       \
    X(OTHER, other, "too many frames of other kinds")

enum http2_flood {
#define HTTP2_FLOOD_SYMBOL(symbol, label, text) HTTP2_FLOOD_##symbol,
    HTTP2_FLOODS(HTTP2_FLOOD_SYMBOL)
#undef HTTP2_FLOOD_SYMBOL
        HTTP2_FLOOD_COUNT,
};

enum {
    HTTP2_IDLE_FRAMES_MAX = 1000, /* at once; nghttp2's own bound on answers owed. A guess, like the next */
    HTTP2_IDLE_FRAMES_PER_S = 50,
    HTTP2_SETTINGS_COST = 10,     /* frames' worth: a SETTINGS frame visits every stream */
    HTTP2_BYTES_PER_UPDATE = 512, /* of DATA sent for each WINDOW_UPDATE; Go sends one for 4 KiB at most */
    HTTP2_RESETS_MAX = 100,       /* at once, besides one for each request that was answered */
    HTTP2_RESETS_PER_S = 1,
    HTTP2_CONTINUATIONS_MAX = 8, /* of one block; nghttp2's own bound: with the HEADERS frame 144 KiB */
    HTTP2_PREFACE_BYTES = 24,
};

/* Zeroed and then http2_watch_init(). */
struct http2_watch {
    uint64_t at_ns;  /* when the budgets were filled up */
    uint64_t idle;   /* budget of frames, in units of a frame * second / 1e9 */
    uint64_t resets; /* budget of requests, likewise */
    uint64_t saved;  /* WINDOW_UPDATEs paid for beyond a full budget: who reads after a pause owes them all */
    uint64_t ends;   /* requests that were answered: each may be ended by an RST_STREAM */
    uint32_t unpaid; /* bytes of DATA sent that do not make a WINDOW_UPDATE yet */
    uint32_t skip;   /* payload (or preface) bytes until the next frame header */
    uint8_t header[9]; /* as far as it has come */
    uint8_t header_len;
    uint8_t type; /* of the frame whose payload comes now */
    uint8_t continuations;
    bool in_block; /* a field block goes on in the next frame */
};

void http2_watch_init(struct http2_watch *, uint64_t now_ns, uint32_t preface_bytes);
MUST_USE enum http2_flood http2_watch_input(struct http2_watch *, uint64_t now_ns, const uint8_t *data,
                                            size_t len);
/* To be called with all that is received, in order. Not NONE: the connection should be ended, unread. */
MUST_USE enum http2_flood http2_watch_wasted(struct http2_watch *, uint64_t now_ns);
/* A request came to nothing by the peer's doing: cancelled before it was answered, or malformed. */
void http2_watch_answered(struct http2_watch *);
/* A request was answered. */
void http2_watch_sent(struct http2_watch *, uint32_t bytes, bool emptied);
/* DATA was sent; emptied: all there was, so the frame was not made small by the peer's window. */

bool http2_watch_in_block(const struct http2_watch *);
/* Part of a field block has come: nothing else can come on this connection before the rest of it. */

const char *http2_flood_text(enum http2_flood);
const char *http2_flood_label(enum http2_flood);
