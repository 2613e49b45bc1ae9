/* test/sim/sim_channel.c — see sim_channel.h. */
#include "sim_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/worker.h"

enum { OUTSTANDING_MAX = 128 * 1024, SEGMENTS_MAX = 64, CREDIT = 64 * 1024 };

/* -- over a socket ------------------------------------------------------------------------------------------
 */

struct raw {
    struct sim_channel channel;
    struct sim_sock *sock; /* NULL once closed */
    bool paused, ended, blocked, busy;
};

static struct raw *raw_of(struct sim_channel *c)
{
    return container_of(c, struct raw, channel);
}

static void raw_settle(struct raw *r)
{
    if (!r->sock && !r->busy)
        free(r);
}

static void raw_input(struct raw *r)
{
    uint8_t bytes[4096];
    while (r->sock && !r->paused && !r->ended) {
        ssize_t n = sim_recv(r->sock, bytes, sizeof(bytes));
        if (n == -EAGAIN)
            return;
        if (n > 0) {
            r->channel.events->input(&r->channel, bytes, (size_t)n);
        } else if (n == 0) {
            r->ended = true;
            r->channel.events->ended(&r->channel);
        } else {
            sim_close(r->sock);
            r->sock = NULL;
            r->channel.events->gone(&r->channel);
        }
    }
}

static void raw_poke(struct sim_sock *s)
{
    struct raw *r = s->owner;
    r->busy = true;
    if (r->blocked) {
        r->blocked = false;
        r->channel.events->writable(&r->channel);
    }
    raw_input(r);
    if (r->sock && (r->ended || r->paused) && r->sock->error != 0) {
        sim_close(r->sock);
        r->sock = NULL;
        r->channel.events->gone(&r->channel);
    }
    r->busy = false;
    raw_settle(r);
}

static size_t raw_write(struct sim_channel *c, const uint8_t *bytes, size_t len)
{
    struct raw *r = raw_of(c);
    size_t done = 0;
    while (done < len) {
        ssize_t n = sim_send(r->sock, bytes + done, len - done);
        if (n < 0) {
            /* An error is told by the next poke, for which it need not look readable. */
            r->blocked = n == -EAGAIN;
            break;
        }
        done += (size_t)n;
    }
    return done;
}

static void raw_pause(struct sim_channel *c, bool paused)
{
    struct raw *r = raw_of(c);
    bool resumes = r->paused && !paused;
    r->paused = paused;
    if (resumes && !r->busy)
        raw_poke(r->sock);
}

static void raw_finish(struct sim_channel *c)
{
    sim_shutdown(raw_of(c)->sock);
}

static bool raw_traffic(const struct sim_channel *c, struct sim_traffic *ret)
{
    const struct sim_sock *s = container_of(c, const struct raw, channel)->sock;
    *ret = (struct sim_traffic){sim_taken(s), sim_offered(s), sim_is_silenced(s)};
    return true;
}

static void raw_close(struct sim_channel *c)
{
    struct raw *r = raw_of(c);
    sim_close(r->sock);
    r->sock = NULL;
    raw_settle(r);
}

static void raw_reset(struct sim_channel *c)
{
    struct raw *r = raw_of(c);
    sim_reset(r->sock);
    r->sock = NULL;
    raw_settle(r);
}

static const struct sim_channel_ops raw_ops = {raw_write, raw_pause,   raw_finish, raw_close,
                                               raw_reset, raw_traffic, NULL};

struct sim_channel *sim_channel_raw(struct sim_sock *s)
{
    struct raw *r = calloc(1, sizeof(*r));
    ASSERT(r != NULL);
    r->channel.ops = &raw_ops;
    r->sock = s;
    s->owner = r;
    s->poke = raw_poke;
    return &r->channel;
}

/* -- over a stream ------------------------------------------------------------------------------------------
 */

struct piped {
    struct sim_channel channel;
    struct stream *stream;
    uint64_t outstanding;
    unsigned segments; /* of that */
    uint32_t owed;     /* credit kept back while paused */
    bool opening, paused, let_go, blocked;
};

