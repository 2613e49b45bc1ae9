/* broker/field_block.c — see field_block.h. */
#include "broker/field_block.h"

static void refuse(struct field_block *b, enum http2_refusal refusal)
{
    uint64_t list_bytes = b->list_bytes;
    field_block_reset(b);
    b->refusal = refusal;
    b->list_bytes = list_bytes;
}

static bool reserve(struct field_block *b, struct buf_pool *pool, uint32_t more)
{
    if (b->buf && b->buf->cap - b->used >= more)
        return true;
    struct buf *larger = buf_get_bytes(pool, b->used + more);
    if (!larger)
        return false;
    if (b->buf) {
        memcpy(larger->mem, b->buf->mem, b->used);
        buf_unref(b->buf);
    }
    b->buf = larger;
    return true;
}

/* Moves the Cookie record to the end, where it can grow. */
static void move_cookie_last(struct field_block *b)
{
    uint8_t *mem = b->buf->mem, *at = mem + b->cookie - 1;
    struct slice name, value, rest = slice_of((char *)at, (size_t)(mem + b->used - at));
    bool found = http2_next_record(&rest, &name, &value);
    ASSERT(found);
    uint32_t len = http2_record_bytes(name, value);
    if (rest.len == 0)
        return;
    memcpy(mem + b->used, at, len); /* room for it was reserved */
    memmove(at, at + len, rest.len + len);
    b->cookie = b->used - len + 1;
}

static void add_crumb(struct field_block *b, struct buf_pool *pool, struct slice crumb)
{
    static const struct slice separator = SLICE_INIT("; ");
    struct slice name, value, rest = slice_from(field_block_records(b), b->cookie - 1);
    bool found = http2_next_record(&rest, &name, &value);
    ASSERT(found);
    if (slice_trim(crumb).len != crumb.len) { /* put together, it would not be seen */
        refuse(b, HTTP2_VALUE_SPACE);
        return;
    }
    if (!reserve(b, pool, http2_record_bytes(name, value) + separator.len + crumb.len)) {
        refuse(b, HTTP2_NO_BUFFERS);
        return;
    }
    move_cookie_last(b);
    char *at = (char *)b->buf->mem + b->cookie - 1;
    uint32_t value_len = b->used - (b->cookie - 1) - HTTP2_RECORD_HEAD - name.len + separator.len + crumb.len;
    memcpy(b->buf->mem + b->used, separator.data, separator.len);
    memcpy(b->buf->mem + b->used + separator.len, crumb.data, crumb.len);
    memcpy(at + sizeof name.len, &value_len, sizeof value_len);
    b->used += separator.len + crumb.len;
}

void field_block_add(struct field_block *b, struct buf_pool *pool, const struct http1_limits *limits,
                     struct slice name, struct slice value)
{
    bool is_cookie = slice_eq(name, SLICE("cookie"));
    b->list_bytes += (uint64_t)name.len + value.len + HTTP2_FIELD_OVERHEAD;
    if (b->refusal != HTTP2_NONE)
        return;
    if (b->list_bytes > limits->head_bytes_max) {
        refuse(b, HTTP2_HEAD_TOO_LARGE);
        return;
    }
    if (is_cookie && b->cookie > 0) {
        add_crumb(b, pool, value);
        return;
    }
    if (name.len == 0 || name.data[0] != ':')
        b->fields_n++;
    if (b->fields_n > limits->fields_max) {
        refuse(b, HTTP2_TOO_MANY_FIELDS);
        return;
    }
    if (!reserve(b, pool, http2_record_bytes(name, value))) {
        refuse(b, HTTP2_NO_BUFFERS);
        return;
    }
    if (is_cookie)
        b->cookie = b->used + 1;
    http2_put_record((char *)b->buf->mem + b->used, name, value);
    b->used += http2_record_bytes(name, value);
}

void field_block_reset(struct field_block *b)
{
    if (b->buf)
        buf_unref(b->buf);
    *b = (struct field_block){.refusal = HTTP2_NONE};
}
