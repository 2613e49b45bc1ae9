/* test/sim/sim_h2.c — see sim_h2.h. nghttp2 may not be left from within its callbacks, so what is to be sent
 * is pulled, and the connection ended, by an event of its own.
 */
#include "sim_h2.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "sim_channel.h"

enum { FIELDS_MAX = 16, WINDOW_LOW = 1024 };

struct sim_h2 {
    struct sim_net *net;
    struct sim_channel *channel; /* NULL once let go of */
    nghttp2_session *session;
    struct sim_h2_habits habits;
    struct list streams;
    struct sim_bytes rest; /* made by nghttp2, and not taken by the network */
    uint64_t written, received, ping_ns;
    uint32_t owed; /* of the connection's window */
    struct sim_event pump, late, rest_over;
    void *owner;
    void (*over)(struct sim_h2 *);
    bool leaving, by_reset, gone, goaway, calmed, broken, stalled, frozen, ping_out;
};

static uint64_t now(const struct sim_h2 *h)
{
    return sim_now_ns(h->net);
}

static void pump_soon(struct sim_h2 *h)
{
    if (h->pump.index == 0)
        sim_event_at(h->net, &h->pump, now(h));
}

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

static void stream_lost(struct sim_h2_stream *s)
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
    s->unclear_ns = now(h);
    list_init(&s->node);
    list_add_tail(&h->streams, &s->node);
    for (unsigned i = 0; i < pairs; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[2 * i], (uint8_t *)(uintptr_t)fields[2 * i + 1],
                             strlen(fields[2 * i]), strlen(fields[2 * i + 1]), NGHTTP2_NV_FLAG_NONE};
    nghttp2_data_provider provider = {.read_callback = on_out};
    s->id = nghttp2_submit_request(h->session, NULL, nv, pairs, &provider, s);
    ASSERT(s->id > 0);
    pump_soon(h);
    return s;
}

