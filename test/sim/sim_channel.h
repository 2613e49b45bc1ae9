/* test/sim/sim_channel.h — a connection as a scripted peer sees it: bytes in, bytes out. Raw over a simulated
 * socket, or over any stream of a worker, so that a peer can stand behind TLS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/sim_net.h"
#include "io/stream.h"

struct sim_channel;

/* Never from inside a call. Nothing comes after `gone`, nor after close or reset. */
struct sim_channel_events {
    void (*input)(struct sim_channel *, const uint8_t *, size_t);
    void (*writable)(struct sim_channel *);
    void (*ended)(struct sim_channel *); /* the other side has said its last byte */
    void (*gone)(struct sim_channel *);  /* reset or failed; the channel frees itself */
};

/* What the network has seen of a connection so far. */
struct sim_traffic {
    uint64_t taken;   /* bytes of ours that the other side has read */
    uint64_t offered; /* bytes of the other side's, read by us or not */
    bool silenced;    /* by a fault */
};

struct sim_channel_ops {
    size_t (*write)(struct sim_channel *, const uint8_t *, size_t);
    /* How many bytes were taken; `writable` follows when it was not all. */
    void (*pause)(struct sim_channel *, bool paused);
    /* No input while paused. */
    void (*finish)(struct sim_channel *);
    /* Ends our direction after what was written; input goes on. */
    void (*close)(struct sim_channel *);
    /* Ends politely after what was written, and frees itself in time. */
    void (*reset)(struct sim_channel *);
    bool (*traffic)(const struct sim_channel *, struct sim_traffic *);
    /* False where what passes on the wire are not these bytes. */
    uint64_t (*clear_since)(const struct sim_channel *);
    /* Since then what the other side does is heard at once; UINT64_MAX: it may not be. NULL: it always is. */
};

struct sim_channel {
    const struct sim_channel_ops *ops;
    const struct sim_channel_events *events;
    void *owner;
    bool resets_by_end; /* who resets this has only ended, for all that the other side can see */
};

struct sim_channel *sim_channel_raw(struct sim_sock *);
/* Takes the socket. Bind owner and events before returning to the world. */
struct sim_channel *sim_channel_stream(struct stream *);
/* Takes an open stream, or one that will open: what is written before is kept. */
struct sim_channel *sim_channel_dialled(struct stream *);
/* Takes a stream that will open: nothing is taken before, and then it is writable. */
