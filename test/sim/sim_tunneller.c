/* test/sim/sim_tunneller.c — see sim_tunneller.h. What is asked for is thought up in sim_wish.c. */
#include "sim_tunneller.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "sim_hold.h"
#include "sim_http.h"
#include "sim_peer.h"
#include "sim_wish.h"

enum { PAUSE_MAX_NS = 20000000 };

enum state {
    RESTING,  /* no connection */
    ASKING,   /* ordinary requests before, or the tunnel, are not answered yet */
    TRAILING, /* it was refused, and an ordinary request follows on the same connection */
    STANDING, /* the tunnel's end is at work */
    DONE,
};

struct sim_tunneller {
    struct sim_tunneller_options o;
    struct sim_net *net;
    enum state state;
    struct sim_channel *channel; /* ours while asking and trailing */
    struct sim_peer *peer;       /* while standing */
    struct http_reader reader;
    struct sim_bytes out;
    uint64_t out_total, in_total; /* bytes of the connection */
    uint64_t words_at;            /* of out_total: what follows is said in the tunnel */
    uint32_t tunnel;              /* 0: none */
    uint32_t ordinary;            /* exchange that is answered next; 0: the tunnel is */
    bool ask_follows;             /* it is sent when the exchange was answered */
    bool pipelined;               /* it was sent before that */
    unsigned asked;
    struct sim_hold hold;
    struct sim_event think, write_pause, deadline, leave, cancelled;
    uint32_t left; /* tunnel whose dial must have ended */
};

static void work(struct sim_tunneller *c);

static struct sim_tunnel *wish(const struct sim_tunneller *c)
{
    return sim_tunnel_find(c->o.book, c->tunnel);
}

