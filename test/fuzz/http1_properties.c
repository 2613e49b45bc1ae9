/* test/fuzz/http1_properties.c — the properties of parsing, packing, writing.
 *
 * Every parse runs on a heap copy of exactly the bytes that have "arrived", so that AddressSanitizer sees a
 * read one byte too far, and so that no slice of an earlier call can be mistaken for one of the last. Small
 * inputs are cut everywhere and fed byte by byte; of long ones, a spread of cuts that depends on the length,
 * to keep the fuzzer fast.
 */
#include "test/fuzz/http1_properties.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/http/http1_chunk.h"
#include "broker/http/http1_write.h"

enum {
    EVERY_CUT_MAX = 400, /* inputs up to this size are cut everywhere */
    CUTS = 24,           /* longer ones so many times */
    GROWTH_FIELDS = 4,   /* fields that writing may add: Host, framing, Expect, Connection */
};

struct outcome {
    ssize_t result;
    struct http1_error error;
    struct head_view view;
    char *data; /* the heap copy that the view points into */
};

/* How to parse: one of the three kinds. */
struct way {
    enum head_kind kind;
    enum http_method of_request;
    struct http1_limits limits;
};

static char *copy_exactly(const char *data, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    ASSERT(copy != NULL);
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

static ssize_t parse(const struct way *way, struct slice data, struct http1_scan *scan, struct outcome *o)
{
    switch (way->kind) {
    case HEAD_REQUEST: return http1_parse_request(&way->limits, data, scan, &o->view, &o->error);
    case HEAD_RESPONSE:
        return http1_parse_response(&way->limits, way->of_request, data, scan, &o->view, &o->error);
    case HEAD_TRAILERS: return http1_parse_trailers(&way->limits, data, scan, &o->view, &o->error);
    }
    ASSERT(!"a head without a kind");
    return 0;
}

/* Feeds data in two pieces, or in one when cut == len. */
static void parse_cut(const struct way *way, const char *data, size_t len, size_t cut, struct outcome *o)
{
    struct http1_scan scan = {0};
    o->data = copy_exactly(data, cut);
    o->result = parse(way, slice_of(o->data, cut), &scan, o);
    if (o->result != 0 || cut == len)
        return;
    free(o->data);
    o->data = copy_exactly(data, len);
    o->result = parse(way, slice_of(o->data, len), &scan, o);
}

static void parse_bytewise(const struct way *way, const char *data, size_t len, struct outcome *o)
{
    struct http1_scan scan = {0};
    o->data = copy_exactly(data, len);
    o->result = 0;
    for (size_t n = 0; n <= len && o->result == 0; n++)
        o->result = parse(way, slice_of(o->data, n), &scan, o);
}

static void assert_same_slice(const struct outcome *a, struct slice in_a, const struct outcome *b,
                              struct slice in_b)
{
    ASSERT(slice_eq(in_a, in_b));
    ASSERT((in_a.data == NULL) == (in_b.data == NULL));
    if (in_a.data != NULL)
        ASSERT(in_a.data - a->data == in_b.data - b->data);
}

static void assert_same_outcome(const struct outcome *a, const struct outcome *b)
{
    const struct head_view *v = &a->view, *w = &b->view;
    ASSERT(a->result == b->result);
    if (a->result < 0) {
        ASSERT(a->error.refusal == b->error.refusal);
        ASSERT(a->error.at == b->error.at);
    }
    if (a->result <= 0)
        return;
    ASSERT(v->kind == w->kind && v->minor == w->minor && v->method == w->method && v->form == w->form);
    ASSERT(v->scheme == w->scheme && v->status == w->status && v->body == w->body);
    ASSERT(v->length == w->length && v->has_length == w->has_length && v->keep_alive == w->keep_alive);
    ASSERT(v->close == w->close && v->expect_continue == w->expect_continue && v->upgrade == w->upgrade);
    ASSERT(v->tunnel == w->tunnel && v->connection_named == w->connection_named);
    ASSERT(v->authority.port == w->authority.port && v->authority.kind == w->authority.kind);
    assert_same_slice(a, v->method_text, b, w->method_text);
    assert_same_slice(a, v->target, b, w->target);
    assert_same_slice(a, v->authority.host, b, w->authority.host);
    assert_same_slice(a, v->path, b, w->path);
    assert_same_slice(a, v->host, b, w->host);
    assert_same_slice(a, v->reason, b, w->reason);
    ASSERT(v->fields_n == w->fields_n);
    for (uint32_t i = 0; i < v->fields_n; i++) {
        ASSERT(v->fields[i].id == w->fields[i].id);
        assert_same_slice(a, v->fields[i].name, b, w->fields[i].name);
        assert_same_slice(a, v->fields[i].value, b, w->fields[i].value);
    }
}

static void check_cuts(const struct way *way, const char *data, size_t len, const struct outcome *whole)
{
    struct outcome cut_outcome;
    size_t step = len <= EVERY_CUT_MAX ? 1 : len / CUTS;
    for (size_t cut = 0; cut <= len; cut += step) {
        parse_cut(way, data, len, cut, &cut_outcome);
        assert_same_outcome(whole, &cut_outcome);
        free(cut_outcome.data);
    }
    if (len > EVERY_CUT_MAX)
        return;
    parse_bytewise(way, data, len, &cut_outcome);
    assert_same_outcome(whole, &cut_outcome);
    free(cut_outcome.data);
}

static struct head *pack(const struct head_view *view, const struct head_edit *edit)
{
    struct head *head = NULL, *again = NULL;
    size_t bound = head_pack_bound(view, edit);
    void *block = malloc(bound);
    ASSERT(block != NULL);
    int r = head_pack(view, edit, block, bound, &head);
    ASSERT(r == 0);
    ASSERT(head_check(head, bound));
    void *tight = malloc(head->size);
    ASSERT(tight != NULL);
    r = head_pack(view, edit, tight, head->size, &again);
    ASSERT(r == 0);
    ASSERT(head_pack(view, edit, block, head->size - 1, &head) == -ENOSPC);
    free(block);
    return again;
}

static char *write_head(const struct head *head, bool close, size_t *ret_len)
{
    struct http1_write_options options = {
        .form = head->form, .close = close, .expect_continue = head->expect_continue};
    size_t cap = http1_write_bound(head), len = 0;
    char *buf = malloc(cap);
    ASSERT(buf != NULL);
    int r = head->kind == HEAD_REQUEST    ? http1_write_request(head, &options, buf, cap, &len)
            : head->kind == HEAD_RESPONSE ? http1_write_response(head, &options, buf, cap, &len)
                                          : http1_write_trailers(head, buf, cap, &len);
    ASSERT(r == 0);
    char *tight = copy_exactly(buf, len);
    size_t unused;
    r = head->kind == HEAD_REQUEST    ? http1_write_request(head, &options, tight, len - 1, &unused)
        : head->kind == HEAD_RESPONSE ? http1_write_response(head, &options, tight, len - 1, &unused)
                                      : http1_write_trailers(head, tight, len - 1, &unused);
    ASSERT(r == -ENOSPC);
    free(tight);
    *ret_len = len;
    return buf;
}

static void assert_same_head(const struct head *a, const struct head *b)
{
    ASSERT(a->kind == b->kind && a->method == b->method && a->scheme == b->scheme && a->status == b->status);
    ASSERT(a->host_kind == b->host_kind && a->port == b->port && a->has_port == b->has_port);
    ASSERT(a->body == b->body && a->length == b->length && a->has_length == b->has_length);
    ASSERT(a->upgrade == b->upgrade && a->tunnel == b->tunnel && a->expect_continue == b->expect_continue);
    ASSERT(slice_eq(head_method_text(a), head_method_text(b)) && slice_eq(head_host(a), head_host(b)));
    ASSERT(slice_eq(head_path(a), head_path(b)) && slice_eq(head_reason(a), head_reason(b)));
    ASSERT(a->fields_n == b->fields_n);
    for (uint32_t i = 0; i < a->fields_n; i++) {
        ASSERT(a->fields[i].id == b->fields[i].id);
        ASSERT(slice_eq(head_field_name_at(a, i), head_field_name_at(b, i)));
        ASSERT(slice_eq(head_field_value_at(a, i), head_field_value_at(b, i)));
    }
}

/* Written and parsed again, a head is the same; written again, the bytes are the same. A request without any
 * host (HTTP/1.0) is left out: it would be written with an empty Host, as RFC 9112 section 3.2 asks, and our
 * own parser refuses that. */
static void check_fixed_point(const struct way *way, const struct head_view *view)
{
    const struct head_edit edit = {.keep_upgrade = true};
    const struct way back = {
        way->kind, way->of_request, {1u << 20, HEAD_FIELDS_MAX, 1u << 20}
    };
    static struct outcome again;
    if (view->fields_n > HEAD_FIELDS_MAX - GROWTH_FIELDS)
        return;
    if (view->kind == HEAD_REQUEST && view->authority.host.len == 0)
        return;
    struct head *head = pack(view, &edit);
    size_t len, len_again, skip = view->kind == HEAD_TRAILERS ? 3 : 0; /* the last chunk, "0" CR LF */
    char *bytes = write_head(head, view->close, &len);
    parse_cut(&back, bytes + skip, len - skip, len - skip, &again);
    ASSERT(again.result == (ssize_t)(len - skip));
    struct head *head_again = pack(&again.view, &edit);
    assert_same_head(head, head_again);
    char *bytes_again = write_head(head_again, view->close, &len_again);
    ASSERT(slice_eq(slice_of(bytes, len), slice_of(bytes_again, len_again)));
    free(again.data);
    free(bytes);
    free(bytes_again);
    free(head);
    free(head_again);
}

static bool check_way(const struct way *way, const char *data, size_t len)
{
    static struct outcome whole;
    parse_cut(way, data, len, len, &whole);
    ssize_t result = whole.result;
    ASSERT(result <= (ssize_t)len);
    check_cuts(way, data, len, &whole);
    if (result > 0) {
        for (uint32_t i = 0; i < whole.view.fields_n; i++) {
            struct slice value = whole.view.fields[i].value;
            ASSERT(head_name_is_valid(whole.view.fields[i].name));
            ASSERT(head_value_is_valid(value));
            ASSERT(value.data >= whole.data && value.data + value.len <= whole.data + result);
        }
        check_fixed_point(way, &whole.view);
    }
    free(whole.data);
    return result > 0;
}

bool http1_check_request(const char *data, size_t len)
{
    const struct way way = {HEAD_REQUEST, HTTP_METHOD_OTHER, HTTP1_REQUEST_LIMITS};
    const struct way tight = {
        HEAD_REQUEST, HTTP_METHOD_OTHER, {48, 3, 9}
    };
    bool accepted_tight = check_way(&tight, data, len);
    bool accepted = check_way(&way, data, len);
    ASSERT(accepted || !accepted_tight);
    return accepted;
}

bool http1_check_response(const char *data, size_t len, enum http_method of_request)
{
    const struct way way = {HEAD_RESPONSE, of_request, HTTP1_RESPONSE_LIMITS};
    return check_way(&way, data, len);
}

/* What a chunked body came to. */
struct body {
    enum http1_chunk_result result;
    enum http1_refusal refusal;
    size_t used;
    size_t payload_len;
    char *payload;
};

static void decode(const char *data, size_t len, size_t piece, struct body *body)
{
    struct http1_chunk chunk = {0};
    *body = (struct body){.result = HTTP1_CHUNK_MORE, .payload = malloc(len + 1)};
    ASSERT(body->payload != NULL);
    while (body->used < len && body->result != HTTP1_CHUNK_ENDED && body->result != HTTP1_CHUNK_REFUSED) {
        size_t n = len - body->used < piece ? len - body->used : piece, used;
        struct slice payload = {NULL, 0};
        char *copy = copy_exactly(data + body->used, n);
        body->result = http1_chunk_feed(&chunk, copy, n, &used, &payload);
        ASSERT(used > 0 && used <= n);
        ASSERT(body->result != HTTP1_CHUNK_MORE || used == n);
        ASSERT((body->result == HTTP1_CHUNK_PAYLOAD) == (payload.len > 0));
        if (payload.len > 0) {
            ASSERT(payload.data >= copy && payload.data + payload.len == copy + used);
            memcpy(body->payload + body->payload_len, payload.data, payload.len);
        }
        body->payload_len += payload.len;
        body->used += used;
        free(copy);
    }
    body->refusal = chunk.refusal;
}

/* PAYLOAD and MORE both mean that the input ran out in mid-body. */
static bool is_final(enum http1_chunk_result result)
{
    return result == HTTP1_CHUNK_ENDED || result == HTTP1_CHUNK_REFUSED;
}

bool http1_check_chunks(const char *data, size_t len)
{
    const struct way trailers = {HEAD_TRAILERS, HTTP_METHOD_OTHER, HTTP1_TRAILER_LIMITS};
    struct body whole, pieces;
    decode(data, len, len, &whole);
    for (size_t piece = 1; piece <= len && piece <= 40; piece += piece < 4 ? 1 : 7) {
        decode(data, len, piece, &pieces);
        ASSERT(is_final(pieces.result) == is_final(whole.result));
        ASSERT(!is_final(whole.result) || pieces.result == whole.result);
        ASSERT(pieces.refusal == whole.refusal);
        ASSERT(pieces.used == whole.used);
        ASSERT(slice_eq(slice_of(pieces.payload, pieces.payload_len),
                        slice_of(whole.payload, whole.payload_len)));
        free(pieces.payload);
    }
    free(whole.payload);
    bool ended = whole.result == HTTP1_CHUNK_ENDED;
    return ended && check_way(&trailers, data + whole.used, len - whole.used);
}
