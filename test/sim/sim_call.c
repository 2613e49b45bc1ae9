/* test/sim/sim_call.c — see sim_call.h. */
#include "sim_call.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

enum { BACKLOG_MAX = 64 * 1024, FIELDS = 7, METADATA_MAX = 4 };

struct conn {
    struct sim_channel channel;
    struct list node;
    struct sim_net *net;
    struct sim_call *call; /* NULL once that is gone */
    int64_t id;
    struct sim_bytes in;
    uint64_t said, heard, unclear_ns, closed_ns;
    struct sim_event deliver;
    bool paused, blocked;
    bool closed;     /* this side has said so */
    bool over;       /* the other side has, or nothing can be heard any more */
    bool lost, told; /* over without an end; the channel's owner knows */
    bool let_go, busy;
};

static struct conn *conn_of(const struct sim_channel *c)
{
    return container_of(c, struct conn, channel);
}

static struct conn *find(const struct sim_call *call, int64_t id)
{
    list_each_safe(node, tmp, (struct list *)&call->conns)
    {
        struct conn *c = list_entry(node, struct conn, node);
        if (c->id == id)
            return c;
    }
    return NULL;
}

/* -- a connection -------------------------------------------------------------------------------------------
 */

static void settle(struct conn *c)
{
    if (!c->let_go || !c->over || c->busy)
        return;
    sim_event_cancel(c->net, &c->deliver);
    list_remove(&c->node);
    sim_bytes_fini(&c->in);
    free(c);
}

static void hold_stream(struct conn *c)
{
    bool full = c->paused && !c->let_go;
    if (c->call && c->call->alone && c->call->stream->paused != full)
        sim_h2_pause(c->call->stream, full);
}

static void pass_on(struct conn *c)
{
    c->busy = true;
    while (!c->let_go && !c->paused && c->in.at < c->in.len) {
        uint8_t bytes[4096];
        size_t left = c->in.len - c->in.at, n = left < sizeof(bytes) ? left : sizeof(bytes);
        memcpy(bytes, c->in.mem + c->in.at, n);
        sim_bytes_take(&c->in, n);
        c->channel.events->input(&c->channel, bytes, n);
    }
    if (!c->let_go && !c->told && c->over && (c->lost || (!c->paused && c->in.at == c->in.len))) {
        c->told = true;
        c->let_go |= c->lost;
        if (c->lost)
            c->channel.events->gone(&c->channel);
        else
            c->channel.events->ended(&c->channel);
    }
    c->busy = false;
    settle(c);
}

static void on_deliver(struct sim_event *e)
{
    pass_on(container_of(e, struct conn, deliver));
}

static void deliver_soon(struct conn *c)
{
    if (c->deliver.index == 0)
        sim_event_at(c->net, &c->deliver, sim_now_ns(c->net));
}

static void say_closed(struct conn *c, const char *error)
{
    if (c->closed)
        return;
    c->closed = true;
    c->closed_ns = sim_now_ns(c->net);
    bool agent = c->call->role == CALL_OF_AGENT;
    sim_call_say(c->call, &(struct sim_packet){
                              .type = agent ? SIM_CLOSE_RSP : SIM_CLOSE_REQ, .id = c->id, .error = error});
    c->over |= agent;
}

static size_t conn_write(struct sim_channel *channel, const uint8_t *bytes, size_t len)
{
    struct conn *c = conn_of(channel);
    if (c->closed || c->over) /* into the void */
        return len;
    const struct sim_bytes *out = &c->call->stream->out;
    c->blocked = out->len - out->at >= BACKLOG_MAX;
    if (c->blocked || len == 0)
        return 0;
    sim_call_say(c->call,
                 &(struct sim_packet){.type = SIM_DATA, .id = c->id, .error = "", .data = bytes, .len = len});
    c->said += len;
    return len;
}

static void conn_pause(struct sim_channel *channel, bool paused)
{
    struct conn *c = conn_of(channel);
    c->paused = paused;
    c->unclear_ns = sim_now_ns(c->net);
    hold_stream(c);
    if (!paused)
        deliver_soon(c);
}

static void conn_finish(struct sim_channel *channel)
{
    struct conn *c = conn_of(channel);
    say_closed(c, "");
    if (c->over && !c->told)
        deliver_soon(c);
}

static void conn_close(struct sim_channel *channel)
{
    struct conn *c = conn_of(channel);
    say_closed(c, "");
    c->let_go = true;
    hold_stream(c);
    settle(c);
}

static void conn_reset(struct sim_channel *channel)
{
    struct conn *c = conn_of(channel);
    if (c->call && c->call->alone)
        sim_call_leave(c->call, true);
    else
        say_closed(c, "");
    c->let_go = true;
    hold_stream(c);
    settle(c);
}

void sim_call_break(struct sim_channel *channel, const char *error)
{
    struct conn *c = conn_of(channel);
    say_closed(c, error);
    c->let_go = true;
    settle(c);
}

