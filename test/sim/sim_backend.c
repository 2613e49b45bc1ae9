/* test/sim/sim_backend.c — see sim_backend.h. */
#include "sim_backend.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "sim_backend_conn.h"

static struct sim_exchange *exchange_of(const struct backend_conn *c)
{
    return sim_ledger_find(c->backend->ledger, c->id);
}

static void conn_free(struct backend_conn *c)
{
    struct sim_backend *b = c->backend;
    sim_event_cancel(b->net, &c->think);
    sim_event_cancel(b->net, &c->idle);
    if (c->end != 0 && !sim_end_find(b->tunnels, c->end)->peer)
        sim_end_find(b->tunnels, c->end)->lost = true;
    sim_bytes_fini(&c->in);
    sim_bytes_fini(&c->out);
    list_remove(&c->node);
    b->conns_now--;
    free(c);
}

static void conn_end(struct backend_conn *c, bool reset)
{
    if (reset)
        c->channel->ops->reset(c->channel);
    else
        c->channel->ops->close(c->channel);
    conn_free(c);
}

static void begin_answer(struct backend_conn *c)
{
    ASSERT(c->out.len == c->out.at);
    c->answer_begun = true;
    c->answer_at = c->out_total;
    if (c->tunnel != 0)
        backend_answer_upgrade(c);
    else
        backend_answer(c);
}

/* -- requests -----------------------------------------------------------------------------------------------
 */

static void on_head(struct http_reader *r)
{
    struct backend_conn *c = r->owner;
    struct sim_backend *b = c->backend;
    uint32_t id = 0;
    const char *mark = strstr(r->target, "/x/");
    b->requests++;
    if (c->asked_for_upgrade)
        sim_violation(b->ledger, 0, "a connection that was asked for an upgrade is asked for %s", r->target);
    if (backend_asked_for_upgrade(c))
        return;
    if (mark)
        id = (uint32_t)strtoul(mark + 3, NULL, 10);
    struct sim_exchange *x = sim_ledger_find(b->ledger, id);
    if (!x || !r->has_id || r->id != id) {
        sim_violation(b->ledger, id, "backend %u read a request it cannot place: %s %s", b->options.number,
                      r->method, r->target);
        r->part = PART_BAD;
        return;
    }
    c->id = id;
    x->seen++;
    if (!sim_backend_is_trusted(b))
        sim_violation(b->ledger, id, "was sent to a backend that cannot prove who it is");
    if (strcmp(r->method, sim_method_name(x->method)) != 0)
        sim_violation(b->ledger, id, "the method came as %s", r->method);
    if (x->backend != b->options.number || strcmp(r->host, b->host) != 0)
        sim_violation(b->ledger, id, "came to backend %u as %s", b->options.number, r->host);
    if (x->seen > (sim_is_idempotent(x->method) ? b->options.seen_max : 1))
        sim_violation(b->ledger, id, "was sent %u times", x->seen);
    if (x->seen > 1)
        x->request_at_backend = 0;
    sim_trace(b->net, "request", b->options.number, id, x->seen);
    if (x->act == ACT_EARLY || x->act == ACT_EARLY_CLOSE)
        begin_answer(c);
}

static void on_body(struct http_reader *r, const uint8_t *bytes, size_t len)
{
    struct backend_conn *c = r->owner;
    struct sim_exchange *x = exchange_of(c);
    if (c->tunnel != 0 && !sim_body_matches(sim_upgrade_id(c->tunnel), SIDE_REQUEST, r->body, bytes, len))
        sim_tunnel_violation(c->backend->tunnels, c->tunnel, "its request's body is another's");
    if (!x)
        return;
    if (!sim_body_matches(x->id, SIDE_REQUEST, r->body, bytes, len))
        sim_violation(c->backend->ledger, x->id, "its request's body is another's from byte %" PRIu64,
                      r->body);
    x->request_at_backend = r->body + len;
}

static void on_request_complete(struct backend_conn *c)
{
    const struct sim_exchange *x = exchange_of(c);
    const struct sim_tunnel *t = sim_tunnel_find(c->backend->tunnels, c->tunnel);
    c->request_done = true;
    if (c->reader.body != (t ? t->request_len : x->request_len))
        sim_violation(c->backend->ledger, c->id, "its request's body ended after %" PRIu64 " bytes",
                      c->reader.body);
    if (!c->answer_begun && c->think.index == 0)
        sim_event_at(c->backend->net, &c->think,
                     sim_now_ns(c->backend->net) + (t ? t->delay_ns : x->delay_ns));
}

