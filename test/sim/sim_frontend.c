/* test/sim/sim_frontend.c — see sim_frontend.h. A link is a connection, a line a call on it, a dial one
 * DIAL_REQ and what became of it.
 */
#include "sim_frontend.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sim_call.h"
#include "sim_wish.h"

static const uint64_t pong_ns = 1000000000, close_ns = 12000000000u; /* PROXY_FINISH_MS, and some */

/* On a shared stream who does not read is cut after a second, where that harms the others. */
static const uint64_t impatience_ns = 500000000;

struct sim_frontend {
    struct sim_frontend_options o;
    struct sim_tunnel_habits tunnel_habits; /* without upgrades, and without words before the answer */
    struct list links, dials;
    unsigned begun, standing;
    struct sim_event think;
    bool leaving;
};

struct link {
    struct list node;
    struct sim_frontend *frontend;
    struct sim_h2 *h2;
    struct list lines;
    struct sim_event leave;
    bool left;
};

struct line {
    struct list node;
    struct link *link;
    struct sim_call *call;
    struct list given_up; /* dials */
    bool left;
};

struct dial {
    struct list node;  /* frontend's */
    struct line *line; /* NULL: it is gone */
    struct sim_ask *ask;
    int64_t random;
    uint64_t said_at, written_at; /* bytes of the stream, and of the connection once it has been framed */
};

/* One that was taken back: an answer may have been on its way. */
struct given_up {
    struct list node;
    int64_t random;
};

static void go_on(struct sim_frontend *f);

static struct sim_net *net_of(const struct sim_frontend *f)
{
    return f->o.ask.book->net;
}

static uint64_t now(const struct sim_frontend *f)
{
    return sim_now_ns(net_of(f));
}

/* -- dials --------------------------------------------------------------------------------------------------
 */

static struct dial *find(const struct line *line, int64_t random)
{
    list_each_safe(node, tmp, &line->link->frontend->dials)
    {
        struct dial *d = list_entry(node, struct dial, node);
        if (d->line == line && d->random == random && !d->ask->answered)
            return d;
    }
    return NULL;
}

static bool was_given_up(struct line *line, int64_t random)
{
    list_each_safe(node, tmp, &line->given_up)
    {
        struct given_up *g = list_entry(node, struct given_up, node);
        if (g->random != random)
            continue;
        list_remove(node);
        free(g);
        return true;
    }
    return false;
}

static void leave_line(struct line *line, bool reset)
{
    line->left = true;
    sim_call_leave(line->call, reset);
}

static void leave_link(struct link *link, bool reset)
{
    link->left = true;
    sim_h2_leave(link->h2, reset);
}

static void on_take_back(struct sim_ask *a)
{
    struct dial *d = a->owner;
    struct line *line = d->line;
    if (!line || line->left || line->link->left)
        return;
    struct sim_frontend *f = line->link->frontend;
    bool alone = f->o.mode != FRONTEND_SHARED;
    if (!alone || sim_chance(net_of(f), 500)) {
        struct given_up *g = calloc(1, sizeof(*g));
        ASSERT(g != NULL);
        *g = (struct given_up){.random = d->random};
        list_init(&g->node);
        list_add_tail(&line->given_up, &g->node);
        sim_call_say(line->call, &(struct sim_packet){.type = SIM_DIAL_CLS, .random = d->random});
    } else if (f->o.mode == FRONTEND_SINGLE && sim_chance(net_of(f), 500)) {
        leave_link(line->link, sim_chance(net_of(f), 500));
    } else {
        leave_line(line, sim_chance(net_of(f), 800));
    }
}

static void on_over(struct sim_ask *a)
{
    struct dial *d = a->owner;
    struct line *line = d->line;
    struct sim_frontend *f = container_of(a->o, struct sim_frontend, o.ask);
    sim_ask_free(&a);
    list_remove(&d->node);
    free(d);
    f->standing--;
    if (line && !line->left && !line->link->left) {
        if (f->o.mode == FRONTEND_SINGLE)
            leave_link(line->link, sim_chance(net_of(f), 200));
        else if (f->o.mode == FRONTEND_STREAMS)
            leave_line(line, sim_chance(net_of(f), 800));
    }
    go_on(f);
}

