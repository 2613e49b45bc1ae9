/* test/sim/sim_h2_stream.c — the streams of sim_h2.h, and what nghttp2 tells of them. */
#include <stdlib.h>
#include <string.h>

#include "sim_h2_inside.h"

enum { FIELDS_MAX = 16 };

/* -- streams ------------------------------------------------------------------------------------------------
 */

static void forget(struct sim_h2_stream *s)
{
    if (!s->closed)
        nghttp2_session_set_stream_user_data(s->h2->session, s->id, NULL);
    list_remove(&s->node);
    sim_bytes_fini(&s->out);
    free(s);
}

void h2_stream_lost(struct sim_h2_stream *s)
{
    if (!s->let_go)
        s->events->gone(s);
    forget(s);
}

static ssize_t on_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t len, uint32_t *flags,
                      nghttp2_data_source *source, void *arg)
{
    struct sim_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)source;
    (void)arg;
    if (!s) /* reset */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = s->out.len - s->out.at, n = left < len ? left : len;
    if (n == 0 && !s->out_ends)
        return NGHTTP2_ERR_DEFERRED;
    if (n > 0)
        memcpy(to, s->out.mem + s->out.at, n);
    sim_bytes_take(&s->out, n);
    s->framed += n;
    s->out_ended = s->out_ends && n == left;
    if (s->out_ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

struct sim_h2_stream *sim_h2_open(struct sim_h2 *h, const char *const fields[], unsigned pairs,
                                  const struct sim_h2_stream_events *events, void *owner)
{
    nghttp2_nv nv[FIELDS_MAX];
    struct sim_h2_stream *s = calloc(1, sizeof(*s));
    ASSERT(s != NULL && pairs <= FIELDS_MAX && sim_h2_is_open(h));
    *s = (struct sim_h2_stream){.h2 = h, .events = events, .owner = owner};
    s->unclear_ns = sim_now_ns(h->net);
    list_init(&s->node);
    list_add_tail(&h->streams, &s->node);
    for (unsigned i = 0; i < pairs; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[2 * i], (uint8_t *)(uintptr_t)fields[2 * i + 1],
                             strlen(fields[2 * i]), strlen(fields[2 * i + 1]), NGHTTP2_NV_FLAG_NONE};
    nghttp2_data_provider provider = {.read_callback = on_out};
    s->id = nghttp2_submit_request(h->session, NULL, nv, pairs, &provider, s);
    ASSERT(s->id > 0);
    h2_pump_soon(h);
    return s;
}

static void resume(struct sim_h2_stream *s)
{
    if (!s->closed)
        nghttp2_session_resume_data(s->h2->session, s->id); /* fails when it is not deferred */
    h2_pump_soon(s->h2);
}

void sim_h2_write(struct sim_h2_stream *s, const void *bytes, size_t len)
{
    ASSERT(!s->out_ends);
    sim_bytes_put(&s->out, bytes, len);
    resume(s);
}

void sim_h2_finish(struct sim_h2_stream *s)
{
    s->out_ends = true;
    resume(s);
}

void h2_stream_give_back(struct sim_h2_stream *s)
{
    if (s->owed > 0 && !s->closed)
        nghttp2_session_consume_stream(s->h2->session, s->id, s->owed);
    s->owed = 0;
    h2_pump_soon(s->h2);
}

void sim_h2_pause(struct sim_h2_stream *s, bool paused)
{
    s->paused = paused;
    if (!paused)
        h2_stream_give_back(s);
}

void sim_h2_close(struct sim_h2_stream *s)
{
    s->let_go = true;
    sim_h2_pause(s, false);
    if (s->closed)
        forget(s);
    else if (!s->out_ends)
        sim_h2_finish(s);
}

void sim_h2_reset(struct sim_h2_stream *s, uint32_t code)
{
    if (!s->closed)
        nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, code);
    h2_pump_soon(s->h2);
    forget(s);
}

/* -- what nghttp2 tells -------------------------------------------------------------------------------------
 */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct sim_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)name_len; /* both end with a zero, too */
    (void)value_len;
    (void)flags;
    (void)arg;
    if (!s)
        return 0;
    if (strcmp((const char *)name, ":status") == 0)
        s->status = (unsigned)strtoul((const char *)value, NULL, 10);
    if (s->events->field && !s->let_go)
        s->events->field(s, (const char *)name, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *arg)
{
    struct sim_h2 *h = arg;
    struct sim_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    h->owed += (uint32_t)len;
    if (!s) {
        nghttp2_session_consume_stream(session, id, len);
        return 0;
    }
    s->owed += (uint32_t)len;
    s->heard += len;
    if (!s->let_go)
        s->events->input(s, bytes, len);
    return 0;
}

static void on_stream_ended(struct sim_h2_stream *s)
{
    s->in_ended = true;
    if (!s->let_go)
        s->events->ended(s);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct sim_h2 *h = arg;
    struct sim_h2_stream *s = frame->hd.stream_id > 0
                                  ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
                                  : NULL;
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        h->ping_out = false;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        h->goaway = true;
        h->calmed |= frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM;
    } else if (frame->hd.type == NGHTTP2_RST_STREAM && s) {
        s->reset_code = frame->rst_stream.error_code;
    } else if (frame->hd.type == NGHTTP2_HEADERS && s && !s->headed && s->status >= 200) {
        s->headed = true;
        if (!s->let_go)
            s->events->head(s);
        s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    }
    if (s && ends && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
        on_stream_ended(s);
    return 0;
}

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    (void)session;
    (void)frame;
    (void)error;
    ((struct sim_h2 *)arg)->broken = true;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct sim_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)code;
    (void)arg;
    if (!s)
        return 0;
    s->closed = true;
    if (s->let_go || !s->in_ended || !s->out_ended)
        h2_stream_lost(s);
    return 0;
}

/* -- the session --------------------------------------------------------------------------------------------
 */

void h2_start_session(struct sim_h2 *h)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH,         0               },
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->habits.window},
    };
    ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    ASSERT(nghttp2_session_client_new2(&h->session, callbacks, h, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    ASSERT(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings)) == 0);
}
