/* broker/konnectivity/agent_far.c — what is said to a far half: by its near half, in messages, and by the
 * agent, in packets.
 *
 * Either may speak of what is no more. A near half's words about it are sent home unread; an agent's are
 * answered by CLOSE_REQ where a connection of its own would be left standing, and counted. A DIAL_RSP is
 * looked up among the dials of the stream that it came on, and nowhere else.
 */
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/agent_call.h"
#include "io/worker.h"

static struct konnectivity_stats *stats_of(struct agent_call *a)
{
    return &a->home->bw->stats;
}

/* -- what errors mean ---------------------------------------------------------------------------------------
 */

/* What Go's net package says, in the order in which it is looked for: texts nest. */
static const struct {
    struct slice text;
    enum ending ending;
} errors[] = {
    {SLICE_INIT("connection refused"),      ENDING_REFUSED        },
    {SLICE_INIT("no such host"),            ENDING_NAME_UNKNOWN   },
    {SLICE_INIT("server misbehaving"),      ENDING_NAME_UNKNOWN   },
    {SLICE_INIT("no route to host"),        ENDING_UNREACHABLE    },
    {SLICE_INIT("network is unreachable"),  ENDING_UNREACHABLE    },
    {SLICE_INIT("host is unreachable"),     ENDING_UNREACHABLE    },
    {SLICE_INIT("i/o timeout"),             ENDING_CONNECT_TIMEOUT},
    {SLICE_INIT("deadline exceeded"),       ENDING_CONNECT_TIMEOUT},
    {SLICE_INIT("connection timed out"),    ENDING_CONNECT_TIMEOUT},
    {SLICE_INIT("connection reset"),        ENDING_PEER_RESET     },
    {SLICE_INIT("operation not permitted"), ENDING_FILTERED       },
    {SLICE_INIT("permission denied"),       ENDING_FILTERED       },
    {SLICE_INIT("too many open files"),     ENDING_DESCRIPTORS    },
    {SLICE_INIT("cannot assign requested"), ENDING_NO_SOURCE      },
};

static bool contains(struct slice text, struct slice part)
{
    for (uint32_t i = 0; i + part.len <= text.len; i++)
        if (slice_eq_nocase(slice_first(slice_from(text, i), part.len), part))
            return true;
    return false;
}

enum ending agent_ending_of(struct slice error)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (contains(error, errors[i].text))
            return errors[i].ending;
    return ENDING_UNREACHABLE;
}

/* -- the near half ------------------------------------------------------------------------------------------
 */

/* One agent that answers nothing leaves half of them to the others. */
static bool may_dial(const struct agent_call *a)
{
    uint32_t max = agent_config(a)->pending_dials_max;
    return a->pending < (max + 1) / 2 &&
           atomic_load_explicit(&a->home->bw->broker->agent_dials, memory_order_relaxed) < max;
}

static void on_dial(struct agent_home *home, struct agent_card *card, const struct msg *msg)
{
    struct agent_call *a = card->call;
    enum ending refusal = ENDING_LIMIT;
    ASSERT(msg->seg.len >= sizeof(struct agent_dial));
    if (!a)
        refusal = ENDING_AGENT_LOST;
    else if (may_dial(a)) {
        struct agent_conn *c = agent_conn_new(a, msg);
        if (c) {
            agent_window_active(a, c);
            return;
        }
    }
    agent_refuse_dial(home->bw->worker, msg, refusal);
}

/* What the agent will not get goes home untaken: so the near half knows, when it hears of the end. */
static void on_data(struct agent_conn *c, struct seg seg)
{
    ASSERT(!c->fin);
    if (seg.len == 0) {
        agent_conn_post(c, AGENT_TAKEN, seg, 0);
        return;
    }
    if (c->state == AGENT_CONN_ENDED) {
        worker_release_seg(agent_worker(c->agent), seg);
        return;
    }
    if (!segq_push(&c->out.segs, &c->agent->home->bw->seg_nodes, seg)) {
        worker_release_seg(agent_worker(c->agent), seg);
        agent_conn_leave(c, ENDING_LIMIT, SLICE("out of memory"));
        return;
    }
    agent_window_active(c->agent, c);
    agent_send_due(c);
}

static void on_fin(struct agent_conn *c)
{
    c->fin = true;
    agent_window_active(c->agent, c);
    if (c->state == AGENT_CONN_OPEN)
        agent_conn_set_state(c, AGENT_CONN_FINISHING);
}

static void on_abort(struct agent_conn *c, enum ending reason)
{
    if (c->opened_ns == 0)
        stats_dial_failed(stats_of(c->agent), reason == ENDING_DEADLINE ? STATS_DIAL_BACKEND_DIAL_TIMEOUT
                                                                        : STATS_DIAL_FRONTEND_CLOSE);
    agent_conn_leave(c, reason, SLICE(""));
}

static void on_message(struct agent_conn *c, const struct msg *msg)
{
    switch ((enum agent_message)msg->kind) {
    case AGENT_DATA: on_data(c, msg->seg); return;
    case AGENT_CREDIT: agent_receive_granted(c, msg->value); return;
    case AGENT_FIN: on_fin(c); return;
    case AGENT_ABORT: on_abort(c, (enum ending)msg->value); return;
    case AGENT_DIAL:
    case AGENT_OPENED:
    case AGENT_TAKEN:
    case AGENT_END:
    case AGENT_CLOSED: ASSERT(!"a message to a far half");
    }
}

