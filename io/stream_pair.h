/* io/stream_pair.h — two streams (stream.h) in memory that are each other's peer: what is given to one, the
 * other delivers. So what is made for a socket runs inside what is none: TLS in a tunnel of a shared
 * connection.
 *
 * Nothing is copied: what one owner sent is delivered as a segment of its own, within the credit of the
 * other, and has been `sent` then. Segments are of this worker. Unlike a socket's peer that was reset, one
 * that aborts tells why: `closed` has its reason. Owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/segq.h"
#include "io/stream.h"
#include "io/worker.h"

struct stream_pair;

enum stream_pair_state {
    PAIR_OPEN,
    PAIR_LOST,   /* aborted, by whichever end: `closed` is due */
    PAIR_CLOSED, /* it was told */
    PAIR_FREED,
    PAIR_STATES,
};

struct stream_pair_end {
    struct stream stream;
    struct stream_pair *pair;
    enum stream_pair_state state;
    enum ending reason; /* from LOST on */
    bool finished;      /* its owner ended its direction */
    bool end_told;      /* the peer's end */
    uint64_t credit;    /* granted, and not used */
    struct segq out;    /* sent, and not delivered to the peer */
    uint32_t taken;     /* bytes of its first segment that were */
};

struct stream_pair {
    struct stream_pair_end ends[2];
    struct slab *pairs, *nodes;
    struct task task; /* tells everything that is told */
    bool telling;
};

MUST_USE bool stream_pair_new(struct worker *, struct slab *pairs, struct slab *nodes,
                              struct stream *ret_ends[2]);
/* Of objects of struct stream_pair, and of struct segq_node; each end is freed by its owner. An end tells
 * nothing before events are bound to it. False: out of memory. */
void stream_pair_bind(struct stream *, const struct stream_events *, void *owner);
/* As stream_bind(), at any time: tells what has befallen it meanwhile. */
void stream_pair_abandon(struct stream *, enum ending);
/* Aborts it for an owner that wants to hear nothing more; it frees itself. */
