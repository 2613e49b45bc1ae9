/* test/support/poll_engine.c — see poll_engine.h. A wake is a byte in the target's eventfd. */
#include "test/support/poll_engine.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "io/engine.h"
#include "io/worker.h"

struct poll_watch {
    struct watch *watch; /* NULL: free */
    int fd;
    short events;
};

struct poll_engine {
    struct engine engine;
    int event_fd;
    uint64_t skipped_ns, wakes;
    struct poll_watch watches[POLL_WATCHES_MAX];
};

static struct poll_engine *of(const struct engine *e)
{
    return container_of(e, struct poll_engine, engine);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t engine_now(struct engine *e)
{
    return clock_ns(CLOCK_MONOTONIC) + of(e)->skipped_ns;
}

static uint64_t engine_wall(struct engine *e)
{
    return clock_ns(CLOCK_REALTIME) + of(e)->skipped_ns;
}

static void engine_random(struct engine *e, void *bytes, size_t len)
{
    (void)e;
    ASSERT(getrandom(bytes, len, 0) == (ssize_t)len);
}

static int engine_watch(struct engine *e, struct watch *w, int fd, bool readable, bool writable)
{
    struct poll_engine *p = of(e);
    for (int i = 0; i < POLL_WATCHES_MAX; i++) {
        if (p->watches[i].watch)
            continue;
        p->watches[i] = (struct poll_watch){w, fd,
                                            (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0))};
        w->engine = e;
        w->impl = &p->watches[i];
        return 0;
    }
    return -ENOMEM;
}

static void engine_unwatch(struct watch *w)
{
    struct poll_watch *slot = w->impl;
    if (!slot)
        return;
    slot->watch = NULL;
    w->impl = NULL;
}

static void engine_wake(struct engine *e, unsigned worker)
{
    uint64_t one = 1;
    ASSERT(write(of(e->worker->peers[worker]->engine)->event_fd, &one, sizeof(one)) == sizeof(one));
}

static void engine_turn(struct engine *e, uint64_t wait_until_ns)
{
    struct poll_engine *p = of(e);
    struct pollfd fds[POLL_WATCHES_MAX + 1];
    struct watch *watches[POLL_WATCHES_MAX + 1];
    nfds_t n = 0;
    fds[n++] = (struct pollfd){.fd = p->event_fd, .events = POLLIN};
    for (int i = 0; i < POLL_WATCHES_MAX; i++) {
        if (!p->watches[i].watch)
            continue;
        watches[n] = p->watches[i].watch;
        fds[n++] = (struct pollfd){.fd = p->watches[i].fd, .events = p->watches[i].events};
    }
    uint64_t now = engine_now(e);
    uint64_t wait = wait_until_ns > now ? wait_until_ns - now : 0;
    struct timespec limit = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
    int ready = ppoll(fds, n, &limit, NULL);
    e->worker->now_ns = engine_now(e);
    if (ready <= 0)
        return;
    uint64_t count;
    if (fds[0].revents && read(p->event_fd, &count, sizeof(count)) == sizeof(count))
        p->wakes += count;
    for (nfds_t i = 1; i < n; i++) {
        struct poll_watch *slot = watches[i]->impl;
        /* An earlier callback may have let this watch go, or pointed it elsewhere. */
        if (!fds[i].revents || !slot || slot->watch != watches[i] || slot->fd != fds[i].fd)
            continue;
        bool failed = fds[i].revents & (POLLERR | POLLHUP | POLLNVAL);
        bool in = failed || (fds[i].revents & POLLIN), out = failed || (fds[i].revents & POLLOUT);
        engine_unwatch(watches[i]);
        watches[i]->ready(watches[i], in, out);
    }
}

static void engine_free(struct engine *e)
{
    struct poll_engine *p = of(e);
    for (int i = 0; i < POLL_WATCHES_MAX; i++)
        ASSERT(p->watches[i].watch == NULL); /* somebody forgot to unwatch */
    close(p->event_fd);
    free(p);
}

static const struct engine_ops poll_ops = {
    .name = "poll",
    .watch = engine_watch,
    .unwatch = engine_unwatch,
    .wake = engine_wake,
    .turn = engine_turn,
    .now_ns = engine_now,
    .wall_ns = engine_wall,
    .random = engine_random,
    .free = engine_free,
};

int poll_engine_new(struct worker *w, struct engine **ret)
{
    struct poll_engine *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->engine = (struct engine){.ops = &poll_ops, .worker = w};
    p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event_fd < 0) {
        int err = errno;
        free(p);
        return -err;
    }
    *ret = &p->engine;
    return 0;
}

void poll_engine_skip(struct engine *e, uint64_t ns)
{
    of(e)->skipped_ns += ns;
}

uint64_t poll_engine_wakes(const struct engine *e)
{
    return of(e)->wakes;
}
