/* io/resolve_channel.c — see resolve_channel.h.
 *
 * c-ares 1.18 has no thread of its own: it says which of its sockets want what (sock_state_cb) and when it
 * wants to be called at the latest (ares_timeout). Both only take notes here; after every call into c-ares
 * settle() arms what the notes ask for. So a socket that c-ares opens, closes and opens again under the same
 * number within one call ends up watched once, and a watch that could not be armed is tried again with the
 * next timeout. c-ares reads its own monotonic clock, which differs from the worker's by a turn at most.
 */
#include "io/resolve_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>

#include "io/engine.h"
#include "io/resolve.h"
#include "io/worker.h"

/* One UDP and one TCP socket a server; glibc reads 3 servers from resolv.conf, some add more by hand. A
 * socket beyond that is not watched, and its query ends by timeout. */
enum { SOCKETS_MAX = 32 };

enum { TRY_MS = 600, TRIES = 2 }; /* 0.6 + 1.2 s: a lost packet is repeated within the 2 s of a resolution */

struct socket_watch {
    struct watch watch;
    int fd; /* -1: unused */
    bool readable, writable, armed;
};

struct resolve_channel {
    struct worker *worker;
    ares_channel ares;
    struct timer timeout;
    struct socket_watch sockets[SOCKETS_MAX];
};

static void disarm(struct socket_watch *s)
{
    if (!s->armed)
        return;
    struct engine *e = s->watch.engine;
    e->ops->unwatch(&s->watch);
    s->armed = false;
}

static void settle(struct resolve_channel *c)
{
    struct engine *e = c->worker->engine;
    for (int i = 0; i < SOCKETS_MAX; i++) {
        struct socket_watch *s = &c->sockets[i];
        if (s->fd >= 0 && !s->armed)
            s->armed = e->ops->watch(e, &s->watch, s->fd, s->readable, s->writable) == 0;
    }
    struct timeval tv;
    if (!ares_timeout(c->ares, NULL, &tv)) {
        worker_disarm(c->worker, &c->timeout);
        return;
    }
    uint64_t ns = (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
    timer_arm_at(&c->worker->timers, &c->timeout, c->worker->now_ns + ns);
}

static void on_ready(struct watch *w, bool readable, bool writable)
{
    struct socket_watch *s = container_of(w, struct socket_watch, watch);
    struct resolve_channel *c = w->owner;
    s->armed = false;
    ares_process_fd(c->ares, readable ? s->fd : ARES_SOCKET_BAD, writable ? s->fd : ARES_SOCKET_BAD);
    settle(c);
}

static void on_timeout(struct timer *t)
{
    struct resolve_channel *c = container_of(t, struct resolve_channel, timeout);
    ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    settle(c);
}

static struct socket_watch *socket_find(struct resolve_channel *c, int fd)
{
    for (int i = 0; i < SOCKETS_MAX; i++)
        if (c->sockets[i].fd == fd)
            return &c->sockets[i];
    return NULL;
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolve_channel *c = arg;
    struct socket_watch *s = socket_find(c, fd);
    if (!s && (readable || writable))
        s = socket_find(c, -1);
    if (!s)
        return;
    if (s->fd == fd && s->readable == !!readable && s->writable == !!writable)
        return;
    disarm(s);
    s->fd = readable || writable ? fd : -1;
    s->readable = readable;
    s->writable = writable;
}

static int channel_init(struct resolve_channel *c, const struct resolver_options *o)
{
    struct ares_options options = {
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = c,
        .timeout = o->try_ms ? (int)o->try_ms : TRY_MS,
        .tries = o->tries ? (int)o->tries : TRIES,
        .lookups = o->no_hosts_file ? (char *)"b" : (char *)"fb", /* hosts file first, then DNS */
        .resolvconf_path = (char *)o->resolv_conf,
    };
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS;
    if (o->resolv_conf)
        mask |= ARES_OPT_RESOLVCONF;
    if (!o->search) { /* the flag alone does not bind getaddrinfo in every release; no domains does */
        options.flags |= ARES_FLAG_NOSEARCH;
        mask |= ARES_OPT_FLAGS | ARES_OPT_DOMAINS;
    }
    int status = ares_init_options(&c->ares, &options, mask);
    if (status != ARES_SUCCESS)
        return -ENOMEM; /* a missing or odd resolv.conf is not an error to c-ares */
    if (o->servers && ares_set_servers_ports_csv(c->ares, o->servers) != ARES_SUCCESS) {
        ares_destroy(c->ares);
        return -EINVAL;
    }
    return 0;
}

int resolve_channel_new(struct worker *w, const struct resolver_options *o, struct resolve_channel **ret)
{
    struct resolve_channel *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->worker = w;
    timer_init(&c->timeout, on_timeout);
    for (int i = 0; i < SOCKETS_MAX; i++) {
        c->sockets[i].fd = -1;
        c->sockets[i].watch.owner = c;
        c->sockets[i].watch.ready = on_ready;
    }
    int r = channel_init(c, o);
    if (r < 0) {
        free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void resolve_channel_free(struct resolve_channel **cp)
{
    struct resolve_channel *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    ares_destroy(c->ares); /* says good-bye to every socket through on_socket_state */
    for (int i = 0; i < SOCKETS_MAX; i++)
        disarm(&c->sockets[i]);
    worker_disarm(c->worker, &c->timeout);
    free(c);
}

void resolve_channel_ask(struct resolve_channel *c, const char *name, ares_addrinfo_callback answer,
                         void *arg)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(c->ares, name, NULL, &hints, answer, arg);
    settle(c);
}