void agent_far_deliver(struct worker *w, struct msg *msg)
{
    struct agent_home *home = broker_worker_of(w)->agent_home;
    if (msg->kind == AGENT_DIAL) {
        on_dial(home, msg->to, msg);
        worker_release_seg(w, msg->seg);
        return;
    }
    struct agent_conn *c = agent_conn_of_dial(home, msg->extra[0]);
    if (c && c->near)
        on_message(c, msg);
    else if (msg->seg.buf)
        worker_release_seg(w, msg->seg);
}

/* -- the agent ----------------------------------------------------------------------------------------------
 */

static struct agent_conn *dial_of(struct agent_call *a, const struct packet *packet)
{
    struct agent_conn *c = agent_conn_of_dial(a->home, (uint64_t)packet->random);
    bool awaited = c && c->agent == a && (c->state == AGENT_CONN_DIALLING || c->state == AGENT_CONN_LATE);
    return awaited ? c : NULL;
}

static void failed(struct agent_conn *c, enum ending reason, struct slice detail)
{
    c->agent->dials_failed++;
    if (c->state == AGENT_CONN_DIALLING)
        agent_conn_leave(c, reason, detail);
    agent_conn_free(c);
}

static void opened(struct agent_conn *c, int64_t id)
{
    agent_conn_identify(c, id);
    if (c->state == AGENT_CONN_LATE) {
        agent_conn_set_state(c, AGENT_CONN_LEFT);
        return;
    }
    agent_conn_set_state(c, AGENT_CONN_OPEN);
    c->opened_ns = agent_worker(c->agent)->now_ns;
    stats_gauge_sub(stats_of(c->agent), STATS_PENDING_DIALS, 1);
    stats_gauge_add(stats_of(c->agent), STATS_ESTABLISHED, 1);
    stats_duration(stats_of(c->agent), STATS_DIAL, c->opened_ns - c->asked_ns);
    agent_conn_post(c, AGENT_OPENED, (struct seg){0}, 0);
    if (c->fin)
        agent_conn_set_state(c, AGENT_CONN_FINISHING);
}

void agent_far_answered(struct agent_call *a, const struct packet *packet)
{
    struct agent_conn *c = dial_of(a, packet);
    if (!c) {
        stats_dial_failed(stats_of(a), STATS_DIAL_UNRECOGNIZED_RESPONSE);
        agent_call_stranger(a, packet->connect_id);
        agent_call_nonsense(a);
        return;
    }
    agent_watch_answered(a);
    agent_window_active(a, c);
    if (packet->error.len > 0) {
        stats_dial_failed(stats_of(a), STATS_DIAL_ERROR_RESPONSE);
        failed(c, agent_ending_of(packet->error), packet->error);
    } else if (packet->connect_id == 0) {
        failed(c, ENDING_BAD_RESPONSE, SLICE("the agent gave a connection without a number"));
        agent_call_nonsense(a);
    } else if (agent_conn_of_id(a, packet->connect_id)) {
        agent_call_fail(a, GRPC_INTERNAL, "DIAL_RSP: a connectID that another connection has");
    } else {
        opened(c, packet->connect_id);
    }
}

void agent_far_dial_closed(struct agent_call *a, const struct packet *packet)
{
    struct agent_conn *c = dial_of(a, packet);
    if (c)
        stats_dial_failed(stats_of(a), STATS_DIAL_BACKEND_CLOSE);
    if (c)
        failed(c, ENDING_UNREACHABLE, SLICE("the agent gave up the dial"));
    else
        agent_call_nonsense(a);
}

/* A second CLOSE_RSP is what an agent says to a CLOSE_REQ that crossed its first: each excuses one. */
void agent_far_closed(struct agent_call *a, const struct packet *packet)
{
    struct agent_conn *c = packet->connect_id != 0 ? agent_conn_of_id(a, packet->connect_id) : NULL;
    if (!c && a->excuses > 0) {
        a->excuses--;
        return;
    }
    if (!c) {
        agent_call_nonsense(a);
        return;
    }
    agent_window_active(a, c);
    agent_conn_unidentify(c);
    if (c->state == AGENT_CONN_LEFT) {
        agent_conn_free(c);
    } else if (packet->error.len > 0) {
        agent_receive_pass_on(c);
        if (c->near)
            agent_conn_leave(c, ENDING_PEER_RESET, packet->error);
        agent_conn_free(c);
    } else {
        agent_conn_ended(c);
    }
}

void agent_far_data(struct agent_call *a, const struct packet *packet, const struct seg *input)
{
    struct agent_conn *c = packet->connect_id != 0 ? agent_conn_of_id(a, packet->connect_id) : NULL;
    if (c) {
        agent_window_active(a, c);
        if (c->near)
            agent_receive(c, packet->data, input);
        return;
    }
    agent_call_stranger(a, packet->connect_id);
    agent_call_nonsense(a);
}
