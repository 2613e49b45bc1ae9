/* test/sim/sim_ask.c — see sim_ask.h. */
#include "sim_ask.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sim_wish.h"

static const uint64_t still_ns = 15000000000u; /* longer than a stopped reader on a shared stream is borne */

static struct sim_net *net_of(const struct sim_ask *a)
{
    return a->o->book->net;
}

struct sim_tunnel *sim_ask_tunnel(const struct sim_ask *a)
{
    return sim_tunnel_find(a->o->book, a->tunnel);
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void be_over(struct sim_ask *a)
{
    sim_door_shut(a->o->doors, a->tunnel);
    sim_event_cancel(net_of(a), &a->leave);
    if (a->cancelled.index == 0)
        a->over(a);
}

void sim_ask_lost(struct sim_ask *a, bool by_itself)
{
    a->answered = true;
    sim_ask_tunnel(a)->excused |= by_itself;
    sim_tunnel_over(a->o->book, a->tunnel, by_itself ? TUNNEL_LEFT : TUNNEL_LOST);
    be_over(a);
}

static void on_leave(struct sim_event *e)
{
    struct sim_ask *a = container_of(e, struct sim_ask, leave);
    struct sim_end *end = sim_end_find(a->o->book, sim_ask_tunnel(a)->client);
    end->broke = true;
    end->broke_ns = sim_now_ns(net_of(a));
    sim_trace(net_of(a), "leaves", a->tunnel, 0, end->said);
    a->take_back(a);
    if (a->asked_ns != 0 && !a->o->by_agent) /* who goes on dialling */
        sim_event_at(net_of(a), &a->cancelled, sim_now_ns(net_of(a)) + a->o->promises->cancel_ns);
    sim_ask_lost(a, true);
}

static void on_cancelled(struct sim_event *e)
{
    struct sim_ask *a = container_of(e, struct sim_ask, cancelled);
    if (sim_door_dials(a->o->doors, sim_ask_tunnel(a)) > 0)
        sim_tunnel_violation(a->o->book, a->tunnel,
                             "is still connected although its client left during the dial");
    a->over(a);
}

static void on_peer_over(struct sim_peer *p)
{
    struct sim_ask *a = p->owner;
    sim_peer_free(&p);
    a->peer = NULL;
    be_over(a);
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

static void settle(struct sim_ask *a, struct sim_channel *channel)
{
    const struct sim_tunnel *x = sim_ask_tunnel(a);
    sim_event_cancel(net_of(a), &a->leave);
    a->answered = true;
    if (x->outcome != TUNNEL_STOOD) {
        be_over(a);
        return;
    }
    a->moved_ns = sim_now_ns(net_of(a));
    a->peer = sim_peer_new(&(struct sim_peer_options){
        .book = a->o->book, .channel = channel, .end = x->client, .owner = a, .over = on_peer_over});
}

void sim_ask_answered(struct sim_ask *a, unsigned status, const char *text, struct sim_channel *channel)
{
    sim_tunnel_answered(a->o->book, a->tunnel, status, text);
    settle(a, channel);
}

void sim_ask_dialled(struct sim_ask *a, const char *error, struct sim_channel *channel)
{
    sim_tunnel_dialled(a->o->book, a->tunnel, error);
    settle(a, channel);
}

/* Who stops reading stops nobody else: a tunnel whose own ends read goes on, whatever shares its connection
 * and its agent. */
static void check_movement(struct sim_ask *a)
{
    const struct sim_end *near = sim_end_find(a->o->book, sim_ask_tunnel(a)->client);
    const struct sim_end *far = sim_end_find(a->o->book, near->other);
    const struct sim_channel *c = a->peer->channel;
    uint64_t now = sim_now_ns(net_of(a));
    bool excused = !a->o->book->calm || !far || !far->peer || near->script.stop_ns > 0 ||
                   far->script.stop_ns > 0;
    if (excused)
        return;
    uint64_t moved = near->said + near->heard + far->said + far->heard;
    uint64_t clear_ns = c->ops->clear_since ? c->ops->clear_since(c) : 0;
    if (moved != a->moved || clear_ns == UINT64_MAX)
        a->moved_ns = now;
    a->moved = moved;
    if (now > a->moved_ns + still_ns)
        sim_tunnel_violation(a->o->book, a->tunnel, "stands still");
}

void sim_ask_check(struct sim_ask *a, bool taken, uint64_t clear_since_ns)
{
    const struct sim_tunnel_promises *p = a->o->promises;
    uint64_t now = sim_now_ns(net_of(a));
    if (a->peer) {
        sim_peer_check_held(a->peer, p->held_max);
        sim_peer_check_told(a->peer, p->reset_told_ns);
        check_movement(a);
    }
    if (a->answered)
        return;
    if (a->asked_ns == 0 && taken)
        a->asked_ns = now;
    uint64_t since_ns = a->asked_ns > clear_since_ns ? a->asked_ns : clear_since_ns;
    if (a->asked_ns != 0 && clear_since_ns != UINT64_MAX && now > since_ns + p->answer_ns)
        sim_tunnel_violation(a->o->book, a->tunnel, "was not answered in %" PRIu64 " ms",
                             (now - since_ns) / 1000000u);
}

/* -- life ---------------------------------------------------------------------------------------------------
 */

struct sim_ask *sim_ask_new(const struct sim_tunneller_options *o, bool whole_close)
{
    struct sim_ask *a = calloc(1, sizeof(*a));
    ASSERT(a != NULL);
    *a = (struct sim_ask){
        .o = o, .tunnel = sim_wish_make(o), .leave.fire = on_leave, .cancelled.fire = on_cancelled};
    list_init(&a->node);
    struct sim_tunnel *x = sim_ask_tunnel(a);
    if (whole_close && !x->whole_close)
        sim_wish_without_half_close(o, x->id);
    if (x->leaving != LEAVES_NOT)
        sim_event_at(o->book->net, &a->leave, sim_now_ns(o->book->net) + x->leaves_ns);
    sim_door_open(o->doors, a->tunnel);
    sim_trace(o->book->net, "ask tunnel", x->id, (uint64_t)x->destination, whole_close);
    return a;
}

void sim_ask_free(struct sim_ask **ap)
{
    struct sim_ask *a = *ap;
    *ap = NULL;
    ASSERT(!a->peer && a->leave.index == 0 && a->cancelled.index == 0);
    list_remove(&a->node);
    free(a);
}
