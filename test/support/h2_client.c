/* test/support/h2_client.c — see h2_client.h. */
#include "test/support/h2_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct h2_client h2_client;

static struct h2_stream *find(int32_t id)
{
    for (unsigned i = 0; i < h2_client.count; i++)
        if (h2_client.streams[i].id == id)
            return &h2_client.streams[i];
    return NULL;
}

/* -- callbacks ----------------------------------------------------------------------------------------------
 */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct h2_stream *s = find(frame->hd.stream_id);
    (void)session;
    (void)flags;
    (void)arg;
    if (!s)
        return 0;
    bool trailer = frame->headers.cat == NGHTTP2_HCAT_HEADERS && s->status >= 200;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
        char text[4] = "";
        memcpy(text, value, value_len < 3 ? value_len : 3);
        int status = (int)strtol(text, NULL, 10);
        if (status < 200)
            s->informational++;
        else
            s->status = status;
        return 0;
    }
    char *to = trailer ? s->trailers : s->fields;
    size_t size = trailer ? sizeof(s->trailers) : sizeof(s->fields), at = strlen(to);
    if (trailer || s->status >= 200)
        snprintf(to + at, size - at, "%.*s=%.*s;", (int)name_len, (const char *)name, (int)value_len,
                 (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *arg)
{
    struct h2_stream *s = find(id);
    (void)session;
    (void)flags;
    (void)arg;
    ASSERT(s != NULL);
    s->body_bytes += len;
    h2_client.body_bytes += len;
    if (!h2_client.drop_bodies)
        fifo_put(&s->body, data, len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_stream *s = find(frame->hd.stream_id);
    (void)session;
    (void)arg;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            h2_client.settings_acks++;
        else
            h2_client.settings++;
        break;
    case NGHTTP2_PING:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            break;
        if (h2_client.ping_acks < sizeof(h2_client.pongs) - 1)
            h2_client.pongs[h2_client.ping_acks] = (char)frame->ping.opaque_data[0];
        h2_client.ping_acks++;
        h2_client.body_at_ping = h2_client.body_bytes;
        break;
    case NGHTTP2_GOAWAY:
        ASSERT(h2_client.goaways < ARRAY_SIZE(h2_client.goaway_last));
        h2_client.goaway_last[h2_client.goaways] = frame->goaway.last_stream_id;
        h2_client.goaway_code[h2_client.goaways++] = frame->goaway.error_code;
        break;
    case NGHTTP2_RST_STREAM:
        if (s) {
            s->reset = true;
            s->code = frame->rst_stream.error_code;
        }
        break;
    default: /* DATA and HEADERS: that they end a stream is all there is left to note */
        if (s && frame->hd.type == NGHTTP2_DATA)
            s->data_frames++;
        if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            s->ended = true;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct h2_stream *s = find(id);
    (void)session;
    (void)code;
    (void)arg;
    if (s)
        s->closed = true;
    return 0;
}

static ssize_t on_upload(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct h2_stream *s = source->ptr;
    size_t left = s->upload_len - s->upload_sent, n = len < left ? len : left;
    (void)session;
    (void)id;
    (void)arg;
    if (n == 0 && !s->upload_ends)
        return NGHTTP2_ERR_DEFERRED;
    if (n > 0)
        memcpy(buf, s->upload + s->upload_sent, n);
    s->upload_sent += n;
    if (s->upload_ends && s->upload_sent == s->upload_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* -- life ---------------------------------------------------------------------------------------------------
 */

void h2_client_start(bool manual_windows)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    memset(&h2_client, 0, sizeof(h2_client));
    ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
    ASSERT(nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_set_no_auto_window_update(option, manual_windows);
    ASSERT(nghttp2_session_client_new2(&h2_client.session, callbacks, NULL, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    ASSERT(nghttp2_submit_settings(h2_client.session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
}

void h2_client_stop(void)
{
    for (unsigned i = 0; i < h2_client.count; i++)
        fifo_free(&h2_client.streams[i].body);
    nghttp2_session_del(h2_client.session);
    h2_client.session = NULL;
}

void h2_client_turn(void)
{
    static uint8_t bytes[1 << 20];
    const uint8_t *out;
    ssize_t n;
    while (front_rig_conn() && (n = nghttp2_session_mem_send(h2_client.session, &out)) > 0)
        pipe_give(rig.pipe, out, (size_t)n);
    world_turn(&rig.world);
    if (h2_client.reads_nothing || !front_rig_conn())
        return;
    size_t came = pipe_take(rig.pipe, bytes, sizeof(bytes));
    if (came > 0 && nghttp2_session_mem_recv(h2_client.session, bytes, came) < 0)
        h2_client.dead = true;
}

void h2_client_turns(int turns)
{
    while (turns-- > 0)
        h2_client_turn();
}

/* -- asking -------------------------------------------------------------------------------------------------
 */

static nghttp2_nv nv(struct slice name, struct slice value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data, name.len,
                        value.len, NGHTTP2_NV_FLAG_NONE};
}

static struct h2_stream *submit(const char *method, const char *authority, const char *path, const char *more,
                                bool open)
{
    ASSERT(h2_client.count < H2_STREAMS_MAX);
    struct h2_stream *s = &h2_client.streams[h2_client.count++];
    nghttp2_nv fields[32];
    size_t n = 0;
    fields[n++] = nv(SLICE(":method"), slice_of_text(method));
    if (path) {
        fields[n++] = nv(SLICE(":scheme"), SLICE("http"));
        fields[n++] = nv(SLICE(":path"), slice_of_text(path));
    }
    fields[n++] = nv(SLICE(":authority"), slice_of_text(authority));
    while (more && *more) {
        size_t name_len = strcspn(more, "="), len = strcspn(more, "|");
        fields[n++] = nv(slice_of(more, name_len), slice_of(more + name_len + 1, len - name_len - 1));
        more += len + (more[len] == '|');
    }
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = on_upload};
    s->upload_open = open;
    s->id = nghttp2_submit_request(h2_client.session, NULL, fields, n, open ? &provider : NULL, s);
    ASSERT(s->id > 0);
    return s;
}

struct h2_stream *h2_client_ask(const char *method, const char *authority, const char *path, const char *more)
{
    return submit(method, authority, path, more, path == NULL);
}

struct h2_stream *h2_client_upload(const char *authority, const char *path, const char *more)
{
    return submit("POST", authority, path, more, true);
}

void h2_client_say(struct h2_stream *s, const void *bytes, size_t len, bool ends)
{
    ASSERT(s->upload_sent == s->upload_len);
    s->upload = bytes;
    s->upload_len = len;
    s->upload_sent = 0;
    s->upload_ends = ends;
    nghttp2_session_resume_data(h2_client.session, s->id); /* it may not have begun */
}

void h2_client_reset(struct h2_stream *s, uint32_t code)
{
    ASSERT(nghttp2_submit_rst_stream(h2_client.session, NGHTTP2_FLAG_NONE, s->id, code) == 0);
}

bool h2_client_has_body(struct h2_stream *s, const void *bytes, size_t len)
{
    return s->body.len == len && (len == 0 || memcmp(s->body.bytes + s->body.from, bytes, len) == 0);
}
