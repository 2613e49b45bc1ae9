/* bench/ring_relay.c — hawser-ring-relay: a bare byte relay on Hawser's own engine, the floor under any
 * broker built on these rings.
 *
 *   hawser-ring-relay LISTEN TARGET [WORKERS]     each is ADDRESS:PORT or unix:PATH
 *
 * Every accepted connection is joined to one dialled connection; bytes are passed on as they come, under the
 * same credits a tunnel has. It knows nothing of HTTP, TLS or pools. Ends on SIGTERM or SIGINT.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "io/worker.h"

enum { CREDIT = 256 * 1024 };

struct side {
    struct stream *stream;
    struct side *other;
    struct worker *worker;
    bool closed;
};

static struct net_address target;
static _Atomic bool stopping;

static void release_pair(struct side *s)
{
    if (!s->closed || !s->other->closed)
        return;
    stream_free(s->stream);
    stream_free(s->other->stream);
    free(s->other);
    free(s);
}

static void on_open(struct stream *stream)
{
    (void)stream;
}

static void on_data(struct stream *stream, struct seg seg)
{
    struct side *s = stream->owner;
    stream_send(s->other->stream, seg);
}

static void on_sent(struct stream *stream, struct seg seg)
{
    struct side *s = stream->owner;
    if (!s->other->closed)
        stream_grant(s->other->stream, seg.len);
    worker_release_seg(s->worker, seg);
}

static void on_end(struct stream *stream)
{
    struct side *s = stream->owner;
    stream_finish(s->other->stream);
}

static void on_closed(struct stream *stream, enum ending reason)
{
    struct side *s = stream->owner;
    s->closed = true;
    if (!s->other->closed && reason != ENDING_DONE)
        stream_abort(s->other->stream, reason);
    release_pair(s);
}

static const struct stream_events events = {on_open, on_data, on_sent, on_end, on_closed};

static void on_accepted(struct listener *l, int handle, const struct net_peer *peer)
{
    struct engine *e = l->engine;
    struct side *front = calloc(1, sizeof(*front)), *back = calloc(1, sizeof(*back));
    struct stream *a = e->ops->adopt(e, handle, peer);
    struct stream *b = a ? e->ops->dial(e, &target) : NULL;
    if (!front || !back || !b) {
        fprintf(stderr, "hawser-ring-relay: out of memory or descriptors\n");
        exit(1);
    }
    *front = (struct side){.stream = a, .other = back, .worker = e->worker};
    *back = (struct side){.stream = b, .other = front, .worker = e->worker};
    stream_bind(a, &events, front);
    stream_bind(b, &events, back);
    stream_grant(a, CREDIT);
    stream_grant(b, CREDIT);
}

static void on_signal(int sig)
{
    (void)sig;
    stopping = true;
}

static void worker_main(struct worker *w)
{
    while (!stopping)
        worker_turn(w, w->now_ns + 100000000u);
}

static bool parse(const char *text, struct net_address *ret)
{
    if (strncmp(text, "unix:", 5) == 0)
        return net_address_unix(text + 5, ret);
    const char *colon = strrchr(text, ':');
    return colon &&
           net_address_parse(text, (size_t)(colon - text), (uint16_t)strtoul(colon + 1, NULL, 10), ret);
}

int main(int argc, char **argv)
{
    struct listen_options listen = {.backlog = 1024,
                                    .unix_mode = 0600,
                                    .unix_owner = (uid_t)-1,
                                    .unix_group = (gid_t)-1,
                                    .share_port = true};
    unsigned count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    if (argc < 3 || !parse(argv[1], &listen.address) || !parse(argv[2], &target) || count < 1 || count > 16) {
        fprintf(stderr, "usage: hawser-ring-relay LISTEN TARGET [WORKERS]\n");
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    struct engine_probe probe;
    engine_uring_probe(&probe);
    if (!probe.usable) {
        fprintf(stderr, "hawser-ring-relay: %s\n", probe.detail);
        return 1;
    }
    static struct worker workers[16];
    static struct worker *peers[16];
    static struct listener listeners[16];
    struct mailboxes *mail;
    struct buf_limits limits = {
        {16384, 1024, 4}
    };
    if (mailboxes_new(count, 1024, &mail) < 0)
        return 1;
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = peers[i] = &workers[i];
        if (worker_init(w, i, count, mail, &limits) < 0 || engine_uring_new(w, &probe, &w->engine) < 0)
            return 1;
        w->engine->sockets = (struct socket_options){.keepalive_ms = 15000, .user_timeout_ms = 30000};
        w->peers = peers;
        worker_start_clock(w);
        listeners[i].accepted = on_accepted;
        int rc = w->engine->ops->listen(w->engine, &listeners[i], &listen);
        if (rc < 0) {
            fprintf(stderr, "hawser-ring-relay: listen %s: %s\n", argv[1], strerror(-rc));
            return 1;
        }
    }
    for (unsigned i = 0; i < count; i++)
        if (worker_start_thread(&workers[i], -1, worker_main) < 0)
            return 1;
    for (unsigned i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    return 0;
}
