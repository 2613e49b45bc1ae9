/* tools/kubelet-sim/exchange.c — one request after another.
 *
 * A head is parsed, judged (401, 400), entered in the ledger and answered into conn->out; then faults act on
 * that answer. The answer may begin before the request's body has ended, as a Go handler's would; what the
 * handler left unread of the body is read away before the next request. Pipelined requests wait in conn->in
 * or in the kernel. */
#include "tools/kubelet-sim/exchange.h"

#include <stdio.h>
#include <string.h>

#include "tools/kubelet-sim/conn.h"
#include "tools/kubelet-sim/worker.h"

enum {
    STEPS_PER_TURN = 64,        /* records or requests before the next connection has its turn */
    UNKNOWN_BODY_GUESS = 128,   /* half of it is where a fault strikes a body of unknown length */
    UNREAD_BODY_MAX = 256 << 10 /* Go reads away no more than this; past it the connection closes */
};

static bool may_ask(struct conn *conn, const struct http_request *request)
{
    struct sim *sim = conn->worker->sim;
    if (sim->options.anonymous)
        return true;
    if (conn->authenticated < 0)
        conn->authenticated = authn_certificate_ok(&sim->authn, &conn->worker->authn_cache, conn->ssl,
                                                   conn->worker->now_ns);
    return conn->authenticated ||
           authn_token_ok(&sim->authn, request->authorization.at, request->authorization.n);
}

/* The faults that need the answer's layout: the response is in conn->out, its head head_n bytes long. */
static void lay_fuse(struct conn *conn, size_t head_n)
{
    struct fault_plan *plan = &conn->plan;
    size_t here = buffer_filled(conn->out);
    uint64_t body = here - head_n;
    if (conn->reply.kind == REPLY_TEXT || conn->reply.kind == REPLY_PATTERN)
        body += conn->reply.left;
    else if (conn->reply.kind != REPLY_NONE)
        body += UNKNOWN_BODY_GUESS;
    static const enum fault_kind in_body[] = {FAULT_RESET_BODY, FAULT_TRUNCATE, FAULT_CUT};
    if (fault_on(plan, FAULT_RESET_HEAD)) {
        conn->fuse_set = true;
        conn->fuse_left = head_n / 2;
        return;
    }
    for (size_t i = 0; i < sizeof(in_body) / sizeof(*in_body); i++) {
        if (!fault_on(plan, in_body[i]))
            continue;
        uint64_t after = (uint64_t)plan->value[in_body[i]];
        conn->fuse_set = true;
        conn->fuse_left = head_n + (after ? after : body / 2);
    }
}

static void release(struct conn *conn)
{
    static const char garbage[] = "\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n\x00\x01\x02 at all\n";
    if (fault_on(&conn->plan, FAULT_RESET)) {
        conn_end(conn, END_RESET);
        return;
    }
    conn_set_state(conn, CONN_EXCHANGE);
    if (fault_on(&conn->plan, FAULT_GARBAGE)) {
        reply_fini(&conn->reply);
        memcpy(conn->out->at, garbage, sizeof(garbage) - 1);
        conn->out->start = 0;
        conn->out->end = sizeof(garbage) - 1;
        conn->close_after = true;
        conn->body.ended = true;
    }
}

void exchange_release(struct conn *conn)
{
    release(conn);
    if (conn->state == CONN_EXCHANGE)
        exchange_run(conn);
}

static void start_body(struct conn *conn, const struct http_request *request)
{
    http_body_start(&conn->body, request);
    conn->close_after = !request->keep_alive;
    conn->fuse_set = false;
}

static void refuse(struct conn *conn)
{
    static const struct http_request nothing = {.keep_alive = false};
    count(&conn->worker->counters.bad_requests);
    start_body(conn, &nothing);
    conn_set_state(conn, CONN_EXCHANGE);
    answer_plain(conn, &nothing, 400, "400 Bad Request");
}

static void answer(struct conn *conn, const struct http_request *request)
{
    struct worker *worker = conn->worker;
    struct node *node = &worker->sim->fleet.nodes[conn->node];
    enum route route = route_find(request);
    if (!may_ask(conn, request)) {
        count(&worker->counters.unauthorized);
        __atomic_fetch_add(&node->unauthorized, 1, __ATOMIC_RELAXED);
        answer_plain(conn, request, 401, "Unauthorized");
        return;
    }
    count(&worker->class_counts[route]);
    ledger_record(&worker->sim->ledger, request, conn->node);
    if (fault_on(&conn->plan, FAULT_ERROR))
        answer_plain(conn, request, conn->plan.value[FAULT_ERROR], "simulated error");
    else
        route_answer(conn, route, request);
}

