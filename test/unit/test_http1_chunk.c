/* test/unit/test_http1_chunk.c — the chunked coding: what decodes to what, what is refused and at which byte,
 * what is written.
 *
 * Every input is decoded in pieces of every size from one byte to the whole; payload, bytes used and verdict
 * must be the same each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/http/http1_chunk.h"

struct decoded {
    enum http1_chunk_result result; /* of the last feed */
    enum http1_refusal refusal;
    size_t used, payload_len;
    char payload[4096];
};

static void decode(struct slice input, size_t piece, struct decoded *ret)
{
    struct http1_chunk chunk = {0};
    *ret = (struct decoded){.result = HTTP1_CHUNK_MORE};
    while (ret->used < input.len && ret->result != HTTP1_CHUNK_ENDED && ret->result != HTTP1_CHUNK_REFUSED) {
        size_t n = input.len - ret->used < piece ? input.len - ret->used : piece, used;
        char *copy = malloc(n);
        struct slice payload = {NULL, 0};
        assert_non_null(copy);
        memcpy(copy, input.data + ret->used, n);
        ret->result = http1_chunk_feed(&chunk, copy, n, &used, &payload);
        assert_in_range(used, 1, n);
        assert_int_equal(ret->result == HTTP1_CHUNK_PAYLOAD, payload.len > 0);
        if (payload.len > 0)
            memcpy(ret->payload + ret->payload_len, payload.data, payload.len);
        ret->payload_len += payload.len;
        ret->used += used;
        free(copy);
    }
    ret->refusal = chunk.refusal;
}

/* In pieces of every size. after: bytes of the input that must be left over. */
static void assert_decodes(struct slice input, struct slice payload, uint32_t after)
{
    static struct decoded d;
    for (size_t piece = 1; piece <= input.len; piece++) {
        decode(input, piece, &d);
        assert_int_equal(d.result, HTTP1_CHUNK_ENDED);
        assert_int_equal(d.used, input.len - after);
        assert_int_equal(d.payload_len, payload.len);
        assert_memory_equal(d.payload, payload.data, payload.len);
    }
}

/* at: offset after the offending byte. */
static void assert_refused(struct slice input, enum http1_refusal refusal, size_t at)
{
    static struct decoded d;
    for (size_t piece = 1; piece <= input.len; piece++) {
        decode(input, piece, &d);
        assert_int_equal(d.result, HTTP1_CHUNK_REFUSED);
        if (d.refusal != refusal)
            print_error("expected %s, got %s\n", http1_refusal_name(refusal), http1_refusal_name(d.refusal));
        assert_int_equal(d.refusal, refusal);
        assert_int_equal(d.used, at);
    }
}

