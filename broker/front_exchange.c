/* broker/front_exchange.c — the front half of an exchange, once it is open: what goes to egress, what is
 * heard.
 *
 * The half stays until it has heard the egress half's one last word, also when its client has long gone,
 * because that word is addressed to its memory. Who asked is behind asker_ops: nothing here knows how a
 * client speaks.
 */
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/callers.h"
#include "broker/front.h"
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

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void exchange_free(struct exchange *ex)
{
    struct broker_worker *bw = ex->bw;
    ASSERT(ex->conn == NULL);
    if (ex->counted)
        caller_leave(bw->broker->callers, worker_of(ex)->number, ex->caller, exchange_use(ex->form));
    bw->free_slots[bw->free_count++] = ex->slot;
    list_remove(&ex->node);
    if (ex->access.path)
        slab_give(&bw->texts, ex->access.path);
    if (ex->access.detail)
        slab_give(&bw->texts, ex->access.detail);
    slab_give(&bw->exchanges, ex);
}

void exchange_count_ending(struct worker *w, enum ending ending)
{
    _Static_assert((int)ENDING_COUNT <= (int)ARRAY_SIZE(((struct counters *)0)->endings),
                   "a counter for each ending");
    _Atomic uint64_t *n = &w->counters.endings[ending];
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* A tunnel is answered, or never will be. */
static void end_dialling(struct exchange *ex)
{
    if (ex->dialling)
        caller_leave(ex->bw->broker->callers, worker_of(ex)->number, ex->caller, ex->dial_use);
    ex->dialling = false;
}

/* The client's part is over: it is counted and logged now, whatever egress still has to say. */
static void settle(struct exchange *ex)
{
    struct worker *w = worker_of(ex);
    struct front_conn *c = ex->conn;
    end_dialling(ex);
    if (!ex->counted)
        caller_leave(ex->bw->broker->callers, w->number, ex->caller, exchange_use(ex->form));
    exchange_count_ending(w, ex->ending);
    gauge_sub(w, exchange_gauge(ex->form), 1);
    if (exchange_is_http_connect(ex))
        stats_gauge_sub(&ex->bw->stats, STATS_HTTP_CONNECTIONS, 1);
    if (ex->progress != EXCHANGE_TUNNEL)
        phase_observe(w, PHASE_total, w->now_ns - ex->access.started_ns);
    if (c->bw->broker->access_log)
        access_log_write(c, ex);
    front_audit_exchange(ex);
    ex->conn = NULL;
    ex->asker = NULL;
}

static bool is_over(const struct exchange *ex)
{
    return ex->progress == EXCHANGE_BEGUN || ex->last_heard;
}

void exchange_complete(struct exchange *ex)
{
    settle(ex);
    ASSERT(is_over(ex));
    exchange_free(ex);
}

void exchange_client_done(struct exchange *ex)
{
    ASSERT(ex->progress == EXCHANGE_TUNNEL);
    settle(ex);
    if (is_over(ex))
        exchange_free(ex);
}

void exchange_client_closed(struct exchange *ex)
{
    ASSERT(ex->progress == EXCHANGE_TUNNEL);
    ASSERT(!ex->request_ended);
    ex->request_ended = true;
    if (!is_over(ex)) {
        ex->counted = true;
        post(ex, EX_END, (struct seg){0}, EX_CLOSED);
    }
    exchange_client_done(ex);
}

static void say_reset(struct exchange *ex, enum ending reason)
{
    ex->reset_said = true;
    post(ex, EX_RESET, (struct seg){0}, (uint32_t)reason);
}

void exchange_client_gone(struct exchange *ex, enum ending reason)
{
    if (!ex->last_heard)
        ex->ending = reason;
    settle(ex);
    if (is_over(ex))
        exchange_free(ex);
    else
        say_reset(ex, reason);
}

void exchange_give_up(struct exchange *ex)
{
    if (ex->conn == NULL && !ex->reset_said)
        say_reset(ex, ENDING_DRAINING);
}

/* Without memory for it the log has to do without. */
void exchange_note(struct exchange *ex, struct slice detail)
{
    struct access_record *a = &ex->access;
    if (detail.len > 0 && !a->detail)
        a->detail = slab_take(&ex->bw->texts);
    if (detail.len > 0 && a->detail)
        snprintf(a->detail, ACCESS_TEXT_MAX, "%.*s", (int)detail.len, detail.data);
}

void exchange_refuse(struct exchange *ex, enum ending reason, const char *detail)
{
    int status = ending_status(reason) ? ending_status(reason) : 502;
    struct access_record *a = &ex->access;
    ex->ending = reason;
    a->status = (uint16_t)status;
    exchange_note(ex, slice_of_text(detail));
    char text[400];
    if (strstr(detail, ending_text(reason)))
        snprintf(text, sizeof(text), "%s", detail);
    else
        snprintf(text, sizeof(text), "%s%s%s", ending_text(reason), detail[0] ? ": " : "", detail);
    ex->ops->refuse(ex->asker, (unsigned)status, text);
}

/* -- to egress ----------------------------------------------------------------------------------------------
 */

void exchange_open_at(struct exchange *ex, unsigned home, struct seg open, bool with_end)
{
    ex->home = home;
    ex->progress = EXCHANGE_OPENED;
    ex->request_ended = with_end;
    post(ex, EX_OPEN | (with_end ? EX_WITH_END : 0), open, 0);
}

static bool is_heeded(const struct exchange *ex)
{
    return !is_over(ex) && !ex->reset_said;
}

void exchange_body(struct exchange *ex, struct seg seg, bool ended)
{
    struct worker *w = worker_of(ex);
    uint32_t len = seg.len;
    ex->access.bytes_in += len;
    if (!ex->bridged) /* else they count as what is in them */
        counter_add(w, COUNTER_bytes_from_clients, len);
    if (!is_heeded(ex)) {
        worker_release_seg(w, seg);
        if (ex->progress == EXCHANGE_TUNNEL) { /* nobody is there any more to take it */
            ex->ending = ENDING_PEER_RESET;
            ex->ops->cut(ex->asker, ENDING_PEER_RESET);
        } else { /* answered already: read on so that the client can see it */
            ex->ops->grant(ex->asker, len);
        }
        return;
    }
    ex->uncredited += len;
    ex->request_ended = ended;
    post(ex, EX_DATA | (ended ? EX_WITH_END : 0), seg, 0);
}

void exchange_request_end(struct exchange *ex, const struct head_view *trailers)
{
    if (!is_heeded(ex))
        return;
    struct seg seg = {0};
    struct buf *b = trailers && trailers->fields_n > 0
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

void exchange_release(struct exchange *ex)
{
    ASSERT(ex->progress == EXCHANGE_TUNNEL);
    post(ex, EX_CREDIT, (struct seg){0}, ex->bw->budget);
}

void exchange_credit(struct exchange *ex, struct outbox_credit credit)
{
    struct worker *w = worker_of(ex);
    if (is_over(ex)) {
        if (credit.seg.buf)
            worker_release_seg(w, credit.seg);
        return;
    }
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
    if (ex->unwoken < ex->bw->budget / 4) {
        mailbox_post_lazy(w, ex->home, &msg);
        return;
    }
    ex->unwoken = 0;
    mailbox_post(w, ex->home, &msg);
}

/* -- from egress --------------------------------------------------------------------------------------------
 */

static void on_last_word(struct exchange *ex)
{
    ex->last_heard = true;
    if (!ex->conn) {
        exchange_free(ex);
        return;
    }
    uint32_t uncredited = ex->uncredited;
    ex->uncredited = 0;
    if (uncredited > 0) /* nobody else will */
        ex->ops->grant(ex->asker, uncredited);
    ex->ops->heard(ex->asker);
}

static void note_phases(struct exchange *ex, const struct msg *msg)
{
    memcpy(&ex->access.phases, msg->extra, sizeof(ex->access.phases));
    ex->access.retry = (enum exchange_retry)(msg->value >> EX_RETRY_SHIFT & EX_VALUE);
}

static void note_lease(struct exchange *ex, enum lease_how how)
{
    ex->access.leased = true;
    ex->access.how = how;
}

/* Both directions begin anew. What it took until here is the total of the request; how long the tunnel stands
 * is no latency. */
static void become_tunnel(struct exchange *ex)
{
    struct worker *w = worker_of(ex);
    ex->progress = EXCHANGE_TUNNEL;
    ex->request_ended = false;
    end_dialling(ex);
    phase_observe(w, PHASE_total, w->now_ns - ex->access.started_ns);
}

static void on_head(struct exchange *ex, struct msg *msg)
{
    struct head *head = (struct head *)msg->seg.data;
    if (ex->conn && (head->status >= 200 || head->tunnel)) {
        note_phases(ex, msg);
        note_lease(ex, (enum lease_how)(msg->value & EX_VALUE));
        ex->access.status = head->status;
        ex->progress = EXCHANGE_HEAD;
        end_dialling(ex);
        if (head->tunnel)
            become_tunnel(ex);
    }
    if (ex->conn)
        ex->ops->head(ex->asker, head);
    worker_release_seg(worker_of(ex), msg->seg);
}

static void on_connected(struct exchange *ex, struct msg *msg)
{
    if (msg->seg.buf) {
        exchange_note(ex, slice_of((const char *)msg->seg.data, msg->seg.len));
        worker_release_seg(worker_of(ex), msg->seg);
    }
    if (!ex->conn)
        return;
    note_phases(ex, msg);
    if (!ex->bridged)
        note_lease(ex, (enum lease_how)(msg->value & EX_VALUE));
    ex->access.status = 200;
    become_tunnel(ex);
    ex->ops->connected(ex->asker);
}

static void on_data(struct exchange *ex, struct seg seg)
{
    if (!ex->conn) {
        worker_release_seg(worker_of(ex), seg);
        return;
    }
    ex->access.bytes_out += seg.len;
    if (!ex->bridged)
        counter_add(worker_of(ex), COUNTER_bytes_to_clients, seg.len);
    ex->ops->data(ex->asker, seg);
}

static void on_end(struct exchange *ex, struct seg trailers)
{
    if (ex->conn)
        ex->ops->end(ex->asker, trailers.buf ? (const struct head *)trailers.data : NULL);
    if (trailers.buf)
        worker_release_seg(worker_of(ex), trailers);
}

/* Always the last word. */
static void on_reset(struct exchange *ex, struct msg *msg)
{
    enum ending reason = (enum ending)(msg->value & EX_VALUE);
    char detail[ACCESS_TEXT_MAX] = "";
    if (msg->seg.buf) {
        snprintf(detail, sizeof(detail), "%.*s", (int)msg->seg.len, (const char *)msg->seg.data);
        worker_release_seg(worker_of(ex), msg->seg);
    }
    if (ex->conn) {
        note_phases(ex, msg);
        if (msg->value >> EX_HOW_SHIFT)
            note_lease(ex, (enum lease_how)((msg->value >> EX_HOW_SHIFT) - 1));
        exchange_note(ex, slice_of_text(detail));
    }
    if (ex->conn && ex->progress >= EXCHANGE_HEAD) {
        ex->last_heard = true;
        ex->ending = reason;
        ex->ops->cut(ex->asker, reason); /* settles and frees it */
        return;
    }
    if (ex->conn)
        exchange_refuse(ex, reason, detail);
    on_last_word(ex);
}

static void on_credit(struct exchange *ex, struct msg *msg)
{
    if (msg->seg.buf)
        worker_release_seg(worker_of(ex), msg->seg);
    ASSERT(ex->uncredited >= msg->value);
    ex->uncredited -= msg->value;
    if (ex->conn)
        ex->ops->grant(ex->asker, msg->value);
}

void exchange_deliver(struct worker *w, struct msg *msg)
{
    struct exchange *ex = msg->to;
    bool last = (msg->kind & EX_WITH_END) != 0;
    (void)w;
    switch ((enum exchange_kind)(msg->kind & EX_KIND)) {
    case EX_HEAD: on_head(ex, msg); break;
    case EX_CONNECTED: on_connected(ex, msg); break;
    case EX_DATA: on_data(ex, msg->seg); break;
    case EX_FIN:
        if (ex->conn)
            ex->ops->fin(ex->asker);
        break;
    case EX_END:
        on_end(ex, msg->seg);
        last = true;
        break;
    case EX_RESET: on_reset(ex, msg); break;
    case EX_CREDIT: on_credit(ex, msg); break;
    case EX_OPEN:
    case EX_KIND:
    case EX_WITH_END: ASSERT(!"not a message to the front half");
    }
    if (last)
        on_last_word(ex);
}