/* What of its own waits before the network is not told apart from others': less may have been taken. */
static bool conn_traffic(const struct sim_channel *channel, struct sim_traffic *ret)
{
    const struct conn *c = conn_of(channel);
    if (c->closed || c->over)
        return false;
    const struct sim_bytes *out = &c->call->stream->out;
    uint64_t waits = out->len - out->at;
    *ret = (struct sim_traffic){.taken = c->said > waits ? c->said - waits : 0, .offered = c->heard};
    return true;
}

static uint64_t conn_clear_since(const struct sim_channel *channel)
{
    const struct conn *c = conn_of(channel);
    if (c->paused || c->in.at < c->in.len)
        return UINT64_MAX;
    uint64_t stream_ns = c->call ? sim_h2_clear_since(c->call->stream) : 0;
    return c->unclear_ns > stream_ns ? c->unclear_ns : stream_ns;
}

static const struct sim_channel_ops conn_ops = {conn_write, conn_pause,   conn_finish,     conn_close,
                                                conn_reset, conn_traffic, conn_clear_since};

struct sim_channel *sim_call_conn(struct sim_call *call, int64_t id)
{
    struct conn *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL && !find(call, id));
    *c = (struct conn){
        .channel = {.ops = &conn_ops, .resets_by_end = !call->alone},
        .net = call->net,
        .call = call,
        .id = id,
        .deliver.fire = on_deliver
    };
    list_init(&c->node);
    list_add_tail(&call->conns, &c->node);
    return &c->channel;
}

void sim_call_forget(struct sim_call *call, int64_t id)
{
    struct conn *c = conn_of(sim_call_conn(call, id));
    conn_close(&c->channel);
}

bool sim_call_has(const struct sim_call *call, int64_t id)
{
    return find(call, id) != NULL;
}

bool sim_call_is_open(const struct sim_call *call, int64_t id)
{
    const struct conn *c = find(call, id);
    return c && !c->over && !c->closed;
}

/* -- packets ------------------------------------------------------------------------------------------------
 */

void sim_call_say(struct sim_call *call, const struct sim_packet *packet)
{
    struct sim_bytes bytes = {0};
    if (!call->stream || call->stream->out_ends)
        return;
    sim_packet_put(packet, &bytes);
    sim_h2_write(call->stream, bytes.mem + bytes.at, bytes.len - bytes.at);
    sim_bytes_fini(&bytes);
}

static void on_bytes(struct sim_call *call, const struct sim_packet *data)
{
    struct conn *c = find(call, data->id);
    if (c && c->over && call->role == CALL_OF_AGENT) /* on its way when we closed */
        return;
    if (!c || c->over) {
        if (call->role == CALL_OF_FRONTEND)
            call->events->wrong(call, "DATA for a connection that is not there", data->id);
        return;
    }
    if (data->len == 0)
        call->events->wrong(call, "DATA with nothing in it", data->id);
    c->heard += data->len;
    if (c->let_go || c->closed)
        return;
    sim_bytes_put(&c->in, data->data, data->len);
    pass_on(c);
}

/* A frontend's connection is over; an agent is asked for the same. */
static void on_closed(struct sim_call *call, int64_t id, const char *error)
{
    struct conn *c = find(call, id);
    if (!c || c->over)
        return;
    if (call->role == CALL_OF_AGENT)
        say_closed(c, "");
    c->over = true;
    c->lost = error[0] != '\0';
    pass_on(c);
}

static void on_close_request(struct sim_call *call, int64_t id)
{
    if (call->role == CALL_OF_FRONTEND)
        call->events->wrong(call, "CLOSE_REQ to a frontend", id);
    else if (find(call, id))
        on_closed(call, id, "");
    else
        sim_call_say(call,
                     &(struct sim_packet){.type = SIM_CLOSE_RSP, .id = id, .error = "Unknown connectID"});
}

static void on_packet(struct sim_call *call, const struct sim_packet *p)
{
    switch (p->type) {
    case SIM_DATA: on_bytes(call, p); return;
    case SIM_CLOSE_REQ: on_close_request(call, p->id); return;
    case SIM_CLOSE_RSP:
        if (call->role == CALL_OF_AGENT)
            call->events->wrong(call, "CLOSE_RSP to an agent", p->id);
        else
            on_closed(call, p->id, p->error);
        return;
    case SIM_DIAL_REQ:
    case SIM_DIAL_RSP:
    case SIM_DIAL_CLS:
    case SIM_DRAIN: call->events->packet(call, p); return;
    }
}

