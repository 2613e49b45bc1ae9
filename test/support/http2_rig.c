/* test/support/http2_rig.c — see http2_rig.h. */
#include "test/support/http2_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/front.h"
#include "broker/http/http1_parse.h"
#include "broker/http/http1_write.h"
#include "broker/http2_client.h"
#include "io/mailbox.h"
#include "test/support/http2_peer.h"

void __wrap_exchange_deliver(struct worker *, struct msg *);

/* -- the front half -----------------------------------------------------------------------------------------
 */

static struct egress_table table;

static void post(struct rig_request *r, uint32_t kind, struct seg seg, uint32_t value)
{
    struct msg msg = {
        .deliver = egress_deliver, .seg = seg, .kind = kind, .value = value, .extra = {r->slot, 0}
    };
    mailbox_post(&r->rig->engine.worker, 0, &msg);
}

static struct seg seg_copy(struct http2_rig *rig, const void *bytes, uint32_t len)
{
    struct buf *b = buf_get_bytes(&rig->engine.worker.bufs, len ? len : 1);
    ASSERT(b);
    memcpy(b->mem, bytes, len);
    return (struct seg){b, b->mem, len, 0};
}

void rig_ask(struct http2_rig *rig, struct rig_request *r, const char *text, bool ended)
{
    static struct head_view view;
    struct http1_scan scan = {0};
    struct http1_error error;
    memset(r, 0, sizeof *r);
    r->rig = rig;
    r->slot = rig->slots++;
    r->takes = true;
    ASSERT(http1_parse_request(&HTTP1_REQUEST_LIMITS, slice_of_text(text), &scan, &view, &error) > 0);
    size_t bound = head_pack_bound(&view, NULL);
    struct buf *b = buf_get_bytes(&rig->engine.worker.bufs, (uint32_t)(sizeof(struct exchange_open) + bound));
    ASSERT(b);
    struct exchange_open *open = (struct exchange_open *)b->mem;
    struct head *head;
    *open = (struct exchange_open){.front = r,
                                   .deliver = exchange_deliver,
                                   .key = rig->key,
                                   .identity = rig->profile.id,
                                   .form = EXCHANGE_REQUEST,
                                   .lease_ms = 12000,
                                   .first_byte_ms = 60000};
    open->key.profile = NULL; /* it is looked up by its number */
    ASSERT(head_pack(&view, NULL, open->head, bound, &head) == 0);
    struct seg seg = {b, b->mem, (uint32_t)sizeof *open + head->size, 0};
    post(r, EX_OPEN | (ended ? EX_WITH_END : 0), seg, 0);
}

void rig_body(struct rig_request *r, const void *bytes, uint32_t len, bool ended)
{
    post(r, EX_DATA | (ended ? EX_WITH_END : 0), seg_copy(r->rig, bytes, len), 0);
}

void rig_end(struct rig_request *r, const char *trailers)
{
    static struct head_view view;
    struct http1_scan scan = {0};
    struct http1_error error;
    struct head *head;
    char text[1024];
    if (!trailers) {
        post(r, EX_END, (struct seg){0}, 0);
        return;
    }
    snprintf(text, sizeof text, "%s\r\n", trailers);
    ASSERT(http1_parse_trailers(&HTTP1_TRAILER_LIMITS, slice_of_text(text), &scan, &view, &error) > 0);
    struct buf *b = buf_get_bytes(&r->rig->engine.worker.bufs, (uint32_t)head_pack_bound(&view, NULL));
    ASSERT(b && head_pack(&view, NULL, b->mem, b->cap, &head) == 0);
    post(r, EX_END, (struct seg){b, b->mem, head->size, 0}, 0);
}

void rig_cancel(struct rig_request *r)
{
    post(r, EX_RESET, (struct seg){0}, 0);
}

void rig_credit(struct rig_request *r, uint32_t bytes)
{
    ASSERT(bytes <= r->uncredited);
    r->uncredited -= bytes;
    post(r, EX_CREDIT, (struct seg){0}, bytes);
}

