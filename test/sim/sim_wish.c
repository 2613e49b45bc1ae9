/* test/sim/sim_wish.c — see sim_wish.h. */
#include "sim_wish.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "sim_channel.h"
#include "sim_tls.h"

enum { BODY_MAX = 20000, ANSWER_MAX = 20000, EARLY_MAX = 400000, ANSWER_EARLY_MAX = 3000 };

static const uint64_t agent_patience_ns = 9000000000u;

static struct sim_net *net_of(const struct sim_tunneller_options *o)
{
    return o->book->net;
}

/* -- what
 * -----------------------------------------------------------------------------------------------------
 */

static enum sim_destination some_door(const struct sim_tunneller_options *o)
{
    static const enum sim_destination bad[] = {DESTINATION_REFUSES, DESTINATION_UNREACHABLE,
                                               DESTINATION_SILENT, DESTINATION_FORBIDDEN};
    if (sim_chance(net_of(o), o->habits->bad_doors))
        return bad[sim_random(net_of(o)) % ARRAY_SIZE(bad)];
    return sim_chance(net_of(o), o->habits->shared) ? DESTINATION_SHARED : DESTINATION_OPEN;
}

static enum sim_destination some_answer(const struct sim_tunneller_options *o)
{
    static const enum sim_destination bad[] = {DESTINATION_FOREIGN, DESTINATION_HASTY, DESTINATION_CUTS,
                                               DESTINATION_BREAKS, DESTINATION_MUTE};
    if (sim_chance(net_of(o), o->habits->bad_answers))
        return bad[sim_random(net_of(o)) % ARRAY_SIZE(bad)];
    return sim_chance(net_of(o), o->habits->ordinary) ? DESTINATION_ORDINARY : DESTINATION_SWITCHES;
}

static void make_upgrade(const struct sim_tunneller_options *o, struct sim_tunnel *x)
{
    static const unsigned statuses[] = {200, 200, 403, 500, 404};
    struct sim_net *n = net_of(o);
    x->protocol = sim_chance(n, 500) ? "SPDY/3.1" : "websocket";
    x->delay_ns = sim_between(n, 0, o->habits->backend_think_max_ns);
    if (x->destination == DESTINATION_HASTY || sim_chance(n, 200))
        x->request_len = (uint32_t)sim_between(n, 1, BODY_MAX);
    x->request_chunked = x->request_len > 0 && sim_chance(n, 300);
    x->answer_status = statuses[sim_random(n) % ARRAY_SIZE(statuses)];
    x->answer_len = (uint32_t)sim_between(n, 0, ANSWER_MAX);
    x->answer_until_close = sim_chance(n, 200);
    x->untrusted = !sim_backend_is_trusted(o->backends[x->backend]);
    if (!x->far.waits && !x->far.echo && sim_chance(n, o->habits->answer_early))
        x->answer_early = x->far.len < ANSWER_EARLY_MAX ? x->far.len
                                                        : (uint32_t)sim_between(n, 1, ANSWER_EARLY_MAX);
}

static void make_early(const struct sim_tunneller_options *o, struct sim_tunnel *x, struct sim_script *near)
{
    struct sim_net *n = net_of(o);
    /* What ends before the request's body would be no request. */
    if (near->waits || near->len == 0 || x->destination == DESTINATION_HASTY ||
        !sim_chance(n, o->habits->early))
        return;
    x->early = near->len < EARLY_MAX ? near->len : EARLY_MAX;
    if (!near->ends_last && sim_chance(n, o->habits->early_ends)) {
        if (x->early < near->len)
            near->len = x->early;
        x->early_end = true;
        x->excused = x->destination == DESTINATION_MUTE; /* is not waited for as long as others */
    } else {
        x->early = (uint32_t)sim_between(n, 1, x->early);
    }
}

/* Often from a dial that would last long. */
static void make_leaving(const struct sim_tunneller_options *o, struct sim_tunnel *x)
{
    struct sim_net *n = net_of(o);
    x->leaving = sim_chance(n, 500) ? LEAVES_BY_END : LEAVES_BY_RESET;
    x->leaves_ns = sim_between(n, 0, o->habits->leave_max_ns);
    if (x->destination < DESTINATION_FIRST_UPGRADE && sim_chance(n, 300))
        x->destination = DESTINATION_SILENT;
}

void sim_wish_without_half_close(const struct sim_tunneller_options *o, uint32_t tunnel)
{
    struct sim_tunnel *x = sim_tunnel_find(o->book, tunnel);
    struct sim_script *near = &sim_end_find(o->book, x->client)->script;
    bool waits_for_the_end = x->far.waits && near->len == 0;
    x->whole_close = o->book->whole_closes = true;
    if (x->destination != DESTINATION_SHARED && !waits_for_the_end && sim_chance(net_of(o), 700))
        near->ends_after = x->far.echo ? near->len : x->far.len;
}

/* An agent's stream has no room for a reader that stops while others use it. */
static void make_way(const struct sim_tunneller_options *o, struct sim_tunnel *x)
{
    x->by_agent = o->book->by_agents = true;
    x->patience_ns = agent_patience_ns;
    sim_wish_without_half_close(o, x->id);
}

