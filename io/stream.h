/* io/stream.h — an ordered byte pipe with two independent directions: TCP, Unix socket, TLS over a stream,
 * and later agent tunnels and SSH channels.
 *
 * Calls go down through `ops`, events come up through `events`. An event never arrives from inside a call,
 * and none arrives after `closed`. Exactly one `closed` per stream: after both directions ended, after an
 * error, or after abort. The owner calls stream_free() in it or later, never before. Owner worker only.
 *
 *   end      a clean end of the peer's direction (FIN, TLS close_notify). A reset, a timeout or a TLS end
 *            without close_notify is `closed` with its reason and never `end`.
 *   sent     a segment given to stream_send() was taken over by the layer below and comes back to its owner,
 *            who releases it. Segments unsent at the end are released by the stream itself
 *            (worker_release_seg).
 *   credit   data never exceeds what was granted. A stream with no credit reads nothing, so an idle
 *            connection that shall be watched for bytes or its end needs a credit of at least one byte.
 *   gone     whether anybody reads or not, a peer that is lost is `closed`: one that resets, or falls silent
 *            and is given up by keepalive. Bytes that had arrived before come first while the reader makes
 *            progress; a reader that has granted nothing for STREAM_STILL_MS loses them. A FIN takes nothing
 *            away: behind unread bytes it waits for its turn, and is no `end` before; nor does a reset that
 *            follows it, or a Unix peer that was closed, unless the reader grants nothing for
 *            STREAM_LEFT_MS. A peer that resets after its `end` was told is `closed` within twice
 *            STREAM_STILL_MS. So is one that failed to take our bytes, after what it said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/buf.h"
#include "io/ending.h"

struct stream;
struct worker;

enum {
    STREAM_STILL_MS = 250,   /* a guess: a reader that moves is never so slow, and people do not notice */
    STREAM_LEFT_MS = 300000, /* a guess: a stopped reader that comes back does so sooner */
};

struct stream_events {
    void (*open)(struct stream *);
    /* connected, or handshake complete and verified; never for accepted TCP and Unix streams */
    void (*data)(struct stream *, struct seg);
    /* takes the segment */
    void (*sent)(struct stream *, struct seg);
    /* takes the segment back */
    void (*end)(struct stream *);
    void (*closed)(struct stream *, enum ending);
};

struct stream_ops {
    const char *kind;
    void (*grant)(struct stream *, uint32_t bytes);
    void (*send)(struct stream *, struct seg);
    void (*finish)(struct stream *);
    void (*abort)(struct stream *, enum ending);
    void (*free)(struct stream *);
    uint64_t (*owed)(struct stream *); /* NULL: nobody can tell */
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *owner;
    struct worker *worker;
};

static inline void stream_bind(struct stream *s, const struct stream_events *events, void *owner)
{
    s->events = events;
    s->owner = owner;
}

/* Allows `bytes` more to be delivered. */
static inline void stream_grant(struct stream *s, uint32_t bytes)
{
    s->ops->grant(s, bytes);
}

/* Takes the segment; it leaves at the end of this turn, gathered with others. Before `open` it is kept. A
 * segment sent after finish or on a dying stream is released unsent. Empty segments are allowed and come back
 * as sent. */
static inline void stream_send(struct stream *s, struct seg seg)
{
    s->ops->send(s, seg);
}

/* Ends our direction after what was sent (FIN; close_notify for TLS). */
static inline void stream_finish(struct stream *s)
{
    s->ops->finish(s);
}

/* Ends both directions at once; the peer sees a reset where the transport has one. `closed(reason)` follows
 * as an event. Idempotent. */
static inline void stream_abort(struct stream *s, enum ending reason)
{
    s->ops->abort(s, reason);
}

/* Bytes that were sent and have not reached the peer yet, as far as the transport can tell; 0: none. An abort
 * would take them away. */
static inline uint64_t stream_owed(struct stream *s)
{
    return s->ops->owed ? s->ops->owed(s) : 0;
}

static inline void stream_free(struct stream *s)
{
    s->ops->free(s);
}
