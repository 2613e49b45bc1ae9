/* broker/front_exchange.c — the front half of an exchange: judge, open, hear.
 *
 * A request is judged by the route table before anything is sent anywhere; no match is a refusal. The half
 * stays until it has heard the egress half's one last word, also when its client has long gone, because that
 * word is addressed to its memory.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/front.h"
#include "broker/route.h"
#include "io/worker.h"

static struct worker *worker_of(const struct exchange *ex)
{
    return ex->bw->worker;
}

static void post(struct exchange *ex, uint32_t kind, struct seg seg, uint32_t value)
{
    struct msg msg = {
        .deliver = egress_deliver,
        .seg = seg,
        .kind = kind,
        .value = value,
        .extra = {ex->slot, worker_of(ex)->number}
    };
    mailbox_post(worker_of(ex), ex->home, &msg);
}

/* -- birth and end ------------------------------------------------------------------------------------------
 */

/* Of the whole process; workers that open at the same moment may exceed the limit by one each. */
static uint64_t requests_active(const struct broker *b)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < b->count; i++)
        n += atomic_load_explicit(&b->workers[i].counters.values[COUNTER_requests_active],
                                  memory_order_relaxed);
    return n;
}

static struct exchange *exchange_new(struct front_conn *c, const struct head_view *view)
{
    struct broker_worker *bw = c->bw;
    bool room = bw->free_count > 0 &&
                requests_active(bw->broker) < bw->broker->config->limits.requests_in_flight_max;
    struct exchange *ex = room ? slab_take(&bw->exchanges) : NULL;
    if (!ex)
        return NULL;
    ex->slot = bw->free_slots[--bw->free_count];
    ex->bw = bw;
    ex->conn = c;
    list_init(&ex->node);
    list_add_tail(&bw->exchanges_open, &ex->node);
    c->exchange = ex;
    struct access_record *a = &ex->access;
    a->started_ns = bw->worker->now_ns;
    snprintf(a->method, sizeof(a->method), "%.*s", (int)view->method_text.len, view->method_text.data);
    snprintf(a->host, sizeof(a->host), "%.*s", (int)view->authority.host.len, view->authority.host.data);
    const char *query = view->path.len ? memchr(view->path.data, '?', view->path.len) : NULL;
    int path_len = query ? (int)(query - view->path.data) : (int)view->path.len;
    snprintf(a->path, sizeof(a->path), "%.*s", path_len, view->path.data);
    a->port = view->authority.port;
    counter_add(bw->worker, COUNTER_requests, 1);
    counter_add(bw->worker, COUNTER_requests_active, 1);
    return ex;
}

static void exchange_free(struct exchange *ex)
{
    struct broker_worker *bw = ex->bw;
    ASSERT(ex->conn == NULL || ex->conn->exchange != ex);
    bw->free_slots[bw->free_count++] = ex->slot;
    list_remove(&ex->node);
    slab_give(&bw->exchanges, ex);
}

