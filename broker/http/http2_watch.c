/* broker/http/http2_watch.c — see http2_watch.h.
 *
 * Budgets are token buckets in integers: a token is 1e9 units, and each nanosecond gives as many units as the
 * rate says tokens a second.
 */
#include "broker/http/http2_watch.h"

enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
    FRAME_TYPES,
};

enum { FLAG_END_STREAM = 0x1, FLAG_END_HEADERS = 0x4, FLAG_PADDED = 0x8, PAD_MAX = 256 };

static const uint64_t token = 1000000000u;

static const struct {
    const char *label, *text;
} floods[] = {
#define HTTP2_FLOOD_ROW(symbol, label, text) [HTTP2_FLOOD_##symbol] = {#label, text},
    HTTP2_FLOODS(HTTP2_FLOOD_ROW)
#undef HTTP2_FLOOD_ROW
};

/* Which flood a frame belongs to and what it costs; requests are judged by what becomes of them. */
static const struct {
    enum http2_flood flood;
    uint32_t cost;
} frame_costs[FRAME_TYPES] = {
    [FRAME_DATA] = {HTTP2_FLOOD_EMPTY_DATA,    1                  },
    [FRAME_HEADERS] = {HTTP2_FLOOD_NONE,          0                  },
    [FRAME_PRIORITY] = {HTTP2_FLOOD_PRIORITY,      1                  },
    [FRAME_RST_STREAM] = {HTTP2_FLOOD_RESET,         1                  },
    [FRAME_SETTINGS] = {HTTP2_FLOOD_SETTINGS,      HTTP2_SETTINGS_COST},
    [FRAME_PUSH_PROMISE] = {HTTP2_FLOOD_OTHER,         1                  },
    [FRAME_PING] = {HTTP2_FLOOD_PING,          1                  },
    [FRAME_GOAWAY] = {HTTP2_FLOOD_OTHER,         1                  },
    [FRAME_WINDOW_UPDATE] = {HTTP2_FLOOD_WINDOW_UPDATE, 1                  },
    [FRAME_CONTINUATION] = {HTTP2_FLOOD_CONTINUATION,  0                  },
};

static uint64_t filled(uint64_t budget, uint64_t more, uint64_t max)
{
    budget += more;
    return budget < max ? budget : max;
}

static void fill(struct http2_watch *w, uint64_t now_ns)
{
    uint64_t passed = now_ns - w->at_ns;
    if (passed > 1000 * token) /* both are full long before; no overflow below */
        passed = 1000 * token;
    w->at_ns = now_ns;
    w->idle = filled(w->idle, passed * HTTP2_IDLE_FRAMES_PER_S, HTTP2_IDLE_FRAMES_MAX * token);
    w->resets = filled(w->resets, passed * HTTP2_RESETS_PER_S, HTTP2_RESETS_MAX * token);
}

void http2_watch_init(struct http2_watch *w, uint64_t now_ns, uint32_t preface_bytes)
{
    *w = (struct http2_watch){.at_ns = now_ns,
                              .idle = HTTP2_IDLE_FRAMES_MAX * token,
                              .resets = HTTP2_RESETS_MAX * token,
                              .skip = preface_bytes};
}

static bool pay(uint64_t *budget, uint64_t tokens)
{
    if (*budget < tokens * token)
        return false;
    *budget -= tokens * token;
    return true;
}

/* DATA that ends a stream or has something to say is free; padding may be all there is. */
static bool is_free(unsigned type, unsigned flags, uint32_t len)
{
    return type == FRAME_DATA && ((flags & FLAG_END_STREAM) || len > (flags & FLAG_PADDED ? PAD_MAX : 0u));
}

static enum http2_flood on_frame(struct http2_watch *w)
{
    uint32_t len = (uint32_t)w->header[0] << 16 | (uint32_t)w->header[1] << 8 | w->header[2];
    unsigned type = w->header[3], flags = w->header[4];
    w->skip = len;
    w->type = w->header[3];
    if (type == FRAME_HEADERS || type == FRAME_PUSH_PROMISE || type == FRAME_CONTINUATION)
        w->in_block = !(flags & FLAG_END_HEADERS);
    if (type == FRAME_CONTINUATION)
        return ++w->continuations > HTTP2_CONTINUATIONS_MAX ? HTTP2_FLOOD_CONTINUATION : HTTP2_FLOOD_NONE;
    w->continuations = 0;
    if (type == FRAME_WINDOW_UPDATE && w->saved > 0) {
        w->saved--;
        return HTTP2_FLOOD_NONE;
    }
    if (type == FRAME_RST_STREAM && w->ends > 0) {
        w->ends--;
        return HTTP2_FLOOD_NONE;
    }
    if (type >= FRAME_TYPES)
        return pay(&w->idle, 1) ? HTTP2_FLOOD_NONE : HTTP2_FLOOD_OTHER;
    if (is_free(type, flags, len) || pay(&w->idle, frame_costs[type].cost))
        return HTTP2_FLOOD_NONE;
    return frame_costs[type].flood;
}

enum http2_flood http2_watch_input(struct http2_watch *w, uint64_t now_ns, const uint8_t *data, size_t len)
{
    fill(w, now_ns);
    while (len > 0) {
        if (w->skip > 0) {
            uint32_t n = len < w->skip ? (uint32_t)len : w->skip;
            w->skip -= n;
            data += n;
            len -= n;
            continue;
        }
        w->header[w->header_len++] = *data++;
        len--;
        if (w->header_len < sizeof w->header)
            continue;
        w->header_len = 0;
        enum http2_flood flood = on_frame(w);
        if (flood != HTTP2_FLOOD_NONE)
            return flood;
    }
    return HTTP2_FLOOD_NONE;
}

bool http2_watch_in_block(const struct http2_watch *w)
{
    bool is_block = w->type == FRAME_HEADERS || w->type == FRAME_PUSH_PROMISE ||
                    w->type == FRAME_CONTINUATION;
    return w->in_block || (is_block && w->skip > 0);
}

enum http2_flood http2_watch_wasted(struct http2_watch *w, uint64_t now_ns)
{
    fill(w, now_ns);
    return pay(&w->resets, 1) ? HTTP2_FLOOD_NONE : HTTP2_FLOOD_RESET;
}

void http2_watch_answered(struct http2_watch *w)
{
    w->resets = filled(w->resets, token, HTTP2_RESETS_MAX * token);
    w->ends++;
}

void http2_watch_sent(struct http2_watch *w, uint32_t bytes, bool emptied)
{
    uint32_t unpaid = w->unpaid + bytes;
    uint64_t updates = unpaid / HTTP2_BYTES_PER_UPDATE + (emptied ? 2 : 0); /* of stream and connection */
    uint64_t room = (HTTP2_IDLE_FRAMES_MAX * token - w->idle) / token;
    w->unpaid = unpaid % HTTP2_BYTES_PER_UPDATE;
    w->idle = filled(w->idle, updates * token, HTTP2_IDLE_FRAMES_MAX * token);
    if (updates > room)
        w->saved += updates - room;
}

const char *http2_flood_text(enum http2_flood flood)
{
    ASSERT(flood < HTTP2_FLOOD_COUNT);
    return floods[flood].text;
}

const char *http2_flood_label(enum http2_flood flood)
{
    ASSERT(flood < HTTP2_FLOOD_COUNT);
    return floods[flood].label;
}