static bool is_used(const struct line *line, int64_t random)
{
    list_each_safe(node, tmp, &line->link->frontend->dials)
    {
        const struct dial *d = list_entry(node, struct dial, node);
        if (d->line == line && d->random == random)
            return true;
    }
    list_each_safe(node, tmp,
                   (struct list *)&line->given_up) if (list_entry(node, struct given_up, node)->random ==
                                                       random) return true;
    return false;
}

/* Numbers may be the same as another client's. */
static int64_t some_random(struct sim_frontend *f, const struct line *line)
{
    int64_t random = sim_chance(net_of(f), 500) ? (int64_t)sim_between(net_of(f), 0, 20)
                                                : (int64_t)(sim_random(net_of(f)) >> 1);
    while (is_used(line, random)) /* and this one does not use one twice at a time */
        random++;
    return random;
}

static void begin_dial(struct line *line)
{
    struct sim_frontend *f = line->link->frontend;
    struct dial *d = calloc(1, sizeof(*d));
    struct net_address address;
    char text[NET_TEXT_MAX];
    ASSERT(d != NULL);
    *d = (struct dial){.line = line, .random = some_random(f, line)};
    d->ask = sim_ask_new(&f->o.ask, true);
    d->ask->owner = d;
    d->ask->take_back = on_take_back;
    d->ask->over = on_over;
    list_init(&d->node);
    list_add_tail(&f->dials, &d->node);
    if (f->o.mode == FRONTEND_SHARED) {
        sim_ask_tunnel(d->ask)->patience_ns = impatience_ns;
        /* An agent takes what it is given for many in turns, which may take longer than that. */
        sim_ask_tunnel(d->ask)->excused |= f->o.ask.by_agent;
    }
    f->begun++;
    f->standing++;
    sim_door_address(f->o.ask.doors, sim_ask_tunnel(d->ask), &address);
    sim_call_say(line->call, &(struct sim_packet){.type = SIM_DIAL_REQ,
                                                  .protocol = "tcp",
                                                  .address = net_address_text(&address, text),
                                                  .random = d->random});
    const struct sim_h2_stream *s = line->call->stream;
    d->said_at = s->framed + (s->out.len - s->out.at);
}

/* -- packets ------------------------------------------------------------------------------------------------
 */

static void on_wrong(struct sim_call *call, const char *what, int64_t id)
{
    struct line *line = call->owner;
    sim_tunnel_violation(line->link->frontend->o.ask.book, 0, "a frontend gets %s (%" PRId64 ")", what, id);
}

static void on_dial_response(struct line *line, const struct sim_packet *r)
{
    struct dial *d = find(line, r->random);
    bool stands = r->error[0] == '\0';
    if (stands != (r->id != 0))
        on_wrong(line->call, "DIAL_RSP with both or neither of a connectID and an error", r->id);
    else if (stands && sim_call_has(line->call, r->id))
        on_wrong(line->call, "the same connectID twice", r->id);
    else if (d)
        sim_ask_dialled(d->ask, r->error, stands ? sim_call_conn(line->call, r->id) : NULL);
    else if (!was_given_up(line, r->random))
        on_wrong(line->call, "an answer to what it did not dial", r->random);
    else if (stands)
        sim_call_forget(line->call, r->id);
}

static void on_packet(struct sim_call *call, const struct sim_packet *p)
{
    if (p->type == SIM_DIAL_RSP)
        on_dial_response(call->owner, p);
    else
        on_wrong(call, "a packet of type", p->type);
}