void sim_call_check(struct sim_call *call, uint64_t limit_ns)
{
    uint64_t now = sim_now_ns(call->net);
    const struct sim_bytes *out = &call->stream->out;
    bool clear = out->at == out->len && sim_h2_clear_since(call->stream) < now;
    list_each_safe(node, tmp, &call->conns)
    {
        struct conn *c = list_entry(node, struct conn, node);
        if (!c->closed || c->over)
            continue;
        if (!clear)
            c->closed_ns = now;
        else if (now - c->closed_ns > limit_ns)
            call->events->wrong(call, "CLOSE_REQ was not answered", c->id);
    }
}

/* -- the stream ---------------------------------------------------------------------------------------------
 */

/* What had come of a connection that is over is still its reader's. */
static void part(struct conn *c)
{
    c->lost = !c->over;
    c->over = c->closed = true;
    if (c->lost)
        c->in.at = c->in.len;
    c->call = NULL;
    list_remove(&c->node);
    pass_on(c);
}

static void be_gone(struct sim_call *call, const char *why)
{
    sim_event_cancel(call->net, &call->end);
    call->leaving = true;
    call->stream = NULL;
    while (!list_empty(&call->conns))
        part(list_entry(call->conns.next, struct conn, node));
    call->events->gone(call, why);
    sim_bytes_fini(&call->in);
    free(call);
}

static void on_end(struct sim_event *e)
{
    struct sim_call *call = container_of(e, struct sim_call, end);
    struct sim_h2_stream *s = call->stream;
    if (call->by_reset)
        sim_h2_reset(s, NGHTTP2_CANCEL);
    else
        sim_h2_close(s);
    be_gone(call, "left");
}

void sim_call_leave(struct sim_call *call, bool reset)
{
    if (call->leaving)
        return;
    call->leaving = true;
    call->by_reset = reset;
    sim_event_at(call->net, &call->end, sim_now_ns(call->net));
}

static void on_field(struct sim_h2_stream *s, const char *name, const char *value)
{
    struct sim_call *call = s->owner;
    if (call->events->field)
        call->events->field(call, name, value);
}

static void on_head(struct sim_h2_stream *s)
{
    struct sim_call *call = s->owner;
    if (s->status != 200)
        call->events->wrong(call, "a call answered with", s->status);
}

static void on_input(struct sim_h2_stream *s, const uint8_t *bytes, size_t len)
{
    struct sim_call *call = s->owner;
    struct sim_packet packet;
    enum sim_packet_result result;
    sim_bytes_put(&call->in, bytes, len);
    while (!call->leaving && (result = sim_packet_take(&call->in, &packet)) != SIM_PACKET_MORE) {
        if (result == SIM_PACKET_BAD) {
            call->events->wrong(call, "what is no packet", 0);
            return;
        }
        on_packet(call, &packet);
        sim_packet_free(&packet);
    }
}

static void on_ended(struct sim_h2_stream *s)
{
    struct sim_call *call = s->owner;
    sim_h2_close(s);
    be_gone(call, "ended");
}

/* In turns, as goroutines that wait for a lock: who has said something stands behind those that could not. In
 * any fixed order the first take all the room there is, and the end of the last does not get through. */
static void on_writable(struct sim_h2_stream *s)
{
    struct sim_call *call = s->owner;
    list_each_safe(node, tmp, &call->conns)
    {
        struct conn *c = list_entry(node, struct conn, node);
        if (!c->blocked || c->let_go)
            continue;
        uint64_t said = c->said;
        c->blocked = false;
        c->busy = true;
        c->channel.events->writable(&c->channel);
        c->busy = false;
        if (c->call && c->said > said) {
            list_remove(&c->node);
            list_add_tail(&call->conns, &c->node);
        }
        settle(c);
    }
}

static void on_gone(struct sim_h2_stream *s)
{
    be_gone(s->owner, "lost");
}

static const struct sim_h2_stream_events stream_events = {on_field, on_head,     on_input,
                                                          on_ended, on_writable, on_gone};

struct sim_call *sim_call_new(struct sim_net *n, struct sim_h2 *h2, enum sim_call_role role,
                              const char *const metadata[], unsigned pairs,
                              const struct sim_call_events *events, void *owner)
{
    const char *fields[2 * (FIELDS + METADATA_MAX)] = {
        ":method",      "POST",
        ":scheme",      "http",
        ":path",        role == CALL_OF_AGENT ? "/AgentService/Connect" : "/ProxyService/Proxy",
        ":authority",   "localhost",
        "content-type", "application/grpc",
        "user-agent",   "grpc-go/1.83.0",
        "te",           "trailers"};
    struct sim_call *call = calloc(1, sizeof(*call));
    ASSERT(call != NULL && pairs <= METADATA_MAX);
    if (pairs > 0)
        memcpy((void *)&fields[2 * FIELDS], (const void *)metadata, 2 * pairs * sizeof(*metadata));
    *call = (struct sim_call){.net = n, .role = role, .events = events, .owner = owner, .end.fire = on_end};
    list_init(&call->conns);
    call->stream = sim_h2_open(h2, fields, FIELDS + pairs, &stream_events, call);
    return call;
}