static void read_requests(struct backend_conn *c)
{
    if (c->request_done || c->in.at == c->in.len)
        return;
    size_t n = http_read(&c->reader, c->in.mem + c->in.at, c->in.len - c->in.at);
    sim_bytes_take(&c->in, n);
    if (c->reader.part == PART_DONE)
        on_request_complete(c);
    else if (c->reader.part == PART_BAD && c->backend->ledger->violations == 0)
        sim_violation(c->backend->ledger, c->id, "malformed request: %s", c->reader.complaint);
}

static void next_request(struct backend_conn *c)
{
    struct sim_backend *b = c->backend;
    http_reader_begin(&c->reader, false, false);
    c->id = c->tunnel = 0;
    c->request_done = c->answer_begun = false;
    if (sim_chance(b->net, b->options.idle_close))
        sim_event_at(b->net, &c->idle, sim_now_ns(b->net) + sim_between(b->net, 0, b->options.idle_max_ns));
}

static bool is_idle(const struct backend_conn *c)
{
    return c->id == 0 && c->tunnel == 0 && c->in.at == c->in.len && http_reader_is_fresh(&c->reader);
}

static void flush_answer(struct backend_conn *c)
{
    size_t len = c->out.len - c->out.at;
    if (len == 0)
        return;
    len = c->channel->ops->write(c->channel, c->out.mem + c->out.at, len);
    sim_bytes_take(&c->out, len);
    c->out_total += len;
    backend_said(c);
}

/* Goes on with whatever can be done; may free the connection. */
static void conn_work(struct backend_conn *c)
{
    for (;;) {
        read_requests(c);
        flush_answer(c);
        bool written = c->answer_begun && c->out.at == c->out.len && !c->never;
        if (written && c->becomes_tunnel) {
            backend_become_tunnel(c);
            conn_free(c);
            return;
        }
        if (c->reader.part == PART_BAD || (written && c->close_after)) {
            conn_end(c, c->reset_after);
            return;
        }
        if (!(written && c->request_done))
            break;
        next_request(c);
    }
    if (c->peer_ended && (c->never || is_idle(c) || (!c->request_done && c->in.at == c->in.len))) {
        conn_end(c, false);
        return;
    }
    c->channel->ops->pause(c->channel, c->in.len - c->in.at > SIM_INPUT_MAX);
}

static void on_input(struct sim_channel *channel, const uint8_t *bytes, size_t len)
{
    struct backend_conn *c = channel->owner;
    sim_bytes_put(&c->in, bytes, len);
    c->in_total += len;
    conn_work(c);
}

static void on_writable(struct sim_channel *channel)
{
    conn_work(channel->owner);
}

static void on_ended(struct sim_channel *channel)
{
    struct backend_conn *c = channel->owner;
    c->peer_ended = true;
    conn_work(c);
}

static void on_gone(struct sim_channel *channel)
{
    conn_free(channel->owner);
}

static const struct sim_channel_events channel_events = {on_input, on_writable, on_ended, on_gone};

static void on_think(struct sim_event *e)
{
    struct backend_conn *c = container_of(e, struct backend_conn, think);
    begin_answer(c);
    conn_work(c);
}

static void on_idle(struct sim_event *e)
{
    struct backend_conn *c = container_of(e, struct backend_conn, idle);
    if (is_idle(c))
        conn_end(c, sim_chance(c->backend->net, 200));
}

/* -- connections --------------------------------------------------------------------------------------------
 */

static void conn_new(struct sim_backend *b, struct sim_channel *channel)
{
    struct backend_conn *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    c->backend = b;
    c->channel = channel;
    c->reader.owner = c;
    c->reader.on_head = on_head;
    c->reader.on_body = on_body;
    c->think.fire = on_think;
    c->idle.fire = on_idle;
    http_reader_begin(&c->reader, false, false);
    channel->owner = c;
    channel->events = &channel_events;
    list_init(&c->node);
    list_add_tail(&b->conns, &c->node);
    b->conns_now++;
    b->accepted++;
    b->ledger->connections++;
    uint32_t held = sim_dialled_to(b->net, &b->options.address);
    if (b->options.conns_cap > 0 && held > b->options.conns_cap)
        sim_violation(b->ledger, 0, "%u connections are held to backend %u, whose cap is %u", held,
                      b->options.number, b->options.conns_cap);
}