static void after(struct sim_tunneller *c, struct sim_event *e, uint64_t ns)
{
    sim_event_at(c->net, e, sim_now_ns(c->net) + ns);
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void rest(struct sim_tunneller *c)
{
    if (c->tunnel != 0)
        sim_door_shut(c->o.doors, c->tunnel);
    c->tunnel = 0;
    c->channel = NULL;
    c->peer = NULL;
    c->state = RESTING;
    sim_event_cancel(c->net, &c->write_pause);
    sim_event_cancel(c->net, &c->deadline);
    sim_event_cancel(c->net, &c->leave);
    after(c, &c->think, sim_between(c->net, 0, c->o.habits->think_max_ns));
}

/* The connection is not ours any more; what had not been answered never will be. */
static void lose(struct sim_tunneller *c, enum sim_tunnel_outcome tunnel, enum sim_outcome exchange)
{
    if (c->ordinary != 0) {
        /* A reset of the tunnel may overtake the answer before it. */
        sim_ledger_find(c->o.book->ledger, c->ordinary)->disturbed |= exchange == OUTCOME_ABANDONED ||
                                                                      c->pipelined;
        sim_ledger_end(c->o.book->ledger, c->ordinary, exchange, sim_now_ns(c->net));
    }
    c->ordinary = 0;
    if (wish(c)->outcome == TUNNEL_PENDING)
        sim_tunnel_over(c->o.book, c->tunnel, tunnel);
    rest(c);
}

static void let_go(struct sim_tunneller *c, bool reset)
{
    if (reset)
        c->channel->ops->reset(c->channel);
    else
        c->channel->ops->close(c->channel);
}

/* -- writing ------------------------------------------------------------------------------------------------
 */

static struct sim_end *end_of(const struct sim_tunneller *c)
{
    return sim_end_find(c->o.book, wish(c)->client);
}

static void note_said(struct sim_tunneller *c)
{
    if (c->words_at != 0 && c->out_total > c->words_at)
        end_of(c)->said = c->out_total - c->words_at;
}

static void flush(struct sim_tunneller *c)
{
    while (c->out.at < c->out.len && c->write_pause.index == 0) {
        size_t len = c->out.len - c->out.at;
        bool slow = sim_chance(c->net, c->o.habits->slow_writes);
        if (slow && len > 1)
            len = (size_t)sim_between(c->net, 1, len < 100 ? len : 100);
        size_t taken = c->channel->ops->write(c->channel, c->out.mem + c->out.at, len);
        sim_bytes_take(&c->out, taken);
        c->out_total += taken;
        note_said(c);
        if (taken < len)
            return;
        if (slow)
            after(c, &c->write_pause, sim_between(c->net, 1, PAUSE_MAX_NS));
    }
    if (c->out.at == c->out.len && c->words_at != 0 && wish(c)->early_end && !end_of(c)->ended) {
        end_of(c)->ended = true;
        c->channel->ops->finish(c->channel);
    }
}

static void put_ask(struct sim_tunneller *c)
{
    uint8_t early[1024];
    struct sim_tunnel *x = wish(c);
    uint64_t before = c->out_total + (c->out.len - c->out.at);
    size_t at = c->out.len - c->out.at;
    sim_wish_put(&c->o, x, &c->out);
    c->words_at = before + (c->out.len - c->out.at - at);
    for (uint32_t said = 0, n; said < x->early; said += n) {
        n = x->early - said < sizeof(early) ? x->early - said : (uint32_t)sizeof(early);
        sim_tunnel_fill(x->client, said, early, n);
        sim_bytes_put(&c->out, early, n);
    }
    sim_trace(c->net, "ask tunnel", x->id, (uint64_t)x->destination, x->early);
}

/* Its time begins when the broker may know of it. */
static void watch_answer(struct sim_tunneller *c)
{
    struct sim_tunnel *x = wish(c);
    if (c->state != ASKING || c->ordinary != 0 || c->words_at == 0 || c->out_total < c->words_at ||
        c->deadline.index != 0)
        return;
    bool connect = x->destination < DESTINATION_FIRST_UPGRADE;
    x->asked_ns = sim_now_ns(c->net);
    after(c, &c->deadline, connect ? c->o.promises->answer_ns : c->o.promises->upgrade_ns);
    if (x->leaving != LEAVES_NOT)
        after(c, &c->leave, x->leaves_ns);
}

/* -- reading ------------------------------------------------------------------------------------------------
 */

static void on_body(struct http_reader *r, const uint8_t *bytes, size_t len)
{
    struct sim_tunneller *c = r->owner;
    uint32_t id = c->ordinary != 0 ? c->ordinary : sim_upgrade_id(c->tunnel);
    if (r->has_id && r->id != id)
        sim_tunnel_violation(c->o.book, c->tunnel, "got the answer of %" PRIu32, r->id);
    else if (r->has_id && !sim_body_matches(id, SIDE_ANSWER, r->body, bytes, len))
        sim_tunnel_violation(c->o.book, c->tunnel, "its answer's body is another's from byte %" PRIu64,
                             r->body);
}

static void begin_reader(struct sim_tunneller *c)
{
    http_reader_begin(&c->reader, true, false);
    c->reader.connect = c->ordinary == 0 && wish(c)->destination < DESTINATION_FIRST_UPGRADE;
}

/* True when the connection goes on. */
static bool on_ordinary_answer(struct sim_tunneller *c)
{
    const struct http_reader *r = &c->reader;
    struct sim_exchange *x = sim_ledger_find(c->o.book->ledger, c->ordinary);
    x->status = r->status;
    x->answer_at_client = r->body;
    if (r->has_id && (r->status != 200 || r->body != x->answer_len))
        sim_violation(c->o.book->ledger, x->id, "its answer ended after %" PRIu64 " bytes, status %u",
                      r->body, r->status);
    sim_ledger_end(c->o.book->ledger, x->id, r->has_id ? OUTCOME_COMPLETE : OUTCOME_ERROR,
                   sim_now_ns(c->net));
    c->ordinary = 0;
    if (r->close || c->state == TRAILING) {
        /* One answer is what a client gets that has ended its direction behind several requests. */
        wish(c)->excused |= c->o.book->draining || (c->pipelined && end_of(c)->ended);
        let_go(c, false);
        lose(c, TUNNEL_LOST, OUTCOME_LOST);
        return false;
    }
    c->hold.before = c->in_total;
    if (c->ask_follows)
        put_ask(c);
    c->ask_follows = false;
    return true;
}

static void on_peer_over(struct sim_peer *p)
{
    struct sim_tunneller *c = p->owner;
    sim_peer_free(&p);
    rest(c);
}

static void stand(struct sim_tunneller *c, const uint8_t *more, size_t len)
{
    struct sim_channel *channel = c->channel;
    sim_event_cancel(c->net, &c->deadline);
    sim_event_cancel(c->net, &c->leave);
    sim_event_cancel(c->net, &c->write_pause);
    c->out.at = c->out.len = 0; /* the end goes on where it was */
    c->channel = NULL;
    c->state = STANDING;
    c->peer = sim_peer_new(&(struct sim_peer_options){.book = c->o.book,
                                                      .channel = channel,
                                                      .end = wish(c)->client,
                                                      .before_out = c->words_at,
                                                      .before_in = c->in_total,
                                                      .owner = c,
                                                      .over = on_peer_over});
    if (len > 0)
        sim_peer_input(c->peer, more, len);
}

/* The tunnel was answered; true when the connection goes on as it was. */
static bool on_tunnel_answer(struct sim_tunneller *c, const uint8_t *more, size_t len)
{
    const struct http_reader *r = &c->reader;
    struct sim_tunnel *x = wish(c);
    if (x->destination == DESTINATION_ORDINARY && r->has_id && r->body != x->answer_len)
        sim_tunnel_violation(c->o.book, x->id, "its answer ended after %" PRIu64 " bytes", r->body);
    sim_tunnel_answered(c->o.book, x->id, r->status, r->has_id ? "" : r->reason);
    if (x->outcome == TUNNEL_STOOD) {
        stand(c, more, len);
        return false;
    }
    sim_event_cancel(c->net, &c->deadline);
    sim_event_cancel(c->net, &c->leave);
    bool connect = x->destination < DESTINATION_FIRST_UPGRADE;
    if (connect && !r->close)
        sim_tunnel_violation(c->o.book, x->id, "was refused without the end of the connection");
    /* What was said early for the tunnel reads as a request now. */
    if (r->close || x->early > 0 || x->destination == DESTINATION_HASTY || end_of(c)->ended) {
        let_go(c, false);
        lose(c, TUNNEL_LOST, OUTCOME_LOST);
        return false;
    }
    c->state = TRAILING;
    c->ordinary = sim_wish_ordinary(&c->o, x->backend, &c->out);
    return true;
}

/* True when the connection goes on. */
static bool on_answer(struct sim_tunneller *c, const uint8_t *more, size_t len)
{
    if (c->reader.status < 200 && c->reader.status != 101)
        return true;
    return c->ordinary != 0 ? on_ordinary_answer(c) : on_tunnel_answer(c, more, len);
}

static bool is_owed_something(const struct sim_tunneller *c)
{
    return c->ordinary != 0 || (c->words_at != 0 && wish(c)->outcome == TUNNEL_PENDING);
}

static void on_input(struct sim_channel *channel, const uint8_t *bytes, size_t len)
{
    struct sim_tunneller *c = channel->owner;
    for (size_t at = 0; at < len;) {
        if (!is_owed_something(c)) {
            sim_tunnel_violation(c->o.book, c->tunnel, "%zu bytes came that nobody asked for: %.60s",
                                 len - at, (const char *)bytes + at);
            return;
        }
        if (http_reader_is_fresh(&c->reader))
            begin_reader(c);
        size_t n = http_read(&c->reader, bytes + at, len - at);
        at += n;
        c->in_total += n;
        if (c->reader.part == PART_BAD) {
            sim_tunnel_violation(c->o.book, c->tunnel, "malformed answer: %s", c->reader.complaint);
            return;
        }
        if (c->reader.part != PART_DONE)
            continue;
        if (!on_answer(c, bytes + at, len - at))
            return;
        http_reader_begin(&c->reader, true, false);
    }
    work(c);
}

static void on_writable(struct sim_channel *channel)
{
    work(channel->owner);
}

static void on_ended(struct sim_channel *channel)
{
    struct sim_tunneller *c = channel->owner;
    http_read_eof(&c->reader);
    if (c->reader.part == PART_DONE && c->reader.status >= 200 && is_owed_something(c)) {
        c->reader.close = true;
        if (!on_answer(c, NULL, 0))
            return;
    }
    let_go(c, false);
    lose(c, TUNNEL_LOST, OUTCOME_LOST);
}

static void on_gone(struct sim_channel *channel)
{
    struct sim_tunneller *c = channel->owner;
    lose(c, TUNNEL_LOST, OUTCOME_LOST);
}

static const struct sim_channel_events channel_events = {on_input, on_writable, on_ended, on_gone};

/* -- asking -------------------------------------------------------------------------------------------------
 */

static void work(struct sim_tunneller *c)
{
    if (c->state != ASKING && c->state != TRAILING)
        return;
    flush(c);
    watch_answer(c);
}

static void begin(struct sim_tunneller *c)
{
    const struct sim_tunnel_habits *h = c->o.habits;
    c->asked++;
    c->state = ASKING;
    c->ask_follows = false;
    c->out.at = c->out.len = 0;
    c->out_total = c->in_total = c->words_at = 0;
    c->hold = (struct sim_hold){0};
    c->pipelined = false;
    c->tunnel = sim_wish_make(&c->o);
    c->channel = sim_wish_connect(&c->o);
    c->channel->owner = c;
    c->channel->events = &channel_events;
    http_reader_begin(&c->reader, true, false);
    sim_door_open(c->o.doors, c->tunnel);
    if (sim_chance(c->net, h->leads)) {
        c->ordinary = sim_wish_ordinary(&c->o, wish(c)->backend, &c->out);
        c->ask_follows = sim_chance(c->net, 500);
        c->pipelined = !c->ask_follows;
    }
    if (!c->ask_follows)
        put_ask(c);
    work(c);
}

static void on_think(struct sim_event *e)
{
    struct sim_tunneller *c = container_of(e, struct sim_tunneller, think);
    if (c->asked < c->o.habits->tunnels)
        begin(c);
    else
        c->state = DONE;
}

static void on_write_pause(struct sim_event *e)
{
    work(container_of(e, struct sim_tunneller, write_pause));
}

static bool may_be_silenced(const struct sim_tunneller *c)
{
    struct sim_traffic seen;
    if (!c->channel->ops->traffic(c->channel, &seen))
        return sim_net_faults(c->net)->conn_blackhole > 0;
    return seen.silenced;
}

static void on_deadline(struct sim_event *e)
{
    struct sim_tunneller *c = container_of(e, struct sim_tunneller, deadline);
    struct sim_tunnel *x = wish(c);
    if (!may_be_silenced(c))
        sim_tunnel_violation(c->o.book, x->id, "was not answered in %" PRIu64 " ms",
                             (sim_now_ns(c->net) - x->asked_ns) / 1000000u);
    x->excused = true;
    let_go(c, true);
    lose(c, TUNNEL_LEFT, OUTCOME_ABANDONED);
}

/* Leaves before it is answered: with its words said, an end tells that they were all. */
static void on_leave(struct sim_event *e)
{
    struct sim_tunneller *c = container_of(e, struct sim_tunneller, leave);
    struct sim_tunnel *x = wish(c);
    struct sim_end *end = end_of(c);
    bool by_end = x->leaving == LEAVES_BY_END, silenced = may_be_silenced(c);
    end->ended |= by_end;
    end->broke = !by_end;
    end->broke_ns = sim_now_ns(c->net);
    sim_trace(c->net, "leaves", x->id, by_end, end->said);
    x->excused = true;
    bool for_nobody = !by_end || end->said == 0;
    if (for_nobody && !silenced && x->destination < DESTINATION_FIRST_UPGRADE && !c->o.by_agent) {
        c->left = x->id;
        after(c, &c->cancelled, c->o.promises->cancel_ns);
    }
    let_go(c, !by_end);
    lose(c, TUNNEL_LEFT, OUTCOME_ABANDONED);
}

static void on_cancelled(struct sim_event *e)
{
    struct sim_tunneller *c = container_of(e, struct sim_tunneller, cancelled);
    const struct sim_tunnel *x = sim_tunnel_find(c->o.book, c->left);
    if (sim_door_dials(c->o.doors, x) > 0)
        sim_tunnel_violation(c->o.book, x->id, "is still connected although its client left during the dial");
}

/* -- steps --------------------------------------------------------------------------------------------------
 */

static void check_hold(struct sim_tunneller *c)
{
    struct sim_traffic seen;
    const struct sim_tunnel *x = wish(c);
    const struct sim_channel *channel = c->peer ? c->peer->channel : c->channel;
    if (x->destination >= DESTINATION_FIRST_UPGRADE || c->ordinary != 0 || c->pipelined ||
        !channel->ops->traffic(channel, &seen))
        return;
    sim_hold_look(&c->hold, &seen, seen.taken > c->words_at || end_of(c)->ended, sim_now_ns(c->net));
    if (x->outcome == TUNNEL_STOOD && sim_hold_is_broken(&c->hold, c->o.promises->hold_ns))
        sim_tunnel_violation(c->o.book, x->id, "bytes stood behind its 200 after %" PRIu64 " us",
                             (c->hold.behind_at_ns - c->hold.answer_at_ns) / 1000);
}

void sim_tunneller_check(struct sim_tunneller *c)
{
    if (c->tunnel == 0)
        return;
    check_hold(c);
    if (!c->peer)
        return;
    sim_peer_check_held(c->peer, c->o.promises->held_max);
    sim_peer_check_told(c->peer, c->o.promises->reset_told_ns);
}

struct sim_tunneller *sim_tunneller_new(const struct sim_tunneller_options *o)
{
    struct sim_tunneller *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    *c = (struct sim_tunneller){
        .o = *o,
        .net = o->book->net,
        .reader = {.owner = c, .on_body = on_body},
        .think.fire = on_think,
        .write_pause.fire = on_write_pause,
        .deadline.fire = on_deadline,
        .leave.fire = on_leave,
        .cancelled.fire = on_cancelled
    };
    after(c, &c->think, sim_between(c->net, 0, 50000000));
    return c;
}

bool sim_tunneller_is_done(const struct sim_tunneller *c)
{
    return c->state == DONE && c->cancelled.index == 0;
}

void sim_tunneller_free(struct sim_tunneller **cp)
{
    struct sim_tunneller *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    if (c->peer) {
        sim_peer_break(c->peer);
    } else if (c->channel) {
        wish(c)->excused = true;
        let_go(c, true);
        lose(c, TUNNEL_LEFT, OUTCOME_ABANDONED);
    }
    sim_event_cancel(c->net, &c->think);
    sim_event_cancel(c->net, &c->cancelled);
    sim_bytes_fini(&c->out);
    free(c);
}