void rig_forget(struct rig_request *r)
{
    free(r->body);
    r->body = NULL;
}

static void heard_head(struct rig_request *r, struct msg *msg)
{
    struct head *head = (struct head *)msg->seg.data;
    struct http1_write_options options = {.form = TARGET_ORIGIN};
    size_t len = 0;
    ASSERT(head_check(head, msg->seg.len));
    ASSERT(http1_write_response(head, &options, r->head, sizeof r->head - 1, &len) == 0);
    r->head[len] = '\0';
    if (r->heads < RIG_HEADS)
        r->statuses[r->heads] = head->status;
    r->heads++;
    r->how = (enum lease_how)(msg->value & EX_VALUE);
    r->retry = (enum exchange_retry)(msg->value >> EX_RETRY_SHIFT & EX_VALUE);
    worker_release_seg(&r->rig->engine.worker, msg->seg);
}

static void heard_data(struct rig_request *r, struct msg *msg)
{
    r->body = realloc(r->body, r->body_len + msg->seg.len);
    ASSERT(r->body);
    memcpy(r->body + r->body_len, msg->seg.data, msg->seg.len);
    r->body_len += msg->seg.len;
    r->data_messages++;
    r->uncredited += msg->seg.len;
    ASSERT(r->uncredited <= EXCHANGE_BUDGET);
    worker_release_seg(&r->rig->engine.worker, msg->seg);
    if (r->takes)
        rig_credit(r, r->uncredited);
}

static void heard_end(struct rig_request *r, struct msg *msg)
{
    size_t len = 0;
    r->ended = true;
    if (!msg->seg.buf)
        return;
    ASSERT(http1_write_trailers((const struct head *)msg->seg.data, r->head, sizeof r->head - 1, &len) == 0);
    r->head[len] = '\0';
    worker_release_seg(&r->rig->engine.worker, msg->seg);
}

void __wrap_exchange_deliver(struct worker *w, struct msg *msg)
{
    struct rig_request *r = msg->to;
    ASSERT(!r->ended && !r->reset); /* nothing after the last word */
    switch ((enum exchange_kind)(msg->kind & EX_KIND)) {
    case EX_HEAD: heard_head(r, msg); break;
    case EX_DATA: heard_data(r, msg); break;
    case EX_END: heard_end(r, msg); break;
    case EX_CREDIT:
        r->credited += msg->value;
        if (msg->seg.buf)
            worker_release_seg(w, msg->seg);
        break;
    case EX_RESET:
        r->reset = true;
        r->ending = (enum ending)(msg->value & EX_VALUE);
        r->retry = (enum exchange_retry)(msg->value >> EX_RETRY_SHIFT & EX_VALUE);
        snprintf(r->detail, sizeof r->detail, "%.*s", (int)msg->seg.len,
                 msg->seg.buf ? (const char *)msg->seg.data : "");
        if (msg->seg.buf)
            worker_release_seg(w, msg->seg);
        break;
    case EX_OPEN:
    case EX_CONNECTED:
    case EX_FIN:
    case EX_KIND:
    case EX_WITH_END: ASSERT(!"not a message to the front half of a request");
    }
    if (msg->kind & EX_WITH_END)
        r->ended = true;
}

/* -- the rig ------------------------------------------------------------------------------------------------
 */

