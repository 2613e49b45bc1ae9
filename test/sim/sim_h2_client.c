/* test/sim/sim_h2_client.c — see sim_h2_client.h. An errand is a stream and what it is for: an exchange of
 * the ledger, or a tunnel until it stands.
 */
#include "sim_h2_client.h"

#include <inttypes.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_h2_tunnel.h"
#include "sim_request.h"
#include "sim_wish.h"

enum { TEXT_MAX = 256 };

static const uint64_t pong_ns = 1000000000;

struct sim_h2_client {
    struct sim_h2_client_options o;
    struct sim_tunnel_habits tunnel_habits;
    struct sim_h2 *h2; /* NULL: none now */
    struct list errands;
    unsigned begun, standing;
    struct sim_event think, leave;
    bool left; /* the connection, by this side */
    bool leaving;
};

struct errand {
    struct list node;
    struct sim_h2_client *client;
    struct sim_h2_stream *stream; /* NULL: it is not this one's any more */
    struct sim_ask *ask;          /* NULL: an exchange */
    uint32_t exchange;
    uint32_t answerer; /* of X-Id; 0: none */
    uint64_t body, said_at, written_at;
    struct sim_event reset;
    char text[TEXT_MAX]; /* of a refusal */
    size_t text_len;
};

static void go_on(struct sim_h2_client *c);

static struct sim_net *net_of(const struct sim_h2_client *c)
{
    return c->o.ask.book->net;
}

static struct sim_ledger *ledger_of(const struct sim_h2_client *c)
{
    return c->o.ask.book->ledger;
}

static uint64_t now(const struct sim_h2_client *c)
{
    return sim_now_ns(net_of(c));
}

