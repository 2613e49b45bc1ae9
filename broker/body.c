/* broker/body.c — see body.h. */
#include "broker/body.h"

#include <string.h>

void body_begin(struct body *b, const struct head_view *view)
{
    body_reset(b);
    b->kind = view->body == BODY_LENGTH && view->length == 0 ? BODY_NONE : view->body;
    b->left = view->length;
}

void body_reset(struct body *b)
{
    if (b->trailers)
        buf_unref(b->trailers);
    *b = (struct body){.kind = BODY_NONE};
}

static bool gather(struct body *b, struct buf_pool *pool, const char *data, uint32_t len)
{
    if (!b->trailers)
        b->trailers = buf_get_bytes(pool, HTTP1_TRAILER_LIMITS.head_bytes_max + BUF_SMALL_BYTES);
    if (!b->trailers)
        return false;
    if (len > b->trailers->cap - b->trailers_len)
        len = b->trailers->cap - b->trailers_len; /* over the limit anyway: enough for the parser to say so */
    memcpy(b->trailers->mem + b->trailers_len, data, len);
    b->trailers_len += len;
    return true;
}

static enum body_result read_trailers(struct body *b, struct buf_pool *pool, const char *data, uint32_t len,
                                      uint32_t *ret_used, struct head_view *ret_trailers,
                                      struct http1_error *ret_error)
{
    uint32_t before = b->trailers_len;
    struct slice all = {data, len};
    if (before > 0) {
        if (!gather(b, pool, data, len))
            return BODY_NO_BUFFERS;
        all = (struct slice){(const char *)b->trailers->mem, b->trailers_len};
    }
    struct http1_limits limits = HTTP1_TRAILER_LIMITS;
    ssize_t n = http1_parse_trailers(&limits, all, &b->scan, ret_trailers, ret_error);
    if (n < 0)
        return BODY_REFUSED;
    if (n == 0) {
        *ret_used = len;
        return before > 0 || len == 0 || gather(b, pool, data, len) ? BODY_MORE : BODY_NO_BUFFERS;
    }
    *ret_used = (uint32_t)n - before;
    b->kind = BODY_NONE;
    return BODY_ENDED;
}

static enum body_result read_chunks(struct body *b, struct buf_pool *pool, const struct seg *seg,
                                    uint32_t *ret_used, uint32_t *ret_payload, struct head_view *ret_trailers,
                                    struct http1_error *ret_error)
{
    uint8_t *out = seg->data;
    const char *in = (const char *)seg->data;
    uint32_t left = seg->len;
    while (left > 0 && !b->in_trailers) {
        size_t used = 0;
        struct slice payload = {NULL, 0};
        enum http1_chunk_result r = http1_chunk_feed(&b->chunk, in, left, &used, &payload);
        if (r == HTTP1_CHUNK_REFUSED) {
            *ret_error = (struct http1_error){.refusal = b->chunk.refusal,
                                              .status = http1_refusal_status(b->chunk.refusal),
                                              .text = http1_refusal_text(b->chunk.refusal)};
            return BODY_REFUSED;
        }
        if (payload.len > 0) {
            memmove(out, payload.data, payload.len);
            out += payload.len;
        }
        in += used;
        left -= (uint32_t)used;
        b->in_trailers = r == HTTP1_CHUNK_ENDED;
    }
    *ret_payload = (uint32_t)(out - seg->data);
    *ret_used = seg->len - left;
    if (!b->in_trailers || left == 0)
        return BODY_MORE;
    uint32_t used = 0;
    enum body_result result = read_trailers(b, pool, in, left, &used, ret_trailers, ret_error);
    *ret_used += used;
    return result;
}

enum body_result body_read(struct body *b, struct buf_pool *pool, const struct seg *seg, uint32_t *ret_used,
                           uint32_t *ret_payload, struct head_view *ret_trailers,
                           struct http1_error *ret_error)
{
    *ret_used = *ret_payload = 0;
    switch (b->kind) {
    case BODY_NONE: ASSERT(!"no body is expected"); break;
    case BODY_CHUNKED: return read_chunks(b, pool, seg, ret_used, ret_payload, ret_trailers, ret_error);
    case BODY_UNTIL_CLOSE: *ret_used = *ret_payload = seg->len; return BODY_MORE;
    case BODY_LENGTH: break;
    }
    uint32_t n = seg->len < b->left ? seg->len : (uint32_t)b->left;
    *ret_used = *ret_payload = n;
    b->left -= n;
    if (b->left > 0)
        return BODY_MORE;
    b->kind = BODY_NONE;
    ret_trailers->fields_n = 0;
    return BODY_ENDED;
}
