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

/* -- the destination ----------------------------------------------------------------------------------------
 */

static struct rig_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rig_peer *p = arg;
    if (stream_of(session, frame->hd.stream_id))
        return 0;
    struct rig_stream *st = calloc(1, sizeof *st);
    ASSERT(st && p->count < RIG_STREAMS);
    st->id = frame->hd.stream_id;
    st->peer = p;
    p->streams[p->count++] = st;
    nghttp2_session_set_stream_user_data(session, st->id, st);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct rig_stream *st = stream_of(session, frame->hd.stream_id);
    size_t at = strlen(st->fields);
    (void)flags;
    (void)arg;
    snprintf(st->fields + at, sizeof st->fields - at, "%.*s: %.*s\n", (int)name_len, name, (int)value_len,
             value);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rig_peer *p = arg;
    struct rig_stream *st = frame->hd.stream_id ? stream_of(session, frame->hd.stream_id) : NULL;
    if (st && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
        st->ended = true;
    if (frame->hd.type == NGHTTP2_PING && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        p->pings++;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        p->goaways++;
        p->goaway_code = frame->goaway.error_code;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *arg)
{
    struct rig_stream *st = stream_of(session, id);
    (void)flags;
    (void)arg;
    for (size_t i = 0; i < len; i++)
        st->body_sum = st->body_sum * 31 + data[i];
    for (size_t i = 0; i < len && st->body_len + i + 1 < sizeof st->body_text; i++)
        st->body_text[st->body_len + i] = (char)data[i];
    st->body_len += len;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct rig_stream *st = stream_of(session, id);
    (void)arg;
    if (st) {
        st->closed = true;
        st->close_code = code;
    }
    return 0;
}

static void peer_new(struct http2_rig *rig, struct script_stream *s)
{
    ASSERT(rig->peer_count < RIG_PEERS);
    struct rig_peer *p = calloc(1, sizeof *p);
    ASSERT(p);
    for (unsigned i = 0; i < rig->peer_count; i++) /* one that was freed may have left its address */
        if (rig->peers[i]->stream == s)
            rig->peers[i]->stream = NULL;
    p->rig = rig;
    p->stream = s;
    rig->peers[rig->peer_count++] = p;
    if (rig->raw)
        return;
    nghttp2_session_callbacks *c;
    nghttp2_option *o;
    ASSERT(nghttp2_session_callbacks_new(&c) == 0 && nghttp2_option_new(&o) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
    nghttp2_option_set_no_http_messaging(o, 1); /* it may say what nobody should */
    ASSERT(nghttp2_session_server_new2(&p->session, c, p, o) == 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(c);
    nghttp2_settings_entry settings[2];
    size_t n = 0;
    if (rig->settings_max)
        settings[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, rig->settings_max};
    if (rig->settings_window)
        settings[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, rig->settings_window};
    ASSERT(nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, settings, n) == 0);
}

static struct rig_peer *peer_of(struct http2_rig *rig, const struct script_stream *s)
{
    for (unsigned i = 0; i < rig->peer_count; i++)
        if (rig->peers[i]->stream == s)
            return rig->peers[i];
    return NULL;
}

static void on_tap(struct script_stream *s, const uint8_t *data, uint32_t len)
{
    struct http2_rig *rig = container_of(s->engine, struct http2_rig, engine);
    struct rig_peer *p = peer_of(rig, s);
    if (!p)
        return; /* spoken to in HTTP/1 */
    if (!p->session) {
        size_t n = sizeof p->raw - p->raw_len < len ? sizeof p->raw - p->raw_len : len;
        memcpy(p->raw + p->raw_len, data, n);
        p->raw_len += n;
        return;
    }
    ssize_t n = nghttp2_session_mem_recv(p->session, data, len);
    ASSERT(n == (ssize_t)len); /* what the broker says is HTTP/2 */
}

/* What the peer has to say goes out, within the credit. */
static bool peer_speaks(struct rig_peer *p)
{
    const uint8_t *data;
    bool spoke = false;
    while (p->session && !p->stream->closing && (p->stream->credit > 70000 || p->rig->early)) {
        ssize_t n = nghttp2_session_mem_send(p->session, &data);
        ASSERT(n >= 0);
        if (n == 0)
            break;
        script_bytes(p->stream, data, (uint32_t)n);
        spoke = true;
    }
    return spoke;
}

/* -- the rig ------------------------------------------------------------------------------------------------
 */

void rig_start(struct http2_rig *rig)
{
    static const struct log_options quiet = {.fd = -1, .level = LOG_ERROR};
    *rig = (struct http2_rig){.alpn = "h2"};
    log_configure(&quiet);
    script_start(&rig->engine, 7);
    rig->engine.tap = on_tap;
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

static void peer_free(struct rig_peer *p)
{
    for (unsigned i = 0; i < p->count; i++)
        free(p->streams[i]);
    nghttp2_session_del(p->session);
    free(p);
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
        peer_free(rig->peers[i]);
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
        peer_new(rig, s);
    script_open_tls(s, false, "TLSv1.3");
    if (rig->early) { /* in one read with the end of the handshake */
        s->credit += 100;
        peer_speaks(peer_of(rig, s));
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
            moved |= p->stream && peer_speaks(p);
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

struct rig_stream *rig_stream(struct http2_rig *rig, unsigned peer, unsigned n)
{
    ASSERT(peer < rig->peer_count);
    ASSERT(n < rig->peers[peer]->count);
    return rig->peers[peer]->streams[n];
}

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                          nghttp2_data_source *source, void *arg)
{
    struct rig_stream *st = source->ptr;
    size_t left = st->reply_len - st->reply_sent, n = left < len ? left : len;
    (void)arg;
    memcpy(buf, st->reply + st->reply_sent, n);
    st->reply_sent += n;
    if (st->reply_sent < st->reply_len)
        return (ssize_t)n;
    if (st->reply_open)
        return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->trailer) {
        nghttp2_nv nv = {(uint8_t *)(uintptr_t) "x-trailer", (uint8_t *)(uintptr_t)st->trailer, 9,
                         strlen(st->trailer), NGHTTP2_NV_FLAG_NONE};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        ASSERT(nghttp2_submit_trailer(session, id, &nv, 1) == 0);
    }
    return (ssize_t)n;
}

void rig_respond(struct rig_stream *st, const char *head, const char *body, size_t len)
{
    nghttp2_nv nv[300];
    size_t n = 0;
    bool interim = head[0] == '1';
    char *text = strdup(head), *save = NULL;
    for (char *part = strtok_r(text, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
        char *value = n == 0 && !strchr(part, '=') ? NULL : strchr(part, '=');
        const char *name = value ? part : ":status";
        if (value)
            *value++ = '\0';
        else
            value = part;
        nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)value, strlen(name), strlen(value),
                               NGHTTP2_NV_FLAG_NONE};
    }
    nghttp2_data_provider provider = {.source.ptr = st, .read_callback = read_reply};
    st->reply = body;
    st->reply_len = len;
    st->reply_sent = 0;
    if (interim)
        ASSERT(nghttp2_submit_headers(st->peer->session, NGHTTP2_FLAG_NONE, st->id, NULL, nv, n, NULL) == 0);
    else
        ASSERT(nghttp2_submit_response(st->peer->session, st->id, nv, n, body ? &provider : NULL) == 0);
    free(text);
}

void rig_send_raw(struct rig_peer *p, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0 && !p->stream->closing) {
        uint32_t n = len < 60000 ? (uint32_t)len : 60000;
        if (p->stream->credit < n)
            script_run(&p->rig->engine);
        script_bytes(p->stream, at, n);
        at += n;
        len -= n;
    }
}

void rig_frame(struct rig_peer *p, uint8_t type, uint8_t flags, int32_t id, const void *payload, size_t len)
{
    uint8_t frame[9 + 20000];
    ASSERT(len <= 20000);
    const uint8_t header[9] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,       type,       flags,
        (uint8_t)(id >> 24),  (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    memcpy(frame, header, sizeof header);
    if (len > 0)
        memcpy(frame + 9, payload, len);
    rig_send_raw(p, frame, 9 + len);
}