static void on_incoming(struct sim_listener *l, struct sim_sock *sock, const struct net_peer *peer)
{
    (void)peer;
    conn_new(l->owner, sim_channel_raw(sock));
}

static void on_accepted(struct listener *l, int handle, const struct net_peer *peer)
{
    struct sim_backend *b = l->owner;
    struct stream *s = l->engine->ops->adopt(l->engine, handle, peer);
    if (s && b->options.trust != TRUST_PLAIN)
        s = sim_tls_wrap((void *)(uintptr_t)b->options.trust, s);
    if (s)
        conn_new(b, sim_channel_stream(s));
}

struct sim_backend *sim_backend_new(struct sim_net *n, struct sim_ledger *ledger,
                                    const struct sim_backend_options *options)
{
    struct sim_backend *b = calloc(1, sizeof(*b));
    ASSERT(b != NULL);
    b->net = n;
    b->ledger = ledger;
    b->tunnels = options->tunnels;
    b->options = *options;
    b->listening = true;
    list_init(&b->conns);
    list_init(&b->peers);
    net_address_text(&options->address, b->host);
    if (options->engine) {
        struct listen_options listen = {.address = options->address, .backlog = 128};
        b->listener = (struct listener){.owner = b, .accepted = on_accepted};
        ASSERT(options->engine->ops->listen(options->engine, &b->listener, &listen) == 0);
    } else {
        b->raw = (struct sim_listener){.owner = b, .incoming = on_incoming};
        sim_listen(n, &b->raw, &options->address);
    }
    return b;
}

void sim_backend_close(struct sim_backend *b)
{
    if (b->listening && b->options.engine)
        b->options.engine->ops->unlisten(&b->listener);
    else if (b->listening)
        sim_unlisten(&b->raw);
    b->listening = false;
    while (!list_empty(&b->conns))
        conn_end(list_entry(b->conns.next, struct backend_conn, node), true);
    while (!list_empty(&b->peers))
        sim_peer_break(list_entry(b->peers.next, struct sim_peer, node));
}

void sim_backend_free(struct sim_backend **bp)
{
    struct sim_backend *b = *bp;
    *bp = NULL;
    if (!b)
        return;
    ASSERT(!b->listening && list_empty(&b->conns) && list_empty(&b->peers));
    free(b);
}

const char *sim_backend_host(const struct sim_backend *b)
{
    return b->host;
}

const char *sim_backend_scheme(const struct sim_backend *b)
{
    return b->options.trust == TRUST_PLAIN ? "http" : "https";
}

bool sim_backend_is_trusted(const struct sim_backend *b)
{
    return b->options.trust == TRUST_PLAIN || b->options.trust == TRUST_GOOD;
}

unsigned sim_backend_number(const struct sim_backend *b)
{
    return b->options.number;
}

uint32_t sim_backend_conns(const struct sim_backend *b)
{
    return b->conns_now;
}

uint64_t sim_backend_accepted(const struct sim_backend *b)
{
    return b->accepted;
}

uint64_t sim_backend_requests(const struct sim_backend *b)
{
    return b->requests;
}

static void check_held(const struct backend_conn *c, uint32_t held_max)
{
    struct sim_traffic seen;
    const struct sim_exchange *x = exchange_of(c);
    if (!x || x->outcome != OUTCOME_PENDING || !c->answer_begun ||
        !c->channel->ops->traffic(c->channel, &seen) || seen.taken < c->answer_at)
        return;
    uint64_t taken = seen.taken - c->answer_at;
    if (taken > x->answer_at_client + held_max)
        sim_violation(c->backend->ledger, x->id, "%" PRIu64 " bytes of its answer are under way",
                      taken - x->answer_at_client);
}

void sim_backend_check(const struct sim_backend *b, uint64_t told_ns, uint32_t held_max)
{
    list_each_safe(node, tmp, (struct list *)&b->peers)
        sim_peer_check_told(list_entry(node, struct sim_peer, node), told_ns);
    list_each_safe(node, tmp, (struct list *)&b->conns)
        check_held(list_entry(node, struct backend_conn, node), held_max);
}