static void begin(struct conn *conn, const struct http_request *request)
{
    struct worker *worker = conn->worker;
    struct node *node = &worker->sim->fleet.nodes[conn->node];
    const uint32_t lasting = 1u << FAULT_NO_TICKETS | 1u << FAULT_TLS12_ONLY;
    count(&worker->counters.requests);
    __atomic_fetch_add(&node->requests, 1, __ATOMIC_RELAXED);
    conn->plan.on &= lasting;
    if (fault_draw(sim_faults(worker->sim), conn->node, MOMENT_REQUEST,
                   (uint64_t)conn->ordinal << 32 | conn->requests, &conn->plan))
        count(&worker->counters.faults);
    conn->requests++;
    start_body(conn, request);
    conn->out = buffer_take(&worker->buffers);
    answer(conn, request);
    if ((conn->plan.on & ~lasting) != 0) {
        const char *head_end = memmem(conn->out->at, conn->out->end, "\r\n\r\n", 4);
        lay_fuse(conn, head_end ? (size_t)(head_end + 4 - conn->out->at) : 0);
    }
    if (fault_on(&conn->plan, FAULT_BLACKHOLE_HTTP)) {
        conn_set_state(conn, CONN_HOLD);
    } else if (fault_on(&conn->plan, FAULT_DELAY)) {
        conn_set_state(conn, CONN_WAIT);
        conn_arm_ms(conn, (uint64_t)conn->plan.value[FAULT_DELAY]);
    } else {
        release(conn);
    }
}

/* True: go on at once. */
static bool step_head(struct conn *conn)
{
    struct http_request request;
    size_t filled = buffer_filled(conn->in);
    long n = filled ? http_parse_head(conn->in->at + conn->in->start, filled, &request) : 0;
    if (n > 0) {
        begin(conn, &request); /* before the bytes are let go: the request points into them */
        conn->in->start += (size_t)n;
        return conn->state == CONN_EXCHANGE;
    }
    if (n < 0) {
        conn->out = buffer_take(&conn->worker->buffers);
        refuse(conn);
        return true;
    }
    enum fill fill = conn_fill(conn);
    if (fill == FILL_LATER && buffer_filled(conn->in) == 0)
        buffer_give(&conn->worker->buffers, &conn->in);
    return fill == FILL_DATA;
}

/* Reads away what nobody wants of the request's body. True: go on at once. */
static bool discard(struct conn *conn)
{
    struct slice payload;
    while (buffer_filled(conn->in) && !conn->body.ended) {
        long n = http_body_next(&conn->body, conn->in->at + conn->in->start, buffer_filled(conn->in),
                                &payload);
        if (n < 0) {
            count(&conn->worker->counters.bad_requests);
            conn_end(conn, END_CLEAN);
            return false;
        }
        conn->in->start += (size_t)n;
        count_n(&conn->worker->counters.body_bytes_in, payload.n);
    }
    return conn->body.ended || conn_fill(conn) == FILL_DATA;
}

static void finish(struct conn *conn)
{
    struct fault_plan *plan = &conn->plan;
    count(&conn->worker->counters.responses);
    reply_fini(&conn->reply);
    buffer_give(&conn->worker->buffers, &conn->out);
    if (conn->close_after) {
        conn_end(conn, END_CLEAN);
        return;
    }
    enum fault_kind idle = fault_on(plan, FAULT_IDLE_RESET) ? FAULT_IDLE_RESET : FAULT_IDLE_CLOSE;
    bool end = fault_on(plan, idle);
    if (end && plan->value[idle] == 0) {
        conn_end(conn, idle == FAULT_IDLE_RESET ? END_RESET : END_CLEAN);
        return;
    }
    conn_set_state(conn, CONN_HEAD);
    if (end)
        conn_arm_ms(conn, (uint64_t)plan->value[idle]);
}

static bool step_exchange(struct conn *conn)
{
    if (buffer_filled(conn->out)) {
        enum flush flush = conn_flush(conn);
        if (flush != FLUSH_DONE)
            return false;
    }
    switch (reply_pump(conn)) {
    case PUMP_MORE: return true;
    case PUMP_INPUT: return conn_fill(conn) == FILL_DATA;
    case PUMP_LATER:
    case PUMP_GONE: return false;
    case PUMP_END: break;
    }
    if (buffer_filled(conn->out))
        return true;
    if (!conn->body.ended && conn->body.framing == FRAMING_LENGTH && conn->body.left > UNREAD_BODY_MAX) {
        conn->close_after = conn->body.ended = true;
        return true;
    }
    if (!conn->body.ended)
        return discard(conn);
    finish(conn);
    return conn->state == CONN_HEAD;
}

void exchange_run(struct conn *conn)
{
    for (int i = 0; i < STEPS_PER_TURN; i++) {
        bool more = false;
        if (conn->state == CONN_HEAD)
            more = step_head(conn);
        else if (conn->state == CONN_EXCHANGE)
            more = step_exchange(conn);
        if (!more)
            return;
    }
    conn->unfinished = true;
}
