/* broker/outbox.h — what one side of an exchange is about to send: small writes share a buffer, bodies are
 * lent.
 *
 * Heads, framing and small body segments are copied into a buffer of this worker and leave together at the
 * end of the turn; larger body segments are passed on as they are, in order. While a reader stands still,
 * small pieces gather in few buffers, so that what a peer drips costs memory by its bytes and not by its
 * pieces. Owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/stream.h"
#include "io/worker.h"

enum {
    OUTBOX_COPY_MAX =
        1024, /* larger body segments are lent: the copy would cost more than the segment (a guess) */
    OUTBOX_SEGS_MAX = 32, /* segments given to the stream and not back, beyond which small writes gather */
};

struct outbox {
    struct worker *worker;
    struct stream *stream; /* NULL: nothing is sent */
    struct buf *buf;
    uint32_t used;
    uint32_t body;   /* bytes of the buffer that were copied from lent segments: their credit is due when it
                        leaves */
    uint32_t unsent; /* segments given to the stream and not yet back */
    struct task flush;
};

/* What came back with `sent`. */
struct outbox_credit {
    uint32_t bytes; /* of body, to be credited; 0: nothing */
    struct seg seg; /* lent segment to be returned with it, or none */
};

void outbox_init(struct outbox *, struct worker *);
void outbox_open(struct outbox *, struct stream *);
/* Sends to this stream from now on; an earlier one was reset. */
MUST_USE char *outbox_reserve(struct outbox *, uint32_t bytes);
/* Room for so many bytes, contiguous; NULL: out of buffers. Then outbox_commit() with what was used. */
void outbox_commit(struct outbox *, uint32_t bytes);
MUST_USE bool outbox_put(struct outbox *, const void *bytes, size_t len);
/* Copies. False: out of buffers, part of it may be in. */
MUST_USE bool outbox_body(struct outbox *, struct seg);
/* Takes a lent segment. False: out of buffers, the segment was released. */
void outbox_flush(struct outbox *);
/* Gives everything to the stream now. */
struct outbox_credit outbox_sent(struct outbox *, struct seg);
/* To be called for each segment that the stream gives back; own buffers are released here. */
void outbox_reset(struct outbox *);
/* The stream is gone or going: drops what was not given to it. */
static inline bool outbox_is_empty(const struct outbox *o)
{
    return o->unsent == 0 && o->used == 0;
}