static void resume(struct sim_h2_stream *s)
{
    if (!s->closed)
        nghttp2_session_resume_data(s->h2->session, s->id); /* fails when it is not deferred */
    pump_soon(s->h2);
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

static void give_back(struct sim_h2_stream *s)
{
    if (s->owed > 0 && !s->closed)
        nghttp2_session_consume_stream(s->h2->session, s->id, s->owed);
    s->owed = 0;
    pump_soon(s->h2);
}

void sim_h2_pause(struct sim_h2_stream *s, bool paused)
{
    s->paused = paused;
    if (!paused)
        give_back(s);
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
    pump_soon(s->h2);
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
        stream_lost(s);
    return 0;
}

/* -- out ----------------------------------------------------------------------------------------------------
 */

static void write_out(struct sim_h2 *h)
{
    const uint8_t *bytes;
    ssize_t n;
    for (;;) {
        size_t left = h->rest.len - h->rest.at;
        if (left > 0) {
            size_t taken = h->channel->ops->write(h->channel, h->rest.mem + h->rest.at, left);
            sim_bytes_take(&h->rest, taken);
            if (taken < left)
                return;
        }
        n = nghttp2_session_mem_send(h->session, &bytes);
        ASSERT(n >= 0);
        if (n == 0)
            return;
        h->written += (uint64_t)n;
        sim_bytes_put(&h->rest, bytes, (size_t)n);
    }
}

static void tell_writable(struct sim_h2 *h)
{
    list_each_safe(node, tmp, &h->streams)
    {
        struct sim_h2_stream *s = list_entry(node, struct sim_h2_stream, node);
        if (!s->let_go && !s->closed && s->out.at == s->out.len)
            s->events->writable(s);
    }
}

static void be_over(struct sim_h2 *h)
{
    h->leaving = true;
    list_each_safe(node, tmp, &h->streams)
    {
        struct sim_h2_stream *s = list_entry(node, struct sim_h2_stream, node);
        s->closed = true;
        stream_lost(s);
    }
    h->over(h);
    ASSERT(list_empty(&h->streams));
    sim_event_cancel(h->net, &h->pump);
    sim_event_cancel(h->net, &h->late);
    sim_event_cancel(h->net, &h->rest_over);
    nghttp2_session_del(h->session);
    sim_bytes_fini(&h->rest);
    free(h);
}

static void on_pump(struct sim_event *e)
{
    struct sim_h2 *h = container_of(e, struct sim_h2, pump);
    if (h->frozen && !h->leaving)
        return;
    if (!h->gone && !(h->leaving && h->by_reset)) {
        write_out(h);
        tell_writable(h);
        if (!h->leaving && (h->pump.index != 0 || nghttp2_session_want_read(h->session) ||
                            nghttp2_session_want_write(h->session)))
            return;
    }
    if (!h->gone && h->by_reset)
        h->channel->ops->reset(h->channel);
    else if (!h->gone)
        h->channel->ops->close(h->channel);
    be_over(h);
}

void sim_h2_leave(struct sim_h2 *h, bool reset)
{
    h->leaving = true;
    h->by_reset |= reset;
    pump_soon(h);
}

/* -- in -----------------------------------------------------------------------------------------------------
 */

static void give_windows_back(struct sim_h2 *h)
{
    nghttp2_session_consume_connection(h->session, h->owed);
    h->owed = 0;
    list_each_safe(node, tmp, &h->streams)
    {
        struct sim_h2_stream *s = list_entry(node, struct sim_h2_stream, node);
        if (!s->paused)
            give_back(s);
    }
    pump_soon(h);
}

static void on_late(struct sim_event *e)
{
    give_windows_back(container_of(e, struct sim_h2, late));
}

static void on_rest_over(struct sim_event *e)
{
    struct sim_h2 *h = container_of(e, struct sim_h2, rest_over);
    h->stalled = false;
    if (!h->frozen)
        h->channel->ops->pause(h->channel, false);
}

static void misbehave(struct sim_h2 *h)
{
    const struct sim_h2_habits *b = &h->habits;
    if (!h->ping_out && sim_chance(h->net, b->pings)) {
        h->ping_out = true;
        h->ping_ns = now(h);
        nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    }
    if (!h->stalled && sim_chance(h->net, b->stalls)) {
        h->stalled = true;
        h->channel->ops->pause(h->channel, true);
        sim_event_at(h->net, &h->rest_over, now(h) + sim_between(h->net, 1, b->stall_max_ns));
    }
}

static void on_input(struct sim_channel *c, const uint8_t *bytes, size_t len)
{
    struct sim_h2 *h = c->owner;
    h->received += len;
    if (h->leaving)
        return;
    if (nghttp2_session_mem_recv(h->session, bytes, len) < 0) {
        h->broken = true;
        sim_h2_leave(h, true);
        return;
    }
    misbehave(h);
    if (h->late.index == 0 && !sim_chance(h->net, h->habits.late))
        give_windows_back(h);
    else if (h->late.index == 0)
        sim_event_at(h->net, &h->late, now(h) + sim_between(h->net, 1, h->habits.late_max_ns));
    pump_soon(h);
}

static void on_writable(struct sim_channel *c)
{
    pump_soon(c->owner);
}

static void on_ended(struct sim_channel *c)
{
    sim_h2_leave(c->owner, false);
}

static void on_gone(struct sim_channel *c)
{
    struct sim_h2 *h = c->owner;
    h->gone = true;
    sim_h2_leave(h, false);
}

static const struct sim_channel_events channel_events = {on_input, on_writable, on_ended, on_gone};

/* -- life ---------------------------------------------------------------------------------------------------
 */

static void start_session(struct sim_h2 *h)
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

struct sim_h2 *sim_h2_new(struct sim_net *n, struct sim_channel *channel, const struct sim_h2_habits *habits,
                          void *owner, void (*over)(struct sim_h2 *))
{
    struct sim_h2 *h = calloc(1, sizeof(*h));
    ASSERT(h != NULL);
    *h = (struct sim_h2){.net = n,
                         .channel = channel,
                         .habits = *habits,
                         .owner = owner,
                         .over = over,
                         .pump.fire = on_pump,
                         .late.fire = on_late,
                         .rest_over.fire = on_rest_over};
    list_init(&h->streams);
    channel->owner = h;
    channel->events = &channel_events;
    start_session(h);
    pump_soon(h);
    return h;
}

void sim_h2_freeze(struct sim_h2 *h)
{
    h->frozen = true;
    h->channel->ops->pause(h->channel, true);
}

void *sim_h2_owner(const struct sim_h2 *h)
{
    return h->owner;
}

bool sim_h2_is_open(const struct sim_h2 *h)
{
    return !h->leaving && !h->goaway;
}

bool sim_h2_was_calmed(const struct sim_h2 *h)
{
    return h->calmed;
}

bool sim_h2_is_broken(const struct sim_h2 *h)
{
    return h->broken;
}

unsigned sim_h2_streams(const struct sim_h2 *h)
{
    unsigned n = 0;
    list_each_safe(node, tmp, (struct list *)&h->streams) n++;
    return n;
}

/* -- what is owed -------------------------------------------------------------------------------------------
 */

uint64_t sim_h2_written(const struct sim_h2 *h)
{
    return h->written;
}

static bool look(const struct sim_h2 *h, struct sim_traffic *ret)
{
    *ret = (struct sim_traffic){.silenced = true};
    return !h->leaving && h->channel->ops->traffic(h->channel, ret) && !ret->silenced;
}

bool sim_h2_is_taken(const struct sim_h2 *h, uint64_t written)
{
    struct sim_traffic seen;
    return look(h, &seen) && seen.taken >= written;
}

/* Nothing is under way in either direction. */
static bool is_quiet(const struct sim_h2 *h)
{
    struct sim_traffic seen;
    return look(h, &seen) && !h->stalled && h->pump.index == 0 && seen.taken == h->written &&
           seen.offered == h->received;
}

void sim_h2_check(struct sim_h2 *h)
{
    bool quiet = is_quiet(h), open = quiet && nghttp2_session_get_local_window_size(h->session) > WINDOW_LOW;
    if (!quiet && h->ping_out)
        h->ping_ns = now(h);
    list_each_safe(node, tmp, &h->streams)
    {
        struct sim_h2_stream *s = list_entry(node, struct sim_h2_stream, node);
        if (!open ||
            (!s->closed && nghttp2_session_get_stream_local_window_size(h->session, s->id) <= WINDOW_LOW))
            s->unclear_ns = now(h);
    }
}

uint64_t sim_h2_pong_overdue_ns(const struct sim_h2 *h)
{
    return h->ping_out && is_quiet(h) ? now(h) - h->ping_ns : 0;
}

uint64_t sim_h2_clear_since(const struct sim_h2_stream *s)
{
    return s->unclear_ns == now(s->h2) ? UINT64_MAX : s->unclear_ns;
}
