/* test/sim/sim_h2_tunnel.c — see sim_h2_tunnel.h. */
#include "sim_h2_tunnel.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

enum { BACKLOG_MAX = 16 * 1024 };

struct tunnel {
    struct sim_channel channel;
    struct sim_h2_stream *stream; /* NULL once let go of */
    bool blocked, busy;
};

static struct tunnel *tunnel_of(const struct sim_channel *c)
{
    return container_of(c, struct tunnel, channel);
}

static void settle(struct tunnel *t)
{
    if (!t->stream && !t->busy)
        free(t);
}

static size_t tunnel_write(struct sim_channel *c, const uint8_t *bytes, size_t len)
{
    struct tunnel *t = tunnel_of(c);
    size_t waits = t->stream->out.len - t->stream->out.at;
    size_t room = waits < BACKLOG_MAX ? BACKLOG_MAX - waits : 0, n = len < room ? len : room;
    t->blocked = n < len;
    if (n > 0)
        sim_h2_write(t->stream, bytes, n);
    return n;
}

static void tunnel_pause(struct sim_channel *c, bool paused)
{
    sim_h2_pause(tunnel_of(c)->stream, paused);
}

static void tunnel_finish(struct sim_channel *c)
{
    if (!tunnel_of(c)->stream->out_ends)
        sim_h2_finish(tunnel_of(c)->stream);
}

static void tunnel_close(struct sim_channel *c)
{
    struct tunnel *t = tunnel_of(c);
    sim_h2_close(t->stream);
    t->stream = NULL;
    settle(t);
}

static void tunnel_reset(struct sim_channel *c)
{
    struct tunnel *t = tunnel_of(c);
    sim_h2_reset(t->stream, NGHTTP2_CANCEL);
    t->stream = NULL;
    settle(t);
}

static bool tunnel_traffic(const struct sim_channel *c, struct sim_traffic *ret)
{
    const struct sim_h2_stream *s = tunnel_of(c)->stream;
    *ret = (struct sim_traffic){.taken = s->framed, .offered = s->heard};
    return true;
}

static uint64_t tunnel_clear_since(const struct sim_channel *c)
{
    return sim_h2_clear_since(tunnel_of(c)->stream);
}

static const struct sim_channel_ops tunnel_ops = {tunnel_write,      tunnel_pause, tunnel_finish,
                                                  tunnel_close,      tunnel_reset, tunnel_traffic,
                                                  tunnel_clear_since};

static void on_head(struct sim_h2_stream *s)
{
    (void)s; /* was heard before it became a tunnel */
}

static void on_input(struct sim_h2_stream *s, const uint8_t *bytes, size_t len)
{
    struct tunnel *t = s->owner;
    t->busy = true;
    t->channel.events->input(&t->channel, bytes, len);
    t->busy = false;
    settle(t);
}

static void on_ended(struct sim_h2_stream *s)
{
    struct tunnel *t = s->owner;
    t->busy = true;
    t->channel.events->ended(&t->channel);
    t->busy = false;
    settle(t);
}

static void on_writable(struct sim_h2_stream *s)
{
    struct tunnel *t = s->owner;
    if (!t->blocked)
        return;
    t->blocked = false;
    t->busy = true;
    t->channel.events->writable(&t->channel);
    t->busy = false;
    settle(t);
}

static void on_gone(struct sim_h2_stream *s)
{
    struct tunnel *t = s->owner;
    t->stream = NULL;
    t->channel.events->gone(&t->channel);
    free(t);
}

static const struct sim_h2_stream_events tunnel_events = {NULL,     on_head,     on_input,
                                                          on_ended, on_writable, on_gone};

struct sim_channel *sim_h2_tunnel(struct sim_h2_stream *s)
{
    struct tunnel *t = calloc(1, sizeof(*t));
    ASSERT(t != NULL);
    *t = (struct tunnel){.channel.ops = &tunnel_ops, .stream = s};
    s->owner = t;
    s->events = &tunnel_events;
    return &t->channel;
}
