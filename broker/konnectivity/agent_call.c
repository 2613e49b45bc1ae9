/* broker/konnectivity/agent_call.c — a call of /AgentService/Connect: an agent's stream, from its metadata to
 * its end.
 *
 * The agent waits without a limit for the head of our answer, which makes it ready: it goes as soon as the
 * metadata and, where there are tokens, the API server have been asked. From then on every worker may dial
 * through it. The stream is always read, whatever its connections take (agent_window.c): one that is not read
 * stops an agent for all.
 *
 * An agent is believed nothing about connections that its stream did not dial. What it says about others is
 * answered, or ignored, and counted; too much of it ends the stream, and no other.
 */
#include "broker/konnectivity/agent_call.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "io/worker.h"

#define B(s) (1u << AGENT_CALL_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[AGENT_CALL_STATES] = {
    [AGENT_CALL_CHECKED] = {"checked", B(SERVING) | B(OVER)},
    [AGENT_CALL_SERVING] = {"serving", B(OVER)             },
    [AGENT_CALL_OVER] = {"over",    0                   },
};
#undef B

static const struct http2_call_ops agent_ops;

static struct agent_call *agent_of(struct http2_call *call)
{
    return container_of(call, struct agent_call, call);
}

struct front_http2 *agent_session(const struct agent_call *a)
{
    return a->call.http2->session;
}

struct worker *agent_worker(const struct agent_call *a)
{
    return a->home->bw->worker;
}

const struct config_agents *agent_config(const struct agent_call *a)
{
    return &a->home->bw->broker->config->agents;
}

static void set_state(struct agent_call *a, enum agent_call_state next)
{
    ASSERT(states[a->state].next & (1u << next));
    a->state = next;
}

/* -- homes --------------------------------------------------------------------------------------------------
 */

struct agent_home *agent_home_new(struct broker_worker *bw, uint32_t conns_max)
{
    struct agent_home *home = calloc(1, sizeof(*home));
    if (!home)
        return NULL;
    home->bw = bw;
    home->seed = worker_random(bw->worker);
    list_init(&home->agents);
    for (unsigned i = 0; i < AGENT_BUCKETS; i++) {
        list_init(&home->by_dial[i]);
        list_init(&home->by_id[i]);
    }
    slab_init(&home->calls, "agents", sizeof(struct agent_call), UINT16_MAX);
    slab_init(&home->conns, "agents' connections", sizeof(struct agent_conn), conns_max);
    slab_init(&home->addresses, "agents' destinations", AGENT_ADDRESS_MAX, conns_max);
    return home;
}

void agent_home_free(struct agent_home **ph)
{
    struct agent_home *home = *ph;
    *ph = NULL;
    if (!home)
        return;
    slab_fini(&home->calls);
    slab_fini(&home->conns);
    slab_fini(&home->addresses);
    free(home);
}

/* -- the end ------------------------------------------------------------------------------------------------
 */

/* Every near half hears of it in this turn. */
static void withdraw(struct agent_call *a, enum ending reason)
{
    if (a->state == AGENT_CALL_OVER)
        return;
    bool known = a->state == AGENT_CALL_SERVING;
    if (known) {
        stats_gauge_sub(&a->home->bw->stats, STATS_CONNECT_STREAMS, 1);
        agent_watch_end(a, reason);
    }
    if (a->keeps)
        stats_gauge_sub(&a->home->bw->stats, STATS_FULL_CONNECT, 1);
    a->keeps = false;
    set_state(a, AGENT_CALL_OVER);
    a->call.over = true;
    token_review_cancel(&a->check);
    list_each_safe(node, tmp, &a->conns) agent_conn_free(list_entry(node, struct agent_conn, node));
    ASSERT(a->conn_count == 0 && a->pending == 0);
    a->strangers_n = 0;
    reader_reset(&a->reader);
    worker_disarm(agent_worker(a), &a->window_timer);
    worker_disarm(agent_worker(a), &a->watch_timer);
    list_remove(&a->node);
    a->card->call = NULL;
    if (known)
        agents_withdraw(a->home->bw, &a->card);
    else
        agent_card_free(&a->card);
}