static void on_line_gone(struct sim_call *call, const char *why)
{
    struct line *line = call->owner;
    struct link *link = line->link;
    struct sim_frontend *f = link->frontend;
    (void)why;
    line->left |= link->left;
    list_each_safe(node, tmp, &f->dials)
    {
        struct dial *d = list_entry(node, struct dial, node);
        if (d->line != line)
            continue;
        d->line = NULL;
        if (!d->ask->answered)
            sim_ask_lost(d->ask, line->left);
    }
    while (!list_empty(&line->given_up))
        was_given_up(line, list_entry(line->given_up.next, struct given_up, node)->random);
    list_remove(&line->node);
    free(line);
    if (!link->left && f->o.mode == FRONTEND_SINGLE)
        leave_link(link, false);
    go_on(f);
}

static const struct sim_call_events call_events = {NULL, on_packet, on_wrong, on_line_gone};

/* -- connections --------------------------------------------------------------------------------------------
 */

static void on_link_over(struct sim_h2 *h2)
{
    struct link *link = sim_h2_owner(h2);
    struct sim_frontend *f = link->frontend;
    if (sim_h2_is_broken(h2))
        sim_tunnel_violation(f->o.ask.book, 0, "a frontend gets what is no HTTP/2");
    if (sim_h2_was_calmed(h2) && f->o.ask.book->calm)
        sim_tunnel_violation(f->o.ask.book, 0, "a frontend is taken for a flood in a calm world");
    ASSERT(list_empty(&link->lines));
    sim_event_cancel(net_of(f), &link->leave);
    list_remove(&link->node);
    free(link);
    go_on(f);
}

static void note_broken(struct link *link)
{
    struct sim_frontend *f = link->frontend;
    list_each_safe(node, tmp, &f->dials)
    {
        struct dial *d = list_entry(node, struct dial, node);
        if (!d->line || d->line->link != link || !d->ask->peer)
            continue;
        struct sim_end *e = sim_end_find(f->o.ask.book, sim_ask_tunnel(d->ask)->client);
        e->broke = true;
        e->broke_ns = now(f);
    }
}

static void on_leave(struct sim_event *e)
{
    struct link *link = container_of(e, struct link, leave);
    if (link->left)
        return;
    note_broken(link);
    sim_trace(net_of(link->frontend), "frontend leaves", link->frontend->standing, 0, 0);
    leave_link(link, sim_chance(net_of(link->frontend), 500));
}

static struct link *new_link(struct sim_frontend *f)
{
    struct link *link = calloc(1, sizeof(*link));
    ASSERT(link != NULL);
    *link = (struct link){.frontend = f, .leave.fire = on_leave};
    list_init(&link->node);
    list_init(&link->lines);
    list_add_tail(&f->links, &link->node);
    link->h2 = sim_h2_new(net_of(f), sim_wish_connect(&f->o.ask), &f->o.habits->h2, link, on_link_over);
    if (sim_chance(net_of(f), f->o.habits->leaves))
        sim_event_at(net_of(f), &link->leave, now(f) + sim_between(net_of(f), 1, f->o.habits->leave_max_ns));
    return link;
}

static struct line *new_line(struct link *link)
{
    struct line *line = calloc(1, sizeof(*line));
    ASSERT(line != NULL);
    line->link = link;
    list_init(&line->node);
    list_init(&line->given_up);
    list_add_tail(&link->lines, &line->node);
    line->call = sim_call_new(net_of(link->frontend), link->h2, CALL_OF_FRONTEND, NULL, 0, &call_events,
                              line);
    line->call->alone = link->frontend->o.mode != FRONTEND_SHARED;
    return line;
}

static struct link *open_link(struct sim_frontend *f)
{
    list_each_safe(node, tmp, &f->links)
    {
        struct link *link = list_entry(node, struct link, node);
        if (f->o.mode != FRONTEND_SINGLE && !link->left && sim_h2_is_open(link->h2))
            return link;
    }
    return new_link(f);
}

static struct line *open_line(struct link *link)
{
    list_each_safe(node, tmp, &link->lines)
    {
        struct line *line = list_entry(node, struct line, node);
        if (link->frontend->o.mode == FRONTEND_SHARED && !line->left && !line->call->leaving)
            return line;
    }
    return new_line(link);
}