uint32_t sim_wish_make(const struct sim_tunneller_options *o)
{
    struct sim_net *n = net_of(o);
    const struct sim_tunnel_habits *h = o->habits;
    struct sim_tunnel *x = sim_tunnel_add(o->book);
    struct sim_script near;
    x->destination = sim_chance(n, h->upgrades) ? some_answer(o) : some_door(o);
    if (sim_chance(n, h->leaves))
        make_leaving(o, x);
    x->backend = (unsigned)(sim_random(n) % o->backend_count);
    x->far.breaks_at = h->scripts.breaks > 0 ? 0 : UINT32_MAX;
    if (x->destination == DESTINATION_SHARED)
        sim_script_near(n, &h->scripts, &near);
    else
        sim_script_pair(n, &h->scripts, &near, &x->far);
    if (x->destination >= DESTINATION_FIRST_UPGRADE)
        make_upgrade(o, x);
    make_early(o, x, &near);
    sim_end_find(o->book, x->client)->script = near;
    if (o->by_agent)
        make_way(o, x);
    return x->id;
}

/* -- how
 * ------------------------------------------------------------------------------------------------------
 */

static void put_body(struct sim_net *n, const struct sim_tunnel *x, struct sim_bytes *out)
{
    uint8_t body[BODY_MAX];
    /* To one that answers before all has come, all is never said. */
    uint32_t len = x->destination == DESTINATION_HASTY ? x->request_len - 1 : x->request_len;
    sim_body_fill(sim_upgrade_id(x->id), SIDE_REQUEST, 0, body, len);
    for (uint32_t at = 0, piece; at < len; at += piece) {
        piece = x->request_chunked ? (uint32_t)sim_between(n, 1, len - at) : len;
        if (x->request_chunked)
            sim_bytes_print(out, "%x\r\n", piece);
        sim_bytes_put(out, body + at, piece);
        if (x->request_chunked)
            sim_bytes_print(out, "\r\n");
    }
    if (x->request_chunked && x->destination != DESTINATION_HASTY)
        sim_bytes_print(out, "0\r\n\r\n");
}

static void put_upgrade(const struct sim_tunneller_options *o, const struct sim_tunnel *x,
                        struct sim_bytes *out)
{
    const struct sim_backend *b = o->backends[x->backend];
    const char *method = x->request_len > 0 ? "POST" : "GET", *host = sim_backend_host(b);
    sim_bytes_print(out,
                    "%s %s://%s/t/%" PRIu32 " HTTP/1.1\r\nHost: %s\r\nX-Id: %" PRIu32
                    "\r\nConnection: Upgrade\r\nUpgrade: %s\r\n",
                    method, sim_backend_scheme(b), host, x->id, host, sim_upgrade_id(x->id), x->protocol);
    if (x->request_chunked)
        sim_bytes_print(out, "Transfer-Encoding: chunked\r\n\r\n");
    else if (x->request_len > 0)
        sim_bytes_print(out, "Content-Length: %" PRIu32 "\r\n\r\n", x->request_len);
    else
        sim_bytes_print(out, "\r\n");
    put_body(net_of(o), x, out);
}

void sim_wish_put(const struct sim_tunneller_options *o, const struct sim_tunnel *x, struct sim_bytes *out)
{
    if (x->destination >= DESTINATION_FIRST_UPGRADE) {
        put_upgrade(o, x, out);
        return;
    }
    struct net_address address;
    char text[NET_TEXT_MAX];
    sim_door_address(o->doors, x, &address);
    /* kube-apiserver's Host says nothing. */
    sim_bytes_print(out, "CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", net_address_text(&address, text));
}

uint32_t sim_wish_ordinary(const struct sim_tunneller_options *o, unsigned backend, struct sim_bytes *out)
{
    struct sim_exchange *x = sim_ledger_add(o->book->ledger);
    const struct sim_backend *b = o->backends[backend];
    const char *host = sim_backend_host(b);
    x->backend = backend;
    x->method = METHOD_GET;
    x->act = ACT_LENGTH;
    x->answer_len = (uint32_t)sim_between(net_of(o), 0, ANSWER_MAX);
    x->delay_ns = sim_between(net_of(o), 0, o->habits->backend_think_max_ns);
    x->untrusted = !sim_backend_is_trusted(b);
    x->begun_ns = sim_now_ns(net_of(o));
    sim_trace(net_of(o), "ask", x->id, backend, (uint64_t)x->act);
    sim_bytes_print(out, "GET %s://%s/x/%" PRIu32 " HTTP/1.1\r\nHost: %s\r\nX-Id: %" PRIu32 "\r\n\r\n",
                    sim_backend_scheme(b), host, x->id, host, x->id);
    return x->id;
}

struct sim_channel *sim_wish_connect(const struct sim_tunneller_options *o)
{
    if (o->tls_engine) {
        struct stream *s = o->tls_engine->ops->dial(o->tls_engine, o->to);
        ASSERT(s != NULL);
        return sim_channel_dialled(sim_tls_to_broker(s));
    }
    struct sim_sock *sock = sim_connect(net_of(o), o->to, NULL);
    ASSERT(sock != NULL);
    return sim_channel_raw(sock);
}