static void end(struct agent_call *a, enum ending reason, enum grpc_status status, const char *text)
{
    bool answered = a->state == AGENT_CALL_SERVING;
    if (a->state == AGENT_CALL_OVER)
        return;
    withdraw(a, reason);
    if (answered)
        http2_call_end(&a->call, status, text);
    else
        http2_call_refuse(a->call.http2, status, text);
}

void agent_call_fail(struct agent_call *a, enum grpc_status status, const char *why)
{
    if (a->state == AGENT_CALL_OVER)
        return;
    a->why = why;
    stats_stream_error(&a->home->bw->stats, STATS_FROM_AGENT, status, STATS_NO_PACKET);
    http2_wasted(agent_session(a));
    end(a, status == GRPC_RESOURCE_EXHAUSTED ? ENDING_LIMIT : ENDING_BAD_REQUEST, status, why);
}

static void on_gone(struct http2_call *call, enum ending reason)
{
    struct agent_call *a = agent_of(call);
    if (a->state == AGENT_CALL_SERVING) /* reset, or its connection was lost */
        stats_stream_error(&a->home->bw->stats, STATS_FROM_AGENT, STATS_STATUS_CANCELED, STATS_NO_PACKET);
    withdraw(a, reason);
    agent_queue_drop(&a->orphan, a->home);
    slab_give(&a->home->calls, a);
}

static void on_input_end(struct http2_call *call)
{
    struct agent_call *a = agent_of(call);
    call->ops->pass_on(call);
    end(a, ENDING_DONE, GRPC_OK, "");
}

static void on_drain(struct http2_call *call)
{
    end(agent_of(call), ENDING_DRAINING, GRPC_OK, "");
}

/* -- packets about nothing ----------------------------------------------------------------------------------
 */

void agent_call_nonsense(struct agent_call *a)
{
    uint64_t now = agent_worker(a)->now_ns;
    if (now - a->nonsense_ns >= 1000000000u) {
        a->nonsense_ns = now;
        a->nonsense = 0;
    }
    if (++a->nonsense > AGENT_NONSENSE_PER_S)
        agent_call_fail(a, GRPC_RESOURCE_EXHAUSTED,
                        "more than 1000 packets a second about dials and connections that there are not");
}

/* What finds no room is not told: an agent that has so many is told again when they speak. */
void agent_call_stranger(struct agent_call *a, int64_t id)
{
    if (id == 0 || a->state != AGENT_CALL_SERVING || a->strangers_n == AGENT_STRANGERS_MAX)
        return;
    for (uint32_t i = 0; i < a->strangers_n; i++)
        if (a->strangers[i] == id)
            return;
    a->strangers[a->strangers_n++] = id;
    http2_reply_wake(a->call.http2);
}

/* -- packets in ---------------------------------------------------------------------------------------------
 */

/* Of those that only a server sends, and of types that there are not, none is good. */
static void on_packet(struct agent_call *a, const struct packet *packet)
{
    stats_packet(&a->home->bw->stats, STATS_FROM_AGENT, packet->type);
    switch (packet->type) {
    case PACKET_DIAL_RSP: agent_far_answered(a, packet); return;
    case PACKET_DIAL_CLS: agent_far_dial_closed(a, packet); return;
    case PACKET_CLOSE_RSP: agent_far_closed(a, packet); return;
    case PACKET_DATA: agent_far_data(a, packet, NULL); return;
    case PACKET_DRAIN: agent_watch_draining(a); return;
    }
    agent_call_nonsense(a);
}

/* The connection's credit goes back at once: what bounds an agent is its stream's window. */
static void on_input(struct http2_call *call, const uint8_t *data, uint32_t len)
{
    struct agent_call *a = agent_of(call);
    struct front_http2 *h = agent_session(a);
    struct slice bytes = slice_of((const char *)data, len);
    http2_consumed(h, len);
    a->bytes_in += len;
    a->probed += len;
    while (!call->over) {
        struct packet packet;
        struct reader_failure failure;
        enum reader_result result = reader_read(&a->reader, &agent_worker(a)->bufs, &bytes, &packet,
                                                &failure);
        if (result == READ_BYTES && a->reader.state == READER_PREFIX) /* the last of them */
            stats_packet(&a->home->bw->stats, STATS_FROM_AGENT, PACKET_DATA);
        if (result == READ_BYTES)
            agent_far_data(a, &packet, h->input);
        else if (result == READ_PACKET)
            on_packet(a, &packet);
        else if (result == READ_FAILED)
            agent_call_fail(a, failure.status, failure.text);
        else
            return;
    }
}

