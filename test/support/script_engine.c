/* test/support/script_engine.c — see script_engine.h. */
#include "test/support/script_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mailbox.h"

enum event_kind { EVENT_OPEN, EVENT_DATA, EVENT_SENT, EVENT_END, EVENT_CLOSED };

struct event {
    struct list node;
    struct script_stream *stream; /* NULL: it was freed meanwhile */
    enum event_kind kind;
    struct seg seg;
    enum ending ending;
};

static void say(struct script_stream *s, enum event_kind kind, struct seg seg, enum ending ending)
{
    struct event *ev = calloc(1, sizeof(*ev));
    ASSERT(ev);
    *ev = (struct event){.stream = s, .kind = kind, .seg = seg, .ending = ending};
    list_init(&ev->node);
    list_add_tail(&s->engine->events, &ev->node);
}

/* -- the stream's own calls ---------------------------------------------------------------------------------
 */

static struct script_stream *of(struct stream *s)
{
    return container_of(s, struct script_stream, stream);
}

static void say_closed(struct script_stream *s, enum ending ending)
{
    if (s->closing)
        return;
    s->closing = true;
    say(s, EVENT_CLOSED, (struct seg){0}, ending);
}

static void stream_grants(struct stream *stream, uint32_t bytes)
{
    of(stream)->credit += bytes;
}

static void stream_sends(struct stream *stream, struct seg seg)
{
    struct script_stream *s = of(stream);
    if (s->finished || s->closing) {
        worker_release_seg(stream->worker, seg);
        return;
    }
    if (s->engine->tap)
        s->engine->tap(s, seg.data, seg.len);
    say(s, EVENT_SENT, seg, ENDING_DONE);
}

static void stream_finishes(struct stream *stream)
{
    struct script_stream *s = of(stream);
    s->finished = true;
    if (s->peer_ended)
        say_closed(s, ENDING_DONE);
}

static void stream_aborts(struct stream *stream, enum ending reason)
{
    say_closed(of(stream), reason);
}

static void stream_frees(struct stream *stream)
{
    struct script_stream *s = of(stream);
    struct script_engine *e = s->engine;
    ASSERT(s->closed || s->covered);
    for (struct list *n = e->events.next; n != &e->events; n = n->next) {
        struct event *ev = list_entry(n, struct event, node);
        if (ev->stream == s)
            ev->stream = NULL;
    }
    if (s->lower)
        stream_frees(&s->lower->stream);
    list_remove(&s->node);
    e->alive--;
    free(s);
}

static const struct stream_ops stream_ops = {.kind = "script",
                                             .grant = stream_grants,
                                             .send = stream_sends,
                                             .finish = stream_finishes,
                                             .abort = stream_aborts,
                                             .free = stream_frees};

static struct script_stream *stream_new(struct script_engine *e)
{
    struct script_stream *s = calloc(1, sizeof(*s));
    ASSERT(s);
    s->stream.ops = &stream_ops;
    s->stream.worker = &e->worker;
    s->engine = e;
    list_init(&s->node);
    list_add_tail(&e->streams, &s->node);
    e->alive++;
    return s;
}

/* -- the engine ---------------------------------------------------------------------------------------------
 */

static struct script_engine *script_of(struct engine *engine)
{
    return container_of(engine, struct script_engine, engine);
}

static struct stream *engine_dial(struct engine *engine, const struct net_address *address)
{
    struct script_engine *e = script_of(engine);
    if (e->refuse_dials)
        return NULL;
    struct script_stream *s = stream_new(e);
    s->address = *address;
    e->dialled++;
    return &s->stream;
}

static void deliver(struct worker *w, struct event *ev)
{
    struct script_stream *s = ev->stream;
    if (!s || s->closed) {
        if (ev->seg.buf)
            worker_release_seg(w, ev->seg);
        return;
    }
    const struct stream_events *events = s->stream.events;
    switch (ev->kind) {
    case EVENT_OPEN: events->open(&s->stream); break;
    case EVENT_DATA: events->data(&s->stream, ev->seg); break;
    case EVENT_SENT: events->sent(&s->stream, ev->seg); break;
    case EVENT_END: events->end(&s->stream); break;
    case EVENT_CLOSED:
        s->closed = true;
        events->closed(&s->stream, ev->ending);
        break;
    }
}

static void engine_turn(struct engine *engine, uint64_t wait_until_ns)
{
    struct script_engine *e = script_of(engine);
    struct list *node;
    size_t count = 0; /* what these events cause comes with the next turn */
    (void)wait_until_ns;
    e->worker.now_ns = e->now_ns;
    for (node = e->events.next; node != &e->events; node = node->next)
        count++;
    while (count-- > 0 && (node = list_pop(&e->events))) {
        struct event *ev = list_entry(node, struct event, node);
        deliver(&e->worker, ev);
        free(ev);
    }
}

static uint64_t engine_now(struct engine *engine)
{
    return script_of(engine)->now_ns;
}

static void engine_random(struct engine *engine, void *bytes, size_t len)
{
    struct script_engine *e = script_of(engine);
    uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) {
        e->seed = e->seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(e->seed >> 56);
    }
}

static void engine_wake(struct engine *engine, unsigned worker)
{
    (void)engine;
    (void)worker;
}

static void engine_free(struct engine *engine)
{
    (void)engine;
}