static void count_ending(struct worker *w, enum ending ending)
{
    _Static_assert((int)ENDING_COUNT <= (int)ARRAY_SIZE(((struct counters *)0)->endings),
                   "a counter for each ending");
    _Atomic uint64_t *n = &w->counters.endings[ending];
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void settle(struct exchange *ex, struct front_conn *c)
{
    struct worker *w = worker_of(ex);
    count_ending(w, ex->ending);
    gauge_sub(w, COUNTER_requests_active, 1);
    phase_observe(w, PHASE_total, w->now_ns - ex->access.started_ns);
    if (c->bw->broker->access_log)
        access_log_write(c, ex);
}

void exchange_complete(struct exchange *ex)
{
    settle(ex, ex->conn);
    ex->conn = NULL;
    exchange_free(ex);
}

void exchange_client_gone(struct exchange *ex, enum ending reason)
{
    if (!ex->last_heard)
        ex->ending = reason;
    settle(ex, ex->conn);
    ex->conn = NULL;
    if (!ex->opened || ex->last_heard) {
        exchange_free(ex);
        return;
    }
    ex->reset_said = true;
    post(ex, EX_RESET, (struct seg){0}, (uint32_t)reason);
}

/* Answers without egress. The connection goes on if the client's framing is still in step. */
static void refuse(struct front_conn *c, enum ending reason, const char *detail)
{
    struct exchange *ex = c->exchange;
    int status = ending_status(reason);
    if (ex) {
        ex->ending = reason;
        ex->access.status = (uint16_t)status;
        snprintf(ex->access.detail, sizeof(ex->access.detail), "%s", detail ? detail : "");
    }
    char text[400];
    snprintf(text, sizeof(text), "%s%s%s", ending_text(reason), detail && *detail ? ": " : "",
             detail ? detail : "");
    front_http1_error(c, status ? (unsigned)status : 502, text, false);
}

/* -- judging ------------------------------------------------------------------------------------------------
 */

static bool key_of(const struct broker *b, const struct broker_route *route, const struct head_view *view,
                   struct endpoint_key *key)
{
    memset(key, 0, sizeof(*key));
    struct slice host = view->authority.host;
    if (host.len == 0 || host.len >= sizeof(key->host))
        return false;
    for (uint32_t i = 0; i < host.len; i++)
        key->host[i] = (char)tolower((unsigned char)host.data[i]);
    if (host.len > 1 && key->host[host.len - 1] == '.')
        key->host[host.len - 1] = '\0'; /* "a.b." and "a.b" are one name */
    key->port = view->authority.port;
    key->rules = view->authority.kind == HOST_NAME ? (uint32_t)(route - b->route_table) + 1
                                                   : BROKER_RULES_LITERAL;
    key->profile = view->scheme == HTTP_SCHEME_HTTPS ? route->profile : route->plain;
    return key->profile != NULL;
}

static void send_open(struct exchange *ex, const struct head_view *view, const struct broker_route *route,
                      const struct endpoint_key *key)
{
    struct front_conn *c = ex->conn;
    struct worker *w = worker_of(ex);
    struct head_change changes[2] = {
        {HEAD_ADD, SLICE_INIT("Via"), SLICE_INIT("1.1 hawser")}
    };
    struct head_edit edit = {.changes = changes, .changes_n = 1};
    if (view->scheme == HTTP_SCHEME_HTTPS && route->authorization[0])
        changes[edit.changes_n++] = (struct head_change){HEAD_SET, SLICE_INIT("Authorization"),
                                                         slice_of_text(route->authorization)};
    size_t bound = sizeof(struct exchange_open) + head_pack_bound(view, &edit);
    struct buf *b = bound <= BUF_HUGE_BYTES ? buf_get_bytes(&w->bufs, (uint32_t)bound) : NULL;
    if (!b) {
        refuse(c, ENDING_LIMIT, "out of buffers");
        return;
    }
    struct exchange_open *open = (struct exchange_open *)b->mem;
    struct head *head;
    if (head_pack(view, &edit, open->head, b->cap - sizeof(*open), &head) < 0) {
        buf_unref(b);
        refuse(c, ENDING_INTERNAL, "the request head could not be packed");
        return;
    }
    open->front = ex;
    open->key = *key;
    open->lease_ms = route->lease_ms;
    open->first_byte_ms = route->first_byte_ms;
    ex->home = (unsigned)(endpoint_key_hash(key) % w->count);
    ex->opened = true;
    ex->request_ended = c->body.kind == BODY_NONE;
    post(ex, EX_OPEN | (ex->request_ended ? EX_WITH_END : 0),
         (struct seg){b, b->mem, (uint32_t)sizeof(*open) + head->size, 0}, 0);
}

void exchange_begin(struct front_conn *c, const struct head_view *view)
{
    struct exchange *ex = exchange_new(c, view);
    if (!ex) {
        struct worker *w = c->bw->worker;
        count_ending(w, ENDING_LIMIT);
        log_begin(w, LOG_WARN, "request_refused");
        log_str(w, "peer", c->peer_text);
        log_str(w, "client", c->client_name);
        log_u64(w, "status", 503);
        log_str(w, "reason", "limits.requestsInFlightMax is reached");
        log_end(w);
        front_http1_error(c, 503, ending_text(ENDING_LIMIT), false);
        return;
    }
    if (view->method == HTTP_METHOD_CONNECT) {
        ex->ending = ENDING_BAD_REQUEST;
        ex->access.status = 501;
        /* Whoever asks for a tunnel may have begun to speak in it: nothing that follows is a request. */
        front_http1_error(c, 501, "CONNECT is not offered here; expected an absolute-form request", true);
        return;
    }
    if (view->form != TARGET_ABSOLUTE) {
        refuse(c, ENDING_BAD_REQUEST,
               "the request target is not in absolute form; expected METHOD http(s)://host:port/path");
        return;
    }
    const struct broker_route *route;
    char detail[160];
    enum ending verdict = broker_judge(c->bw->broker, &c->standing, view, &route, detail, sizeof(detail));
    if (verdict != ENDING_DONE) {
        refuse(c, verdict, detail);
        return;
    }
    ex->access.route = route->name;
    struct endpoint_key key;
    if (!key_of(c->bw->broker, route, view, &key)) {
        refuse(c, ENDING_NO_ROUTE, "the route has no TLS profile for https");
        return;
    }
    if (view->scheme == HTTP_SCHEME_HTTPS)
        broker_node_name(c->bw->broker, route, key.host, key.node_name, sizeof(key.node_name));
    if (key.profile->insecure) {
        ex->access.insecure = true;
        counter_add(worker_of(ex), COUNTER_requests_insecure, 1);
    }
    send_open(ex, view, route, &key);
}

void exchange_refuse_body(struct exchange *ex, const struct http1_error *error)
{
    struct front_conn *c = ex->conn;
    c->exchange = NULL;
    c->keep_alive = false;
    ex->access.status = error->status;
    snprintf(ex->access.detail, sizeof(ex->access.detail), "%s", error->text);
    exchange_client_gone(ex, ENDING_BAD_REQUEST);
    front_http1_error(c, error->status, error->text, true);
}

/* -- request body -------------------------------------------------------------------------------------------
 */

void exchange_body(struct exchange *ex, struct seg seg, bool ended)
{
    struct worker *w = worker_of(ex);
    ex->access.bytes_in += seg.len;
    counter_add(w, COUNTER_bytes_from_clients, seg.len);
    if (!ex->opened || ex->last_heard ||
        ex->reset_said) { /* answered already: read on so that the client can see it */
        front_grant(ex->conn, seg.len);
        worker_release_seg(w, seg);
        return;
    }
    ex->uncredited += seg.len;
    ex->request_ended = ended;
    post(ex, EX_DATA | (ended ? EX_WITH_END : 0), seg, 0);
}

void exchange_request_end(struct exchange *ex, const struct head_view *trailers)
{
    if (!ex->opened || ex->last_heard || ex->reset_said)
        return;
    struct seg seg = {0};
    struct buf *b = trailers->fields_n > 0
                        ? buf_get_bytes(&worker_of(ex)->bufs, (uint32_t)head_pack_bound(trailers, NULL))
                        : NULL;
    struct head *head;
    if (b && head_pack(trailers, NULL, b->mem, b->cap, &head) == 0)
        seg = (struct seg){b, b->mem, head->size, 0};
    else if (b)
        buf_unref(b);
    ex->request_ended = true;
    post(ex, EX_END, seg, 0);
}

void exchange_credit(struct exchange *ex, struct outbox_credit credit)
{
    struct worker *w = worker_of(ex);
    struct msg msg = {
        .deliver = egress_deliver,
        .seg = credit.seg,
        .kind = EX_CREDIT,
        .value = credit.bytes,
        .extra = {ex->slot, w->number}
    };
    /* Egress can go on while most of its budget is left: a wake for each segment would cost more than it
     * gives. */
    ex->unwoken += credit.bytes;
    if (ex->unwoken < EXCHANGE_BUDGET / 4) {
        mailbox_post_lazy(w, ex->home, &msg);
        return;
    }
    ex->unwoken = 0;
    mailbox_post(w, ex->home, &msg);
}

/* -- hearing ------------------------------------------------------------------------------------------------
 */

static void on_last_word(struct exchange *ex)
{
    struct front_conn *c = ex->conn;
    ex->last_heard = true;
    if (!c) {
        exchange_free(ex);
        return;
    }
    front_grant(c, ex->uncredited); /* nobody else will */
    ex->uncredited = 0;
    if (outbox_is_empty(&c->out) && c->state == FRONT_EXCHANGE)
        front_http1_done(c);
}

static void on_head(struct exchange *ex, struct msg *msg)
{
    struct front_conn *c = ex->conn;
    struct head *head = (struct head *)msg->seg.data;
    if (c && head->status >= 200) {
        memcpy(&ex->access.phases, msg->extra, sizeof(ex->access.phases));
        ex->access.how = (enum lease_how)(msg->value & EX_VALUE);
        ex->access.retry = (enum exchange_retry)(msg->value >> EX_RETRY_SHIFT & EX_VALUE);
        ex->access.leased = true;
        ex->access.status = head->status;
        ex->head_heard = true;
    }
    if (c)
        front_http1_head(c, head);
    worker_release_seg(worker_of(ex), msg->seg);
}

static void on_data(struct exchange *ex, struct seg seg)
{
    struct front_conn *c = ex->conn;
    if (!c || c->state != FRONT_EXCHANGE) {
        worker_release_seg(worker_of(ex), seg);
        return;
    }
    ex->access.bytes_out += seg.len;
    counter_add(worker_of(ex), COUNTER_bytes_to_clients, seg.len);
    front_http1_data(c, seg);
}

static void on_end(struct exchange *ex, struct seg trailers)
{
    if (ex->conn && ex->conn->state == FRONT_EXCHANGE)
        front_http1_end(ex->conn, trailers.buf ? (const struct head *)trailers.data : NULL);
    if (trailers.buf)
        worker_release_seg(worker_of(ex), trailers);
}

static void on_reset(struct exchange *ex, struct msg *msg)
{
    struct front_conn *c = ex->conn;
    enum ending reason = (enum ending)(msg->value & EX_VALUE);
    char detail[160] = "";
    if (msg->seg.buf) {
        snprintf(detail, sizeof(detail), "%.*s", (int)msg->seg.len, (const char *)msg->seg.data);
        worker_release_seg(worker_of(ex), msg->seg);
    }
    ex->last_heard = true;
    if (!c || c->state != FRONT_EXCHANGE)
        return;
    ex->ending = reason;
    ex->access.retry = (enum exchange_retry)(msg->value >> EX_RETRY_SHIFT & EX_VALUE);
    memcpy(&ex->access.phases, msg->extra, sizeof(ex->access.phases));
    if (msg->value >> EX_HOW_SHIFT) {
        ex->access.leased = true;
        ex->access.how = (enum lease_how)((msg->value >> EX_HOW_SHIFT) - 1);
    }
    memcpy(ex->access.detail, detail, sizeof(detail));
    if (ex->head_heard)
        front_abort(c, reason); /* part of the response is out: only an abort tells the client so */
    else
        refuse(c, reason, detail);
}

void exchange_deliver(struct worker *w, struct msg *msg)
{
    struct exchange *ex = msg->to;
    (void)w;
    switch ((enum exchange_kind)(msg->kind & EX_KIND)) {
    case EX_HEAD:
        on_head(ex, msg);
        if (msg->kind & EX_WITH_END)
            on_last_word(ex);
        break;
    case EX_DATA:
        on_data(ex, msg->seg);
        if (msg->kind & EX_WITH_END)
            on_last_word(ex);
        break;
    case EX_END:
        on_end(ex, msg->seg);
        on_last_word(ex);
        break;
    case EX_RESET: {
        struct front_conn *c = ex->conn;
        on_reset(ex, msg);
        if (!c || c->exchange == ex) /* an abort has settled and freed it already */
            on_last_word(ex);
        break;
    }
    case EX_CREDIT:
        if (msg->seg.buf)
            worker_release_seg(worker_of(ex), msg->seg);
        ASSERT(ex->uncredited >= msg->value);
        ex->uncredited -= msg->value;
        if (ex->conn)
            front_grant(ex->conn, msg->value);
        break;
    case EX_OPEN:
    case EX_KIND:
    case EX_WITH_END: ASSERT(!"not a message to the front half");
    }
}