void rig_start(struct http2_rig *rig)
{
    static const struct log_options quiet = {.fd = -1, .level = LOG_ERROR};
    *rig = (struct http2_rig){.alpn = "h2"};
    log_configure(&quiet);
    script_start(&rig->engine, 7);
    rig->engine.tap = rig_peer_tap;
    struct worker *w = &rig->engine.worker;
    rig->broker.response_limits = (struct http1_limits){64 * 1024, HEAD_FIELDS_MAX, 0};
    rig->broker.count = 1;
    rig->bw = (struct broker_worker){
        .broker = &rig->broker, .worker = w, .by_sender = &table, .budget = EXCHANGE_BUDGET};
    w->app = &rig->bw;
    slab_init(&rig->bw.egresses, "egresses", sizeof(struct egress), 1000);
    slab_init(&rig->bw.http2_clients, "http2 sessions", sizeof(struct http2_client), 100);
    slab_init(&rig->bw.seg_nodes, "segments", sizeof(struct segq_node), 10000);
    struct pool_options options = {
        .limits = {.endpoints_max = 8,
                   .conns_per_endpoint_max = 4,
                   .waiters_per_endpoint_max = 600,
                   .dials_in_flight_max = 16,
                   .tickets_per_endpoint_max = 3,
                   .wait_ms = 2000,
                   .idle_ms = 80000,
                   .age_max_ms = 1800000,
                   .resolve_ms = 2000,
                   .connect_ms = 3000,
                   .tls_ms = 5000,
                   .breaker_failures = 3,
                   .backoff_min_ms = 500,
                   .backoff_max_ms = 30000},
        .sharing = {http2_client_begin, http2_client_end,             &rig->bw               },
    };
    ASSERT(pool_new(w, &options, &rig->bw.pool) == 0);
    rig->profile = (struct pool_profile){.id = 1, .tls = true, .shared = true};
    rig->profiles[1] = &rig->profile;
    rig->credentials.profiles = rig->profiles;
    rig->bw.credentials = &rig->credentials;
    rig->key = (struct endpoint_key){.profile = &rig->profile, .host = "10.0.0.1", .port = 10250};
}

void rig_stop(struct http2_rig *rig)
{
    pool_drain(rig->bw.pool);
    rig_run(rig);
    rig_advance_ms(rig, 3000);
    ASSERT(rig->bw.egresses.used == 0);
    ASSERT(pool_is_empty(rig->bw.pool));
    pool_free(&rig->bw.pool);
    slab_fini(&rig->bw.egresses);
    slab_fini(&rig->bw.http2_clients);
    slab_fini(&rig->bw.seg_nodes);
    free(table.slots);
    table = (struct egress_table){0};
    script_stop(&rig->engine);
    for (unsigned i = 0; i < rig->peer_count; i++)
        rig_peer_free(rig->peers[i]);
}

/* Dials and handshakes succeed; streams that were freed have no peer any more. */
bool rig_open_dial(struct http2_rig *rig)
{
    struct script_stream *s = script_dialling(&rig->engine);
    if (!s)
        return false;
    if (!s->lower) {
        script_open(s);
        return true;
    }
    snprintf(s->info.alpn, sizeof s->info.alpn, "%s", rig->alpn);
    if (strcmp(rig->alpn, "h2") == 0)
        rig_peer_new(rig, s);
    script_open_tls(s, false, "TLSv1.3");
    if (rig->early) { /* in one read with the end of the handshake */
        s->credit += 100;
        rig_peer_speaks(rig_peer_of(rig, s));
    }
    return true;
}

static bool is_alive(struct http2_rig *rig, const struct script_stream *s)
{
    for (struct list *n = rig->engine.streams.next; n != &rig->engine.streams; n = n->next)
        if (list_entry(n, struct script_stream, node) == s)
            return true;
    return false;
}

void rig_run(struct http2_rig *rig)
{
    bool moved;
    do {
        script_run(&rig->engine);
        pool_check(rig->bw.pool);
        moved = rig_open_dial(rig) || mailbox_has_mail(&rig->engine.worker) ||
                mailbox_is_overflowing(&rig->engine.worker);
        for (unsigned i = 0; i < rig->peer_count; i++) {
            struct rig_peer *p = rig->peers[i];
            if (p->stream && !is_alive(rig, p->stream))
                p->stream = NULL;
            moved |= p->stream && rig_peer_speaks(p);
        }
    } while (moved);
}

void rig_advance_ms(struct http2_rig *rig, uint64_t ms)
{
    while (ms > 0) { /* in steps, so that clocks that lead to clocks all fire */
        uint64_t step = ms < 500 ? ms : 500;
        rig->engine.now_ns += step * 1000000u;
        rig_run(rig);
        ms -= step;
    }
}