static void on_pass_on(struct http2_call *call)
{
    struct agent_call *a = agent_of(call);
    struct list *node;
    while ((node = list_pop(&a->dirty)) != NULL)
        agent_receive_pass_on(list_entry(node, struct agent_conn, dirty));
    agent_window_settle(a);
}

static void on_pong(struct http2_call *call)
{
    agent_window_pong(agent_of(call));
}

static const struct http2_call_ops agent_ops = {.input = on_input,
                                                .pass_on = on_pass_on,
                                                .input_end = on_input_end,
                                                .drain = on_drain,
                                                .pong = on_pong,
                                                .gone = on_gone,
                                                .ready = agent_send_ready,
                                                .take = agent_send_take};

/* -- the beginning ------------------------------------------------------------------------------------------
 */

static void serve(struct agent_call *a)
{
    const struct config_agents *config = agent_config(a);
    struct worker *w = agent_worker(a);
    char count[12];
    snprintf(count, sizeof(count), "%u", config->server_count);
    const struct slice fields[][2] = {
        {SLICE("serverid"),    slice_of_text(a->home->bw->broker->server_id)},
        {SLICE("servercount"), slice_of_text(count)                         }
    };
    set_state(a, AGENT_CALL_SERVING);
    a->call.answered = true;
    stats_gauge_add(&a->home->bw->stats, STATS_CONNECT_STREAMS, 1);
    a->card->home = w->number;
    a->card->since_ns = w->now_ns;
    a->card->serial = a->number;
    http2_call_answer(&a->call, fields, ARRAY_SIZE(fields));
    agent_watch_begin(a);
    agents_announce(a->home->bw, a->card);
}

static void on_answered(struct token_check *check, bool authenticated, const char *why)
{
    struct agent_call *a = check->owner;
    char text[256];
    if (authenticated) {
        serve(a);
        return;
    }
    snprintf(text, sizeof(text), "authentication failed: %s", why);
    agent_watch_refused(agent_session(a), a->home, a->card->id, text);
    end(a, ENDING_NOT_ALLOWED, GRPC_UNKNOWN, text);
}

static void refuse(struct http2_stream *s, struct agent_home *home, struct agent_card *card, const char *why)
{
    agent_watch_refused(s->session, home, card ? card->id : "", why);
    http2_call_refuse(s, GRPC_UNKNOWN, why);
    if (card)
        agent_card_free(&card);
}

static struct agent_call *make(struct agent_home *home, struct http2_stream *s, struct agent_card *card)
{
    struct agent_call *a = slab_take(&home->calls);
    if (!a)
        return NULL;
    http2_call_init(&a->call, &agent_ops, s);
    a->call.window = AGENT_WINDOW_FIRST;
    a->home = home;
    a->card = card;
    a->card->call = a;
    a->number = atomic_fetch_add(&home->bw->broker->agent_serials, 1) + 1;
    a->check = (struct token_check){.answered = on_answered, .owner = a};
    list_init(&a->node);
    list_init(&a->conns);
    list_init(&a->controls);
    list_init(&a->ready);
    list_init(&a->dirty);
    agent_window_init(a);
    agent_watch_init(a);
    list_add_tail(&home->agents, &a->node);
    return a;
}

void agent_call_begin(struct http2_stream *s, const struct head_view *view, bool ended)
{
    struct agent_home *home = s->session->conn->bw->agent_home;
    const bool reviewed = home->bw->broker->config->agents.token_review != NULL;
    struct agent_card *card = NULL;
    struct slice token = SLICE("");
    const char *wrong = home->bw->draining ? ending_text(ENDING_DRAINING)
                        : ended            ? "Connect ended with its head"
                                           : agent_hello_read(view, &card);
    if (!wrong && reviewed)
        wrong = agent_hello_token(view, &token);
    struct agent_call *a = wrong ? NULL : make(home, s, card);
    if (!a) {
        refuse(s, home, card, wrong ? wrong : "out of memory");
        return;
    }
    s->call = &a->call;
    http2_stream_set_state(s, HTTP2_CALL);
    if (reviewed)
        token_review_check(home->bw, &a->check, token);
    else
        serve(a);
}