static void on_think(struct sim_event *e)
{
    struct sim_frontend *f = container_of(e, struct sim_frontend, think);
    if (f->leaving)
        return;
    if (f->begun < f->o.habits->dials && f->standing < f->o.habits->at_once)
        begin_dial(open_line(open_link(f)));
    else if (f->begun == f->o.habits->dials && f->standing == 0)
        list_each_safe(node, tmp, &f->links)
            leave_link(list_entry(node, struct link, node), sim_chance(net_of(f), 200));
    go_on(f);
}

static void go_on(struct sim_frontend *f)
{
    bool more = f->begun < f->o.habits->dials && f->standing < f->o.habits->at_once;
    bool ends = f->begun == f->o.habits->dials && f->standing == 0;
    bool left = true;
    list_each_safe(node, tmp, &f->links) left &= list_entry(node, struct link, node)->left;
    if (!f->leaving && f->think.index == 0 && (more || (ends && !left)))
        sim_event_at(net_of(f), &f->think, now(f) + sim_between(net_of(f), 0, f->o.ask.habits->think_max_ns));
}

/* -- life ---------------------------------------------------------------------------------------------------
 */

struct sim_frontend *sim_frontend_new(const struct sim_frontend_options *o)
{
    struct sim_frontend *f = calloc(1, sizeof(*f));
    ASSERT(f != NULL);
    *f = (struct sim_frontend){.o = *o, .tunnel_habits = *o->ask.habits, .think.fire = on_think};
    f->tunnel_habits.upgrades = f->tunnel_habits.early = 0;
    f->o.ask.habits = &f->tunnel_habits;
    list_init(&f->links);
    list_init(&f->dials);
    go_on(f);
    return f;
}

bool sim_frontend_is_done(const struct sim_frontend *f)
{
    return (f->leaving || f->begun == f->o.habits->dials) && list_empty(&f->dials) && list_empty(&f->links);
}

static void check_dial(struct dial *d)
{
    if (!d->line || !d->line->call->stream) {
        sim_ask_check(d->ask, false, 0);
        return;
    }
    const struct sim_h2_stream *s = d->line->call->stream;
    if (d->written_at == 0 && s->framed >= d->said_at)
        d->written_at = sim_h2_written(s->h2);
    sim_ask_check(d->ask, d->written_at != 0 && sim_h2_is_taken(s->h2, d->written_at), sim_h2_clear_since(s));
}

void sim_frontend_check(struct sim_frontend *f)
{
    list_each_safe(node, tmp, &f->links)
    {
        struct link *link = list_entry(node, struct link, node);
        sim_h2_check(link->h2);
        if (sim_h2_pong_overdue_ns(link->h2) > pong_ns + f->o.ask.promises->slack_ns)
            sim_tunnel_violation(f->o.ask.book, 0, "a frontend's PING is not answered");
        list_each_safe(line, next, &link->lines)
            sim_call_check(list_entry(line, struct line, node)->call, close_ns + f->o.ask.promises->slack_ns);
    }
    list_each_safe(node, tmp, &f->dials) check_dial(list_entry(node, struct dial, node));
}

void sim_frontend_leave(struct sim_frontend *f)
{
    f->leaving = true;
    sim_event_cancel(net_of(f), &f->think);
    list_each_safe(node, tmp, &f->links) leave_link(list_entry(node, struct link, node), true);
    list_each_safe(node, tmp, &f->dials)
    {
        struct dial *d = list_entry(node, struct dial, node);
        if (!d->line && d->ask->peer)
            sim_peer_break(d->ask->peer);
    }
}

void sim_frontend_free(struct sim_frontend **fp)
{
    struct sim_frontend *f = *fp;
    *fp = NULL;
    if (!f)
        return;
    ASSERT(sim_frontend_is_done(f));
    sim_event_cancel(net_of(f), &f->think);
    free(f);
}
