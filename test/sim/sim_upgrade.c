/* test/sim/sim_upgrade.c — how a scripted backend answers a request for an upgrade, and what then becomes of
 * the connection.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_backend_conn.h"

static struct sim_tunnel *tunnel_of(const struct backend_conn *c)
{
    return sim_tunnel_find(c->backend->tunnels, c->tunnel);
}

static void judge_request(struct backend_conn *c, const struct sim_tunnel *x)
{
    struct sim_tunnels *t = c->backend->tunnels;
    const struct http_reader *r = &c->reader;
    if (!sim_backend_is_trusted(c->backend))
        sim_tunnel_violation(t, x->id, "was asked of a backend that cannot prove who it is");
    if (x->backend != c->backend->options.number || strcmp(r->host, c->backend->host) != 0)
        sim_tunnel_violation(t, x->id, "came to backend %u as %s", c->backend->options.number, r->host);
    if (!r->has_id || r->id != sim_upgrade_id(x->id))
        sim_tunnel_violation(t, x->id, "was asked in the name of %" PRIu32, r->id);
    if (!r->option_upgrade || strcmp(r->upgrade, x->protocol) != 0)
        sim_tunnel_violation(t, x->id, "the upgrade came as \"%s\" instead of %s", r->upgrade, x->protocol);
    if (x->seen > 1)
        sim_tunnel_violation(t, x->id, "was asked %u times", x->seen);
}

bool backend_asked_for_upgrade(struct backend_conn *c)
{
    const char *mark = strstr(c->reader.target, "/t/");
    struct sim_tunnel *x = mark ? sim_tunnel_find(c->backend->tunnels, (uint32_t)strtoul(mark + 3, NULL, 10))
                                : NULL;
    if (!x)
        return false;
    c->tunnel = x->id;
    c->asked_for_upgrade = true;
    x->seen++;
    sim_trace(c->backend->net, "upgrade", c->backend->options.number, x->id, x->seen);
    judge_request(c, x);
    if (x->destination == DESTINATION_HASTY) {
        c->answer_begun = true;
        backend_answer_upgrade(c);
    }
    return true;
}

static void put_101(struct backend_conn *c, const char *protocol)
{
    sim_bytes_print(&c->out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n\r\n",
                    protocol);
}

/* The first words of the tunnel ride with the 101. */
static void switch_protocols(struct backend_conn *c, const struct sim_tunnel *x)
{
    uint8_t early[4096];
    uint32_t len = x->answer_early < sizeof(early) ? x->answer_early : (uint32_t)sizeof(early);
    put_101(c, x->protocol);
    c->answer_at = c->out_total + (c->out.len - c->out.at);
    struct sim_end *e = sim_end_add(c->backend->tunnels, SIDE_ANSWER, x->id);
    e->script = x->far;
    c->end = e->id;
    sim_tunnel_fill(c->end, 0, early, len);
    sim_bytes_put(&c->out, early, len);
    c->becomes_tunnel = true;
}

static void put_ordinary(struct backend_conn *c, const struct sim_tunnel *x)
{
    if (x->answer_until_close)
        backend_put_until_close(c, sim_upgrade_id(x->id), x->answer_status, x->answer_len);
    else
        backend_put_length(c, sim_upgrade_id(x->id), x->answer_status, x->answer_len, "");
}

void backend_answer_upgrade(struct backend_conn *c)
{
    const struct sim_tunnel *x = tunnel_of(c);
    switch (x->destination) {
    case DESTINATION_SWITCHES: switch_protocols(c, x); break;
    case DESTINATION_FOREIGN:
        put_101(c, sim_chance(c->backend->net, 500) ? "h2c" : "websocket, SPDY/3.1");
        break;
    case DESTINATION_HASTY: put_101(c, x->protocol); break;
    case DESTINATION_ORDINARY: put_ordinary(c, x); break;
    case DESTINATION_CUTS:
    case DESTINATION_BREAKS:
        put_101(c, x->protocol);
        backend_cut(c, 0, UINT64_MAX);
        c->reset_after = x->destination == DESTINATION_BREAKS;
        break;
    case DESTINATION_MUTE: c->never = true; break;
    case DESTINATION_OPEN:
    case DESTINATION_SHARED:
    case DESTINATION_REFUSES:
    case DESTINATION_UNREACHABLE:
    case DESTINATION_SILENT:
    case DESTINATION_FORBIDDEN:
    case DESTINATION_COUNT: ASSERT(!"a destination of upgrades");
    }
}

void backend_said(struct backend_conn *c)
{
    if (c->end != 0 && c->out_total > c->answer_at)
        sim_end_find(c->backend->tunnels, c->end)->said = c->out_total - c->answer_at;
}

static void on_over(struct sim_peer *p)
{
    sim_peer_free(&p);
}

void backend_become_tunnel(struct backend_conn *c)
{
    size_t rest = c->in.len - c->in.at;
    struct sim_peer *p = sim_peer_new(&(struct sim_peer_options){.book = c->backend->tunnels,
                                                                 .channel = c->channel,
                                                                 .end = c->end,
                                                                 .before_out = c->answer_at,
                                                                 .before_in = c->in_total - rest,
                                                                 .over = on_over});
    list_add_tail(&c->backend->peers, &p->node);
    if (rest > 0)
        sim_peer_input(p, c->in.mem + c->in.at, rest);
    if (c->peer_ended)
        sim_peer_input_end(p);
    if (!p->stopped)
        c->channel->ops->pause(c->channel, false); /* may read on at once, up to the end */
}

uint32_t sim_backend_tunnels(const struct sim_backend *b)
{
    uint32_t n = 0;
    list_each_safe(node, tmp, (struct list *)&b->peers) n++;
    return n;
}
