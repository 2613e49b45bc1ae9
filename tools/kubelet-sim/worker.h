/* tools/kubelet-sim/worker.h — one event loop: its listener, its connections, its tallies. All but the
 * counters belongs to its thread. */
#pragma once
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>

#include "tools/kubelet-sim/buffer.h"
#include "tools/kubelet-sim/counters.h"
#include "tools/kubelet-sim/route.h"
#include "tools/kubelet-sim/sim.h"
#include "tools/kubelet-sim/timers.h"

struct conn;

struct worker {
    struct sim *sim;
    pthread_t thread;
    int epoll_fd, listen_fd, wake_fd;
    SSL_CTX *tls;
    uint64_t now_ns; /* read once per turn */
    struct timers timers;
    struct timer listen_timer; /* armed while out of descriptors */
    struct buffer_pool buffers;
    struct conn *conns, *dead; /* by conn->next; the dead are freed at the end of the turn */
    char date[32];             /* for the Date field; made anew each second */
    uint64_t date_s;
    bool started;
    struct authn_cache authn_cache;
    struct counters counters;
    uint64_t class_counts[ROUTES_N];
};

struct worker *worker_new(struct sim *);
/* Listens when it returns. NULL: a line has been printed. */
MUST_USE bool worker_start(struct worker *);
void worker_poke(struct worker *);
/* Any thread: look at what main or the status thread wants. */
void worker_join_and_free(struct worker *);
