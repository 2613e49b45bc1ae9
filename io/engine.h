/* io/engine.h — what a worker asks of the kernel, at the level of bytes, connections, wakes and time.
 *
 * One engine per worker. Two implementations: `uring` (engine_uring.h) and `sim` (engine_sim.c,
 * deterministic); an epoll one fits behind the same calls. Nothing above io/ knows which it runs on. Events
 * are delivered by turn(), one at a time, after the harvest and never from inside another call; work per
 * object and turn is bounded. Owner worker only, but for new/free.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/net.h"
#include "io/stream.h"

struct engine;
struct listener;
struct watch;
struct worker;

/* Of every TCP connection, accepted or dialled, beside TCP_NODELAY. Zeroes: what the system has. */
struct socket_options {
    uint32_t keepalive_ms; /* idle before the first probe, in whole seconds; two more a third of it apart */
    uint32_t user_timeout_ms; /* what was sent is acknowledged within that time, or the connection is lost */
};

struct listen_options {
    struct net_address address;
    int backlog;
    mode_t unix_mode; /* Unix sockets: permission bits of the socket file */
    uid_t unix_owner; /* (uid_t)-1: leave as created */
    gid_t unix_group; /* (gid_t)-1: leave as created */
    bool share_port;  /* TCP: SO_REUSEPORT, one listening socket per worker */
    bool both_kinds;  /* TCP, of IPv6's unspecified address: IPv4 clients too, and they alone where the
                         machine has no IPv6 */
};

/* Embedded by the owner. `accepted` gets a handle: adopt it on this worker or send the number to another
 * worker and adopt it there, or close it with engine->ops->refuse. */
struct listener {
    struct engine *engine;
    void *impl;
    void *owner;
    void (*accepted)(struct listener *, int handle, const struct net_peer *);
};

/* A readiness watch on a foreign descriptor (name resolution). One-shot: armed anew by watch(). */
struct watch {
    struct engine *engine;
    void *impl;
    void *owner;
    void (*ready)(struct watch *, bool readable, bool writable);
};

struct engine_ops {
    const char *name;
    int (*listen)(struct engine *, struct listener *, const struct listen_options *);
    /* 0 or -errno. A stale Unix socket file that nobody listens on is replaced. */
    void (*unlisten)(struct listener *);
    /* Stops accepting; the listener is the caller's again at once. Removes a Unix socket file it made. */
    struct stream *(*adopt)(struct engine *, int handle, const struct net_peer *);
    /* A stream for an accepted handle, without credit and events: bind and grant. It has the options of the
     * engine that listened. NULL: refused for lack of memory, the handle is closed. */
    void (*refuse)(struct engine *, int handle);
    struct stream *(*dial)(struct engine *, const struct net_address *);
    /* A stream that will say open or closed, also when it fails at once. NULL when out of memory. No deadline
     * of its own. */
    int (*watch)(struct engine *, struct watch *, int fd, bool readable, bool writable);
    void (*unwatch)(struct watch *);
    void (*wake)(struct engine *, unsigned worker);
    /* Asks that `worker` leave its sleep; takes effect with the next turn at the latest. */
    void (*turn)(struct engine *, uint64_t wait_until_ns);
    /* Submits, waits until something happens or the time is reached (0: does not wait), delivers events. */
    uint64_t (*now_ns)(struct engine *);
    /* Monotonic. */
    uint64_t (*wall_ns)(struct engine *);
    /* Since 1970, for logs and certificate dates. */
    void (*random)(struct engine *, void *bytes, size_t len);
    /* Fit for keys. */
    void (*free)(struct engine *);
};

struct engine {
    const struct engine_ops *ops;
    struct worker *worker;
    struct socket_options sockets; /* set by the owner before it listens or dials */
};

/* Facts found once at start, for the log and `hawser version`. */
struct engine_probe {
    bool usable;
    bool defer_taskrun, byte_cap, buffer_rings, msg_ring;
    char detail[256]; /* what is missing and what would allow it, or what was found */
};

void engine_uring_probe(struct engine_probe *ret);
/* Tries features on throw-away rings and socketpairs; never by kernel version. Any thread. */
MUST_USE int engine_uring_new(struct worker *, const struct engine_probe *, struct engine **ret);
/* Creates the ring, disabled; worker_run() on the worker's thread enables it. 0 or -errno. */