static void bodies_decode_to_their_payload(void **state)
{
    (void)state;
    assert_decodes(SLICE("0\r\n"), SLICE(""), 0);
    assert_decodes(SLICE("0\r\n\r\nGET /"), SLICE(""), 7);
    assert_decodes(SLICE("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), SLICE("hello world"), 2);
    assert_decodes(SLICE("A\r\n0123456789\r\na\r\nABCDEFGHIJ\r\n00\r\n"), SLICE("0123456789ABCDEFGHIJ"), 0);
    assert_decodes(SLICE("0000000000000002\r\n\r\n\r\n0000000000000000\r\n"), SLICE("\r\n"), 0);
    assert_decodes(SLICE("1\r\n\0\r\n0\r\n"), SLICE("\0"), 0);
}

static void extensions_are_skipped(void **state)
{
    (void)state;
    assert_decodes(SLICE("3;a=b\r\nabc\r\n0;last\r\n\r\n"), SLICE("abc"), 2);
    assert_decodes(SLICE("3;\r\nabc\r\n0; q=\"x;\ty\xe9\"\r\n"), SLICE("abc"), 0);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    assert_refused(SLICE("\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE(";x\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE("-1\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE("+1\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE(" 1\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE("\t1\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE("x\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE("\0\r\n"), HTTP1_CHUNK_SIZE_EMPTY, 1);
    assert_refused(SLICE("0x5\r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("5 \r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("5 ;x\r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("5\t\r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("5h\r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("5,5\r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("5\0\r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("5_0\r\nhello\r\n"), HTTP1_CHUNK_SIZE_CHAR, 2);
    assert_refused(SLICE("8000000000000000\r\n"), HTTP1_CHUNK_SIZE_OVERFLOW, 16);
    assert_refused(SLICE("ffffffffffffffff\r\n"), HTTP1_CHUNK_SIZE_OVERFLOW, 16);
    assert_refused(SLICE("10000000000000005\r\n"), HTTP1_CHUNK_SIZE_OVERFLOW, 17);
    assert_refused(SLICE("00000000000000005\r\n"), HTTP1_CHUNK_SIZE_OVERFLOW, 17);
}

static void bad_line_ends_are_refused(void **state)
{
    (void)state;
    assert_refused(SLICE("5\nhello\n0\n"), HTTP1_BARE_LF, 2);
    assert_refused(SLICE("5;x\nhello\r\n"), HTTP1_BARE_LF, 4);
    assert_refused(SLICE("5\rhello"), HTTP1_BARE_CR, 3);
    assert_refused(SLICE("5;a\rb\r\nhello"), HTTP1_BARE_CR, 5);
    assert_refused(SLICE("5;\0\r\nhello"), HTTP1_CONTROL, 3);
    assert_refused(SLICE("5;\x7f\r\nhello"), HTTP1_CONTROL, 3);
    assert_refused(SLICE("5\r\nhello0\r\n"), HTTP1_CHUNK_NO_CRLF, 9);
    assert_refused(SLICE("5\r\nhelloXX0\r\n"), HTTP1_CHUNK_NO_CRLF, 9);
    assert_refused(SLICE("5\r\nhello\n0\r\n"), HTTP1_CHUNK_NO_CRLF, 9);
    assert_refused(SLICE("5\r\nhello\r0\r\n"), HTTP1_CHUNK_NO_CRLF, 10);
    assert_refused(SLICE("5\r\nhello \r\n0\r\n"), HTTP1_CHUNK_NO_CRLF, 9);
    assert_refused(SLICE("0\r\r\n"), HTTP1_BARE_CR, 3);
}

static void a_chunk_line_is_bounded(void **state)
{
    (void)state;
    char text[HTTP1_CHUNK_LINE_MAX + 8];
    memset(text, 'x', sizeof text);
    memcpy(text, "0;", 2);
    memcpy(text + HTTP1_CHUNK_LINE_MAX, "\r\n", 2);
    assert_decodes(slice_of(text, HTTP1_CHUNK_LINE_MAX + 2), SLICE(""), 0);
    text[HTTP1_CHUNK_LINE_MAX] = 'x';
    assert_refused(slice_of(text, sizeof text), HTTP1_CHUNK_LINE_TOO_LONG, HTTP1_CHUNK_LINE_MAX + 1);
}

/* Many chunks of one byte, each with a long extension: every line is legal, the body is not. */
static void extensions_of_a_body_are_bounded(void **state)
{
    (void)state;
    char text[206];
    memset(text, 'x', sizeof text);
    memcpy(text, "1;", 2);
    memcpy(text + 201, "\r\ny\r\n", 5);
    struct http1_chunk chunk = {0};
    enum http1_chunk_result result = HTTP1_CHUNK_MORE;
    size_t lines = 0;
    while (result != HTTP1_CHUNK_REFUSED && lines < 1000) {
        size_t used, at = 0;
        struct slice payload;
        while (at < sizeof text && result != HTTP1_CHUNK_REFUSED) {
            result = http1_chunk_feed(&chunk, text + at, sizeof text - at, &used, &payload);
            at += used;
        }
        lines++;
    }
    assert_int_equal(chunk.refusal, HTTP1_CHUNK_EXTENSIONS);
    assert_int_equal(lines, HTTP1_CHUNK_EXTENSIONS_MAX / 200 + 1);
}

static void the_largest_chunk_is_2_to_the_63_less_1(void **state)
{
    (void)state;
    struct http1_chunk chunk = {0};
    size_t used;
    struct slice payload;
    assert_int_equal(http1_chunk_feed(&chunk, "7fffffffffffffff\r\nx", 19, &used, &payload),
                     HTTP1_CHUNK_PAYLOAD);
    assert_true(chunk.left == (uint64_t)INT64_MAX - 1);
    assert_int_equal(payload.len, 1);
}

static void every_length_reads_back_as_written(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 63; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t len = (1ull << bit) + (uint64_t)(int64_t)delta;
            char line[HTTP1_CHUNK_HEAD_MAX], expected[HTTP1_CHUNK_HEAD_MAX + 1];
            struct http1_chunk chunk = {0};
            struct slice payload;
            size_t used;
            if (len == 0)
                continue;
            uint32_t n = http1_chunk_head(len, line);
            assert_int_equal(n, snprintf(expected, sizeof expected, "%llx\r\n", (unsigned long long)len));
            assert_memory_equal(line, expected, n);
            assert_int_equal(http1_chunk_feed(&chunk, line, n, &used, &payload), HTTP1_CHUNK_MORE);
            assert_true(chunk.left == len);
        }
    }
}

static void the_end_reads_back_as_the_end(void **state)
{
    (void)state;
    assert_decodes(HTTP1_CHUNK_END, SLICE(""), HTTP1_CHUNK_TAIL.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_decode_to_their_payload),
        cmocka_unit_test(extensions_are_skipped),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(bad_line_ends_are_refused),
        cmocka_unit_test(a_chunk_line_is_bounded),
        cmocka_unit_test(extensions_of_a_body_are_bounded),
        cmocka_unit_test(the_largest_chunk_is_2_to_the_63_less_1),
        cmocka_unit_test(every_length_reads_back_as_written),
        cmocka_unit_test(the_end_reads_back_as_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
