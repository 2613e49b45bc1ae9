/* test/sim/sim_channel.h — a connection as a scripted backend sees it: bytes in, bytes out. Raw over a
 * simulated socket, or over any stream of a worker, so that a backend can stand behind TLS.
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

struct sim_channel_ops {
    size_t (*write)(struct sim_channel *, const uint8_t *, size_t);
    /* How many bytes were taken; `writable` follows when it was not all. */
    void (*pause)(struct sim_channel *, bool paused);
    /* No input while paused. */
    void (*close)(struct sim_channel *);
    /* Ends politely after what was written, and frees itself in time. */
    void (*reset)(struct sim_channel *);
};

struct sim_channel {
    const struct sim_channel_ops *ops;
    const struct sim_channel_events *events;
    void *owner;
};

struct sim_channel *sim_channel_raw(struct sim_sock *);
/* Takes the socket. Bind owner and events before returning to the world. */
struct sim_channel *sim_channel_stream(struct stream *);
/* Takes an open stream, or one that will open. */