static const struct engine_ops engine_ops = {
    .name = "script",
    .dial = engine_dial,
    .wake = engine_wake,
    .turn = engine_turn,
    .now_ns = engine_now,
    .wall_ns = engine_now,
    .random = engine_random,
    .free = engine_free,
};

void script_start(struct script_engine *e, uint64_t seed)
{
    static const struct buf_limits limits = {
        .max = {512, 256, 2}
    };
    *e = (struct script_engine){.seed = seed, .now_ns = 1000000000};
    list_init(&e->streams);
    list_init(&e->events);
    ASSERT(mailboxes_new(1, 64, &e->mail) == 0);
    ASSERT(worker_init(&e->worker, 0, 1, e->mail, &limits) == 0);
    e->peers[0] = &e->worker;
    e->worker.peers = e->peers;
    e->engine = (struct engine){.ops = &engine_ops, .worker = &e->worker};
    e->worker.engine = &e->engine;
    worker_start_clock(&e->worker);
}

void script_stop(struct script_engine *e)
{
    ASSERT(e->alive == 0);
    ASSERT(list_empty(&e->events));
    worker_fini(&e->worker);
    mailboxes_free(&e->mail);
}

void script_run(struct script_engine *e)
{
    do
        worker_turn(&e->worker, 0);
    while (!list_empty(&e->events) || !list_empty(&e->worker.tasks));
}

void script_advance_ms(struct script_engine *e, uint64_t ms)
{
    e->now_ns += ms * 1000000u;
    script_run(e);
}

/* -- the script ---------------------------------------------------------------------------------------------
 */

struct script_stream *script_last(struct script_engine *e)
{
    return list_empty(&e->streams) ? NULL : list_entry(e->streams.prev, struct script_stream, node);
}

struct script_stream *script_dialling(struct script_engine *e)
{
    for (struct list *n = e->streams.next; n != &e->streams; n = n->next) {
        struct script_stream *s = list_entry(n, struct script_stream, node);
        if (!s->opened && !s->closing)
            return s;
    }
    return NULL;
}

void script_open(struct script_stream *s)
{
    s->opened = true;
    say(s, EVENT_OPEN, (struct seg){0}, ENDING_DONE);
}

void script_open_tls(struct script_stream *s, bool resumed, const char *version)
{
    ASSERT(s->lower);
    s->info.resumed = resumed;
    s->info.version = version;
    script_open(s);
}

void script_data(struct script_stream *s, const char *text)
{
    script_bytes(s, text, (uint32_t)strlen(text));
}

void script_bytes(struct script_stream *s, const void *bytes, uint32_t len)
{
    struct buf *b = buf_get_bytes(&s->engine->worker.bufs, len);
    ASSERT(b && s->credit >= len);
    s->credit -= len;
    memcpy(b->mem, bytes, len);
    say(s, EVENT_DATA, (struct seg){.buf = b, .data = b->mem, .len = len}, ENDING_DONE);
}

void script_end(struct script_stream *s)
{
    s->peer_ended = true;
    say(s, EVENT_END, (struct seg){0}, ENDING_DONE);
    if (s->finished)
        say_closed(s, ENDING_DONE);
}

void script_close(struct script_stream *s, enum ending ending)
{
    say_closed(s, ending);
}

void script_ticket(struct script_stream *s, const char *text)
{
    ASSERT(s->on_ticket && !s->closed);
    s->on_ticket(&s->stream, (const uint8_t *)text, strlen(text));
}

/* -- the TLS double -----------------------------------------------------------------------------------------
 */

static void lower_open(struct stream *s)
{
    (void)s;
}

static void lower_data(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void lower_end(struct stream *s)
{
    (void)s;
}

static void lower_closed(struct stream *s, enum ending ending)
{
    say_closed(s->owner, ending);
}

static const struct stream_events lower_events = {lower_open, lower_data, lower_data, lower_end,
                                                  lower_closed};

struct stream *__wrap_tls_connect(struct worker *, struct stream **, struct tls_context *,
                                  const struct tls_expect *, const uint8_t *, size_t,
                                  void (*)(struct stream *, const uint8_t *, size_t));
const struct tls_info *__wrap_tls_stream_info(const struct stream *);

struct stream *__wrap_tls_connect(struct worker *w, struct stream **lower, struct tls_context *context,
                                  const struct tls_expect *expect, const uint8_t *ticket, size_t ticket_len,
                                  void (*on_ticket)(struct stream *, const uint8_t *, size_t))
{
    struct script_engine *e = container_of(w->engine, struct script_engine, engine);
    struct script_stream *s = stream_new(e);
    (void)context;
    s->lower = of(*lower);
    s->lower->covered = true;
    stream_bind(*lower, &lower_events, s);
    *lower = NULL;
    s->address = s->lower->address;
    s->expect = *expect;
    s->on_ticket = on_ticket;
    s->ticket_len = ticket_len;
    memcpy(s->ticket, ticket ? ticket : (const uint8_t *)"", ticket_len < 64 ? ticket_len : 63);
    s->info.ticket_offered = ticket != NULL;
    s->info.version = "TLSv1.3";
    return &s->stream;
}

const struct tls_info *__wrap_tls_stream_info(const struct stream *stream)
{
    return &of((struct stream *)(uintptr_t)stream)->info;
}
