/* broker/konnectivity/agent_window.c — how much an agent may send: its stream's window.
 *
 * All connections of an agent share one window, and the protocol has no credit for a connection. The window
 * is given back for what a near half's budget has room for, and for more: an agent whose window is shut stops
 * for everybody. Only where one connection is alone, nobody else having said or heard a word for a second, is
 * what its reader has not taken kept from the window, so that it has the back pressure that TCP has. Even
 * then a little is given back now and then: whoever else wants to speak is queued behind it at the agent, and
 * shows himself by that. From then on the one that holds too much, or holds much and takes nothing, is cut,
 * and no other.
 *
 * The window begins small and grows where it is the limit: where as many bytes as make most of it come while
 * a PING goes to the agent and back.
 */
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/agent_call.h"
#include "io/worker.h"

enum {
    ALONE_MS = 1000, /* of silence of everybody else */
    LEAK_MS = 50,
    LEAK_BYTES = 16384, /* a frame; 320 KiB a second */
    PACE_MS = 500,      /* a reader that took half a budget in that time moves: 256 KiB a second, a guess */
    PACE_FRACTION = 2,
    STILL_MS = 250,          /* without a byte taken one moves no longer, whatever it did before; a guess */
    JUDGE_MS = 250,          /* how often the patience with those that hold much is looked at */
    PROBE_MS = 50,           /* between PINGs; their answers are frames that http2_watch.h counts */
    PROBE_BYTES = 64 * 1024, /* less than that, and no window is the limit */
};

static uint64_t now_of(const struct agent_call *a)
{
    return agent_worker(a)->now_ns;
}

/* -- who is alone -------------------------------------------------------------------------------------------
 */

static void look_soon(struct agent_call *a, uint64_t ms)
{
    worker_arm_ms(agent_worker(a), &a->window_timer, ms);
}

/* Not about one whose near half is gone: nobody waits for that. */
void agent_window_active(struct agent_call *a, struct agent_conn *c)
{
    bool other = a->recent.prev != &c->recent;
    if (!c->near)
        return;
    list_remove(&c->recent);
    list_add_tail(&a->recent, &c->recent);
    c->active_ns = now_of(a);
    if (other && !list_empty(&a->holders)) /* not from here: it may be about the one that would be cut */
        look_soon(a, 0);
}

bool agent_window_has_others(const struct agent_conn *c)
{
    const struct agent_call *a = c->agent;
    const struct list *last = a->recent.prev == &c->recent ? c->recent.prev : a->recent.prev;
    if (last == &a->recent)
        return false;
    return now_of(a) - list_entry(last, struct agent_conn, recent)->active_ns < ALONE_MS * 1000000ull;
}

/* -- who is cut ---------------------------------------------------------------------------------------------
 */

void agent_window_holds(struct agent_conn *c)
{
    c->pace_ns = now_of(c->agent);
    c->paced = 0;
    c->moves = true;
}

static void pace(struct agent_conn *c)
{
    uint64_t now = now_of(c->agent);
    if (now - c->pace_ns < PACE_MS * 1000000ull)
        return;
    c->moves = c->paced >= c->agent->home->bw->budget / PACE_FRACTION;
    c->paced = 0;
    c->pace_ns = now;
}

/* What its client's sockets and windows have room for is taken at once, by one that stands still, too. */
static bool moves(const struct agent_conn *c)
{
    return c->moves && now_of(c->agent) - c->taken_ns < STILL_MS * 1000000ull;
}

bool agent_window_judge(struct agent_conn *c)
{
    const struct agent_call *a = c->agent;
    const struct config_agents *config = agent_config(a);
    if (c->held.bytes <= a->home->bw->budget || !agent_window_has_others(c))
        return true;
    if (c->held.bytes > config->connection_bytes_max && !moves(c)) {
        agent_conn_leave(
            c, ENDING_SLOW_READER,
            SLICE("more than agents.connectionBytesMax was not taken while others used the agent"));
        return false;
    }
    if (now_of(a) - c->taken_ns < config->patience_ms * 1000000ull)
        return true;
    agent_conn_leave(c, ENDING_SLOW_READER,
                     SLICE("nothing was taken for agents.patienceMs while others used the agent"));
    return false;
}

/* -- giving back --------------------------------------------------------------------------------------------
 */

