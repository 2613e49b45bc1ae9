/* broker/konnectivity/agent_watch.c — whether an agent is alive, whether it answers, and what the log hears.
 *
 * An agent that is lost without a FIN would be chosen until the kernel gives up. So it is asked by PING when
 * nothing has come for a while, and is lost when nothing comes after that either. A dial that is not answered
 * for longer than a stock agent takes to give one up makes it suspect, which all workers see on its card,
 * until it answers one.
 *
 * Agents that already know this server find that out from the head of our answer, and leave at once; behind a
 * balancer they do so again and again. So the log hears of an agent when it has stayed for a moment.
 */
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/agent_call.h"
#include "io/worker.h"

/* -- the log ------------------------------------------------------------------------------------------------
 */

/* False: nobody wants to see it, or there are too many, and it is counted. */
static bool begin_line(struct agent_home *home, struct front_http2 *h, enum log_level level,
                       const char *event)
{
    struct worker *w = home->bw->worker;
    if (level > log_options()->level)
        return false;
    if (w->now_ns - home->lines_ns >= 1000000000u) {
        home->lines_ns = w->now_ns;
        home->lines = 0;
    }
    if (++home->lines > AGENT_LINES_PER_S) {
        home->unlogged++;
        return false;
    }
    log_begin(w, level, event);
    front_log_client(h->conn);
    if (home->unlogged > 0)
        log_u64(w, "suppressed", home->unlogged);
    home->unlogged = 0;
    return true;
}

static bool begin_agent_line(struct agent_call *a, enum log_level level, const char *event)
{
    if (!begin_line(a->home, agent_session(a), level, event))
        return false;
    log_str(agent_worker(a), "agent", a->card->id);
    return true;
}

void agent_watch_refused(struct front_http2 *h, struct agent_home *home, const char *id, const char *why)
{
    struct worker *w = home->bw->worker;
    if (!begin_line(home, h, LOG_WARN, "agent_refused"))
        return;
    log_str(w, "agent", id);
    log_str(w, "reason", why);
    log_end(w);
}

static void tell(struct agent_call *a)
{
    struct worker *w = agent_worker(a);
    a->told = true;
    if (!begin_agent_line(a, LOG_INFO, "agent_connected"))
        return;
    log_u64(w, "identifiers", a->card->host_count);
    log_u64(w, "default_route", a->card->default_route);
    log_end(w);
}

void agent_watch_draining(struct agent_call *a)
{
    bool news = !atomic_exchange(&a->card->draining, true);
    if (news && begin_agent_line(a, LOG_INFO, "agent_draining"))
        log_end(agent_worker(a));
}

void agent_watch_end(struct agent_call *a, enum ending reason)
{
    struct worker *w = agent_worker(a);
    bool duplicate = !a->told && a->dials == 0 && (reason == ENDING_CLIENT_GONE || reason == ENDING_DONE);
    if (!begin_agent_line(a, duplicate ? LOG_DEBUG : LOG_INFO, "agent_lost"))
        return;
    log_str(w, "reason", ending_name(reason));
    if (a->why)
        log_str(w, "detail", a->why);
    log_ms(w, "duration_ms", w->now_ns - a->card->since_ns);
    log_u64(w, "connections", a->conn_count);
    log_u64(w, "dials", a->dials);
    log_u64(w, "dials_failed", a->dials_failed);
    log_u64(w, "bytes_in", a->bytes_in);
    log_u64(w, "bytes_out", a->bytes_out);
    log_end(w);
}

/* -- life ---------------------------------------------------------------------------------------------------
 */

static void lost(struct agent_call *a)
{
    a->why = "it answered no PING within agents.keepaliveTimeoutMs";
    http2_fail(agent_session(a), ENDING_PEER_LOST);
}

static void ask(struct agent_call *a)
{
    struct front_http2 *h = agent_session(a);
    a->ping_ns = agent_worker(a)->now_ns;
    http2_submitted(h, nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL));
    worker_arm_ms(agent_worker(a), &a->watch_timer, agent_config(a)->keepalive_timeout_ms);
}

static void on_timer(struct timer *t)
{
    struct agent_call *a = container_of(t, struct agent_call, watch_timer);
    struct worker *w = agent_worker(a);
    uint64_t heard_ns = agent_session(a)->heard_ns, patience_ns = agent_config(a)->keepalive_ms * 1000000ull;
    if (!a->told)
        tell(a);
    if (a->ping_ns != 0 && heard_ns <= a->ping_ns) {
        lost(a);
        return;
    }
    a->ping_ns = 0;
    if (w->now_ns - heard_ns >= patience_ns)
        ask(a);
    else
        timer_arm_at(&w->timers, t, heard_ns + patience_ns);
}

void agent_watch_init(struct agent_call *a)
{
    timer_init(&a->watch_timer, on_timer);
}

void agent_watch_begin(struct agent_call *a)
{
    worker_arm_ms(agent_worker(a), &a->watch_timer, AGENT_DUPLICATE_MS);
}

void agent_watch_unanswered(struct agent_call *a)
{
    atomic_store(&a->card->suspect_until_ns, agent_worker(a)->now_ns + AGENT_DOUBT_MS * 1000000ull);
}

void agent_watch_answered(struct agent_call *a)
{
    if (atomic_load_explicit(&a->card->suspect_until_ns, memory_order_relaxed) != 0)
        atomic_store(&a->card->suspect_until_ns, 0);
}