static struct sim_exchange *exchange_of(const struct errand *e)
{
    return sim_ledger_find(ledger_of(e->client), e->exchange);
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void errand_free(struct errand *e)
{
    struct sim_h2_client *c = e->client;
    sim_event_cancel(net_of(c), &e->reset);
    list_remove(&e->node);
    free(e);
    c->standing--;
    go_on(c);
}

static void end_exchange(struct errand *e, enum sim_outcome outcome)
{
    struct sim_exchange *x = exchange_of(e);
    x->answer_at_client = e->body;
    sim_trace(net_of(e->client), "outcome", x->id, (uint64_t)outcome, x->status);
    sim_ledger_end(ledger_of(e->client), x->id, outcome, now(e->client));
    errand_free(e);
}

static void on_reset(struct sim_event *ev)
{
    struct errand *e = container_of(ev, struct errand, reset);
    exchange_of(e)->disturbed = true;
    sim_h2_reset(e->stream, NGHTTP2_CANCEL);
    end_exchange(e, OUTCOME_ABANDONED);
}

static void on_take_back(struct sim_ask *a)
{
    struct errand *e = a->owner;
    if (e->stream)
        sim_h2_reset(e->stream, NGHTTP2_CANCEL);
    e->stream = NULL;
}

static void on_ask_over(struct sim_ask *a)
{
    struct errand *e = a->owner;
    sim_ask_free(&a);
    errand_free(e);
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

static void on_field(struct sim_h2_stream *s, const char *name, const char *value)
{
    struct errand *e = s->owner;
    if (strcmp(name, ":status") == 0) /* what an answer before it had does not count */
        e->answerer = 0;
    if (strcmp(name, "x-id") == 0)
        e->answerer = (uint32_t)strtoul(value, NULL, 10);
}

static void on_head(struct sim_h2_stream *s)
{
    struct errand *e = s->owner;
    struct sim_h2_client *c = e->client;
    if (e->ask) {
        if (s->status != 200)
            return; /* its text comes */
        e->stream = NULL;
        sim_ask_answered(e->ask, s->status, "", sim_h2_tunnel(s));
        return;
    }
    struct sim_exchange *x = exchange_of(e);
    x->status = s->status;
    if (e->answerer != 0 && e->answerer != x->id)
        sim_violation(ledger_of(c), x->id, "got the answer of exchange %" PRIu32, e->answerer);
    else if (e->answerer == 0 && s->status < 400)
        sim_violation(ledger_of(c), x->id, "got status %u from nowhere", s->status);
}

static void on_input(struct sim_h2_stream *s, const uint8_t *bytes, size_t len)
{
    struct errand *e = s->owner;
    if (!e->ask && e->answerer != 0 && !sim_body_matches(e->exchange, SIDE_ANSWER, e->body, bytes, len))
        sim_violation(ledger_of(e->client), e->exchange, "its answer's body is another's from byte %" PRIu64,
                      e->body);
    for (size_t i = 0; e->ask && i < len && e->text_len < TEXT_MAX - 1; i++)
        e->text[e->text_len++] = (char)bytes[i];
    e->body += len;
    if (!e->ask)
        exchange_of(e)->answer_at_client = e->body;
}

static void judge_complete(struct errand *e)
{
    const struct sim_exchange *x = exchange_of(e);
    uint64_t owed = x->method == METHOD_HEAD ? 0 : x->answer_len;
    struct sim_ledger *l = ledger_of(e->client);
    if (e->body != owed)
        sim_violation(l, x->id, "its answer ended after %" PRIu64 " bytes of %" PRIu64, e->body, owed);
    if (x->status != (x->act == ACT_NO_CONTENT ? 204u : 200u))
        sim_violation(l, x->id, "its status came as %u", x->status);
    if (x->act > ACT_EARLY_CLOSE)
        sim_violation(l, x->id, "a cut answer came complete");
    if (x->seen == 0)
        sim_violation(l, x->id, "was answered without being asked");
}

static void on_ended(struct sim_h2_stream *s)
{
    struct errand *e = s->owner;
    unsigned status = s->status;
    e->stream = NULL;
    if (e->ask) {
        /* Who says what is early knows no better. */
        if (s->out_ends)
            sim_h2_close(s);
        else
            sim_h2_reset(s, NGHTTP2_CANCEL);
        sim_ask_answered(e->ask, status, e->text, NULL);
        return;
    }
    bool own = e->answerer != 0;
    sim_h2_close(s); /* what is left of the request goes on */
    if (own)
        judge_complete(e);
    end_exchange(e, own ? OUTCOME_COMPLETE : OUTCOME_ERROR);
}

static void on_writable(struct sim_h2_stream *s)
{
    (void)s; /* all was said at once */
}

static void on_gone(struct sim_h2_stream *s)
{
    struct errand *e = s->owner;
    bool own = e->client->left;
    e->stream = NULL;
    if (e->ask) {
        sim_ask_lost(e->ask, own);
        return;
    }
    exchange_of(e)->disturbed |= own;
    end_exchange(e, own ? OUTCOME_ABANDONED : s->headed ? OUTCOME_CUT : OUTCOME_LOST);
}

static const struct sim_h2_stream_events stream_events = {on_field, on_head,     on_input,
                                                          on_ended, on_writable, on_gone};

/* -- asking -------------------------------------------------------------------------------------------------
 */

static void say_request(struct errand *e)
{
    struct sim_h2_client *c = e->client;
    const struct sim_exchange *x = exchange_of(e);
    const struct sim_backend *b = c->o.ask.backends[x->backend];
    bool bodied = x->method == METHOD_PUT || x->method == METHOD_POST;
    char path[32], id[16], length[16];
    snprintf(path, sizeof(path), "/x/%" PRIu32, x->id);
    snprintf(id, sizeof(id), "%" PRIu32, x->id);
    snprintf(length, sizeof(length), "%" PRIu32, x->request_len);
    const char *fields[] = {":method",        sim_method_name(x->method),
                            ":scheme",        sim_backend_scheme(b),
                            ":path",          path,
                            ":authority",     sim_backend_host(b),
                            "x-id",           id,
                            "content-length", length};
    bool has_length = bodied && !x->request_chunked;
    e->stream = sim_h2_open(c->h2, fields, has_length ? 6 : 5, &stream_events, e);
    for (uint64_t at = 0, n; at < x->request_len; at += n) {
        uint8_t bytes[4096];
        n = x->request_len - at < sizeof(bytes) ? x->request_len - at : sizeof(bytes);
        sim_body_fill(x->id, SIDE_REQUEST, at, bytes, n);
        sim_h2_write(e->stream, bytes, n);
    }
    sim_h2_finish(e->stream);
}

static void begin_exchange(struct errand *e)
{
    struct sim_h2_client *c = e->client;
    unsigned at = (unsigned)(sim_random(net_of(c)) % c->o.ask.backend_count);
    e->exchange = sim_request_add(net_of(c), ledger_of(c), c->o.requests, c->o.ask.backends[at]);
    say_request(e);
    if (sim_chance(net_of(c), c->o.habits->resets))
        sim_event_at(net_of(c), &e->reset, now(c) + sim_between(net_of(c), 0, c->o.habits->leave_max_ns));
}

static void begin_tunnel(struct errand *e)
{
    struct sim_h2_client *c = e->client;
    struct net_address address;
    char text[NET_TEXT_MAX];
    e->ask = sim_ask_new(&c->o.ask, false);
    e->ask->owner = e;
    e->ask->take_back = on_take_back;
    e->ask->over = on_ask_over;
    const struct sim_tunnel *x = sim_ask_tunnel(e->ask);
    sim_door_address(c->o.ask.doors, x, &address);
    const char *fields[] = {":method", "CONNECT", ":authority", net_address_text(&address, text)};
    e->stream = sim_h2_open(c->h2, fields, 2, &stream_events, e);
    struct sim_end *end = sim_end_find(c->o.ask.book, x->client);
    for (uint32_t n; end->said < x->early; end->said += n) {
        uint8_t bytes[4096];
        n = x->early - (uint32_t)end->said < sizeof(bytes) ? x->early - (uint32_t)end->said
                                                           : (uint32_t)sizeof(bytes);
        sim_tunnel_fill(x->client, end->said, bytes, n);
        sim_h2_write(e->stream, bytes, n);
    }
    if (x->early_end) {
        end->ended = true;
        sim_h2_finish(e->stream);
    }
}

/* -- the connection -----------------------------------------------------------------------------------------
 */

static void leave_connection(struct sim_h2_client *c, bool reset)
{
    c->left = true;
    sim_h2_leave(c->h2, reset);
}

static void on_connection_over(struct sim_h2 *h2)
{
    struct sim_h2_client *c = sim_h2_owner(h2);
    if (sim_h2_is_broken(h2))
        sim_violation(ledger_of(c), 0, "a client gets what is no HTTP/2");
    if (sim_h2_was_calmed(h2) && c->o.ask.book->calm)
        sim_violation(ledger_of(c), 0, "a client is taken for a flood in a calm world");
    sim_event_cancel(net_of(c), &c->leave);
    c->h2 = NULL;
    c->left = false;
    go_on(c);
}

static void on_leave(struct sim_event *e)
{
    struct sim_h2_client *c = container_of(e, struct sim_h2_client, leave);
    list_each_safe(node, tmp, &c->errands)
    {
        const struct errand *x = list_entry(node, struct errand, node);
        if (!x->ask || !x->ask->peer)
            continue;
        struct sim_end *end = sim_end_find(c->o.ask.book, sim_ask_tunnel(x->ask)->client);
        end->broke = true;
        end->broke_ns = now(c);
    }
    sim_trace(net_of(c), "client leaves", c->standing, 0, 0);
    leave_connection(c, sim_chance(net_of(c), 500));
}

static void connect_anew(struct sim_h2_client *c)
{
    const struct sim_h2_client_habits *h = c->o.habits;
    c->h2 = sim_h2_new(net_of(c), sim_wish_connect(&c->o.ask), &h->h2, c, on_connection_over);
    if (sim_chance(net_of(c), h->leaves))
        sim_event_at(net_of(c), &c->leave, now(c) + sim_between(net_of(c), 1, h->leave_max_ns));
}

static bool has_more(const struct sim_h2_client *c)
{
    return c->begun < c->o.habits->asks && c->standing < c->o.habits->at_once;
}

static bool has_ended(const struct sim_h2_client *c)
{
    return c->begun == c->o.habits->asks && c->standing == 0;
}

static void on_think(struct sim_event *ev)
{
    struct sim_h2_client *c = container_of(ev, struct sim_h2_client, think);
    if (has_more(c) && !c->h2)
        connect_anew(c);
    if (has_more(c) && sim_h2_is_open(c->h2)) {
        struct errand *e = calloc(1, sizeof(*e));
        ASSERT(e != NULL);
        *e = (struct errand){.client = c, .reset.fire = on_reset};
        list_init(&e->node);
        list_add_tail(&c->errands, &e->node);
        c->begun++;
        c->standing++;
        if (sim_chance(net_of(c), c->o.habits->tunnels))
            begin_tunnel(e);
        else
            begin_exchange(e);
        e->said_at = e->stream->framed + (e->stream->out.len - e->stream->out.at);
    }
    if (has_ended(c) && c->h2 && !c->left)
        leave_connection(c, sim_chance(net_of(c), 200));
    go_on(c);
}

/* While a connection that the broker leaves is not over, nothing is begun. */
static void go_on(struct sim_h2_client *c)
{
    bool may = !c->h2 || sim_h2_is_open(c->h2);
    if (!c->leaving && c->think.index == 0 && ((has_more(c) && may) || (has_ended(c) && c->h2 && !c->left)))
        sim_event_at(net_of(c), &c->think, now(c) + sim_between(net_of(c), 0, c->o.requests->think_max_ns));
}

/* -- life ---------------------------------------------------------------------------------------------------
 */

struct sim_h2_client *sim_h2_client_new(const struct sim_h2_client_options *o)
{
    struct sim_h2_client *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    *c = (struct sim_h2_client){
        .o = *o, .tunnel_habits = *o->ask.habits, .think.fire = on_think, .leave.fire = on_leave};
    c->tunnel_habits.upgrades = 0;
    c->o.ask.habits = &c->tunnel_habits;
    list_init(&c->errands);
    go_on(c);
    return c;
}

bool sim_h2_client_is_done(const struct sim_h2_client *c)
{
    return (c->leaving || c->begun == c->o.habits->asks) && list_empty(&c->errands) && !c->h2;
}

static void check_exchange(struct errand *e, uint32_t held_max)
{
    struct sim_h2_client *c = e->client;
    const struct sim_exchange *x = exchange_of(e);
    uint64_t clear_ns = sim_h2_clear_since(e->stream);
    bool excused = x->act >= ACT_FIRST_BAD || x->untrusted || x->status != 0;
    if (held_max > 0 && !excused && e->stream->framed > x->request_at_backend + held_max)
        sim_violation(ledger_of(c), x->id, "%" PRIu64 " bytes of its request's body are under way",
                      e->stream->framed - x->request_at_backend);
    uint64_t since_ns = x->begun_ns > clear_ns ? x->begun_ns : clear_ns;
    if (clear_ns != UINT64_MAX && now(c) > since_ns + c->o.requests->patience_ns)
        sim_violation(ledger_of(c), x->id, "was neither answered nor failed in %" PRIu64 " s",
                      c->o.requests->patience_ns / 1000000000u);
}

static void check_errand(struct errand *e, uint32_t held_max)
{
    struct sim_h2_stream *s = e->stream;
    if (!s) {
        if (e->ask)
            sim_ask_check(e->ask, false, 0);
        return;
    }
    if (!e->ask) {
        check_exchange(e, held_max);
        return;
    }
    if (e->written_at == 0 && s->framed >= e->said_at)
        e->written_at = sim_h2_written(s->h2);
    sim_ask_check(e->ask, e->written_at != 0 && sim_h2_is_taken(s->h2, e->written_at), sim_h2_clear_since(s));
}

void sim_h2_client_check(struct sim_h2_client *c, uint32_t held_max)
{
    if (c->h2)
        sim_h2_check(c->h2);
    if (c->h2 && sim_h2_pong_overdue_ns(c->h2) > pong_ns + c->o.ask.promises->slack_ns)
        sim_violation(ledger_of(c), 0, "a client's PING is not answered");
    list_each_safe(node, tmp, &c->errands) check_errand(list_entry(node, struct errand, node), held_max);
}

void sim_h2_client_leave(struct sim_h2_client *c)
{
    c->leaving = true;
    sim_event_cancel(net_of(c), &c->think);
    if (c->h2)
        leave_connection(c, true);
}

void sim_h2_client_free(struct sim_h2_client **cp)
{
    struct sim_h2_client *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    ASSERT(sim_h2_client_is_done(c));
    sim_event_cancel(net_of(c), &c->think);
    free(c);
}
