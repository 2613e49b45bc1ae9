/* test/sim/sim_h2.c — see sim_h2.h. nghttp2 may not be left from within its callbacks, so what is to be sent
 * is pulled, and the connection ended, by an event of its own.
 */
#include <stdlib.h>

#include "sim_h2_inside.h"

enum { WINDOW_LOW = 1024 };

static uint64_t now(const struct sim_h2 *h)
{
    return sim_now_ns(h->net);
}

void h2_pump_soon(struct sim_h2 *h)
{
    if (h->pump.index == 0)
        sim_event_at(h->net, &h->pump, now(h));
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
        h2_stream_lost(s);
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
    h2_pump_soon(h);
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
            h2_stream_give_back(s);
    }
    h2_pump_soon(h);
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
    h2_pump_soon(h);
}

static void on_writable(struct sim_channel *c)
{
    h2_pump_soon(c->owner);
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
    h2_start_session(h);
    h2_pump_soon(h);
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