static void say(struct agent_call *a)
{
    struct http2_stream *s = a->call.http2;
    if (a->unsaid > 0 && !s->request_ended && !a->call.over)
        http2_submitted(s->session, nghttp2_submit_window_update(s->session->session, NGHTTP2_FLAG_NONE,
                                                                 s->id, (int32_t)a->unsaid));
    a->unsaid = 0;
}

static void give_back(struct agent_call *a, uint32_t bytes)
{
    a->call.owed -= bytes;
    a->unsaid += bytes;
    if (a->call.owed + a->unsaid >= a->call.window / 2)
        say(a);
}

/* Of one that is alone, what is beyond its budget; else what is beyond all bounds, of one that moves. */
static uint32_t to_keep(const struct agent_call *a)
{
    uint64_t keep = 0;
    list_each_safe(node, tmp, (struct list *)&a->holders)
    {
        const struct agent_conn *c = list_entry(node, struct agent_conn, holding);
        uint32_t allowed = agent_window_has_others(c) ? agent_config(a)->connection_bytes_max
                                                      : a->home->bw->budget;
        keep += c->held.bytes > allowed ? c->held.bytes - allowed : 0;
    }
    return keep < a->call.owed ? (uint32_t)keep : a->call.owed;
}

static void give_back_what_may(struct agent_call *a)
{
    uint32_t keep = to_keep(a);
    if (a->call.owed > keep)
        give_back(a, a->call.owed - keep);
    if (a->keeps == (keep > 0))
        return;
    a->keeps = keep > 0;
    stats_gauge_add(&a->home->bw->stats, STATS_FULL_CONNECT, a->keeps ? 1 : UINT64_MAX);
}

static void watch_holders(struct agent_call *a)
{
    if (list_empty(&a->holders))
        worker_disarm(agent_worker(a), &a->window_timer);
    else if (!timer_is_armed(&a->window_timer))
        look_soon(a, a->call.owed > 0 ? LEAK_MS : JUDGE_MS);
}

static bool is_full(const struct agent_call *a)
{
    list_each_safe(node, tmp,
                   (struct list *)&a->holders) if (list_entry(node, struct agent_conn, holding)->held.bytes >
                                                   agent_config(a)->connection_bytes_max) return true;
    return false;
}

static void leak(struct agent_call *a)
{
    if (a->call.owed == 0 || is_full(a))
        return;
    give_back(a, a->call.owed < LEAK_BYTES ? a->call.owed : LEAK_BYTES);
    say(a);
}

static void on_timer(struct timer *t)
{
    struct agent_call *a = container_of(t, struct agent_call, window_timer);
    list_each_safe(node, tmp, &a->holders)
    {
        struct agent_conn *c = list_entry(node, struct agent_conn, holding);
        pace(c);
        (void)agent_window_judge(c);
    }
    give_back_what_may(a);
    leak(a);
    watch_holders(a);
}

/* -- growing ------------------------------------------------------------------------------------------------
 */

static void probe(struct agent_call *a)
{
    struct front_http2 *h = agent_session(a);
    if (a->probing || a->call.window >= AGENT_WINDOW_MAX || a->probed < PROBE_BYTES ||
        now_of(a) - a->probe_ns < PROBE_MS * 1000000ull)
        return;
    a->probing = true;
    a->probed = 0;
    a->probe_ns = now_of(a);
    http2_submitted(h, nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL));
}

void agent_window_pong(struct agent_call *a)
{
    struct http2_stream *s = a->call.http2;
    bool limits = a->probed >= a->call.window / 3 * 2 && a->call.owed == 0;
    if (!a->probing || a->call.over)
        return;
    a->probing = false;
    a->probed = 0;
    if (!limits || s->request_ended)
        return;
    a->call.window *= 2;
    http2_submitted(s->session, nghttp2_session_set_local_window_size(s->session->session, NGHTTP2_FLAG_NONE,
                                                                      s->id, (int32_t)a->call.window));
}

/* -- the calls ----------------------------------------------------------------------------------------------
 */

void agent_window_init(struct agent_call *a)
{
    list_init(&a->holders);
    list_init(&a->recent);
    timer_init(&a->window_timer, on_timer);
}

void agent_window_settle(struct agent_call *a)
{
    if (a->call.over)
        return;
    give_back_what_may(a);
    watch_holders(a);
    probe(a);
}