static struct piped *piped_of(struct sim_channel *c)
{
    return container_of(c, struct piped, channel);
}

static void piped_unblock(struct piped *p)
{
    if (p->blocked && !p->let_go) {
        p->blocked = false;
        p->channel.events->writable(&p->channel);
    }
}

static void piped_open(struct stream *s)
{
    struct piped *p = s->owner;
    p->opening = false;
    piped_unblock(p);
}

static void piped_data(struct stream *s, struct seg seg)
{
    struct piped *p = s->owner;
    if (!p->let_go)
        p->channel.events->input(&p->channel, seg.data, seg.len);
    worker_release_seg(s->worker, seg);
    if (p->paused && !p->let_go)
        p->owed += seg.len;
    else
        stream_grant(s, seg.len);
}

static void piped_sent(struct stream *s, struct seg seg)
{
    struct piped *p = s->owner;
    p->outstanding -= seg.len;
    p->segments--;
    worker_release_seg(s->worker, seg);
    piped_unblock(p);
}

static void piped_end(struct stream *s)
{
    struct piped *p = s->owner;
    if (!p->let_go)
        p->channel.events->ended(&p->channel);
}

static void piped_closed(struct stream *s, enum ending reason)
{
    struct piped *p = s->owner;
    (void)reason;
    if (!p->let_go)
        p->channel.events->gone(&p->channel);
    stream_free(s);
    free(p);
}

static size_t piped_write(struct sim_channel *c, const uint8_t *bytes, size_t len)
{
    struct piped *p = piped_of(c);
    size_t done = 0;
    while (done < len && !p->opening && p->outstanding < OUTSTANDING_MAX && p->segments < SEGMENTS_MAX) {
        struct buf *b = buf_get(&p->stream->worker->bufs, len - done > BUF_SMALL_BYTES ? BUF_BIG : BUF_SMALL);
        ASSERT(b != NULL); /* a backend's own pool is ample */
        uint32_t n = len - done < b->cap ? (uint32_t)(len - done) : b->cap;
        memcpy(b->mem, bytes + done, n);
        p->outstanding += n;
        p->segments++;
        done += n;
        stream_send(p->stream, (struct seg){b, b->mem, n, 0});
    }
    p->blocked = done < len;
    return done;
}

static void piped_pause(struct sim_channel *c, bool paused)
{
    struct piped *p = piped_of(c);
    p->paused = paused;
    if (!paused && p->owed > 0) {
        stream_grant(p->stream, p->owed);
        p->owed = 0;
    }
}

static void piped_finish(struct sim_channel *c)
{
    stream_finish(piped_of(c)->stream);
}

static bool piped_traffic(const struct sim_channel *c, struct sim_traffic *ret)
{
    (void)c;
    (void)ret;
    return false;
}

static void piped_close(struct sim_channel *c)
{
    struct piped *p = piped_of(c);
    p->let_go = true;
    piped_pause(c, false);
    stream_finish(p->stream);
}

static void piped_reset(struct sim_channel *c)
{
    struct piped *p = piped_of(c);
    p->let_go = true;
    stream_abort(p->stream, ENDING_CANCELLED);
}

static const struct sim_channel_ops piped_ops = {piped_write, piped_pause,   piped_finish, piped_close,
                                                 piped_reset, piped_traffic, NULL};
static const struct stream_events piped_events = {piped_open, piped_data, piped_sent, piped_end,
                                                  piped_closed};

struct sim_channel *sim_channel_stream(struct stream *s)
{
    struct piped *p = calloc(1, sizeof(*p));
    ASSERT(p != NULL);
    p->channel.ops = &piped_ops;
    p->stream = s;
    stream_bind(s, &piped_events, p);
    stream_grant(s, CREDIT);
    return &p->channel;
}

struct sim_channel *sim_channel_dialled(struct stream *s)
{
    struct sim_channel *c = sim_channel_stream(s);
    piped_of(c)->opening = true;
    return c;
}
