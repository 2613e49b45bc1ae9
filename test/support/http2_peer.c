/* test/support/http2_peer.c — see http2_peer.h. */
#include "test/support/http2_peer.h"

#include <stdlib.h>
#include <string.h>

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

void rig_peer_new(struct http2_rig *rig, struct script_stream *s)
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

struct rig_peer *rig_peer_of(struct http2_rig *rig, const struct script_stream *s)
{
    for (unsigned i = 0; i < rig->peer_count; i++)
        if (rig->peers[i]->stream == s)
            return rig->peers[i];
    return NULL;
}

void rig_peer_tap(struct script_stream *s, const uint8_t *data, uint32_t len)
{
    struct http2_rig *rig = container_of(s->engine, struct http2_rig, engine);
    struct rig_peer *p = rig_peer_of(rig, s);
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

bool rig_peer_speaks(struct rig_peer *p)
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

void rig_peer_free(struct rig_peer *p)
{
    for (unsigned i = 0; i < p->count; i++)
        free(p->streams[i]);
    nghttp2_session_del(p->session);
    free(p);
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
