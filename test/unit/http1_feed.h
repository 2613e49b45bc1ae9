/* test/unit/http1_feed.h — one way for the HTTP/1 unit tests to feed a text to a parser: whole, at every cut,
 * and byte by byte, each time on a heap copy of exact size; all answers must agree. Header-only because each
 * unit test is one file.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/http/http1_parse.h"

struct feed {
    enum head_kind kind;
    enum http_method of_request;
    struct http1_limits limits;
};

/* The last answer. `copy` is what view points into; feed_free() frees it. */
struct fed {
    struct head_view view;
    struct http1_error error;
    ssize_t result;
    char *copy;
};

static inline ssize_t feed_once(const struct feed *how, struct slice data, struct http1_scan *scan,
                                struct fed *fed)
{
    if (how->kind == HEAD_REQUEST)
        return http1_parse_request(&how->limits, data, scan, &fed->view, &fed->error);
    if (how->kind == HEAD_RESPONSE)
        return http1_parse_response(&how->limits, how->of_request, data, scan, &fed->view, &fed->error);
    return http1_parse_trailers(&how->limits, data, scan, &fed->view, &fed->error);
}

static inline char *feed_copy(struct slice data)
{
    char *copy = malloc(data.len > 0 ? data.len : 1);
    assert_non_null(copy);
    memcpy(copy, data.data, data.len);
    return copy;
}

static inline void feed_free(struct fed *fed)
{
    free(fed->copy);
    fed->copy = NULL;
}

static inline void feed_at_cut(const struct feed *how, struct slice data, uint32_t cut,
                               const struct fed *whole)
{
    static struct fed piece;
    struct http1_scan scan = {0};
    char *first = feed_copy(slice_first(data, cut));
    ssize_t result = feed_once(how, slice_of(first, cut), &scan, &piece);
    if (whole->result > 0)
        assert_int_equal(result, cut < whole->result ? 0 : whole->result);
    free(first);
    if (result == 0) {
        char *all = feed_copy(data);
        result = feed_once(how, slice_of(all, data.len), &scan, &piece);
        free(all);
    }
    assert_int_equal(result, whole->result);
    if (result < 0)
        assert_int_equal(piece.error.at, whole->error.at);
    if (result > 0)
        assert_int_equal(piece.view.fields_n, whole->view.fields_n);
}

/* Feeds data in all ways; the answer is in *fed, its slices good until feed_free(). */
static inline void feed_all_ways(const struct feed *how, struct slice data, struct fed *fed)
{
    static struct fed bytewise;
    struct http1_scan scan = {0};
    fed->copy = feed_copy(data);
    fed->result = feed_once(how, slice_of(fed->copy, data.len), &scan, fed);
    for (uint32_t cut = 0; cut <= data.len; cut++)
        feed_at_cut(how, data, cut, fed);
    scan = (struct http1_scan){0};
    bytewise.result = 0;
    for (uint32_t n = 0; n <= data.len && bytewise.result == 0; n++)
        bytewise.result = feed_once(how, slice_of(fed->copy, n), &scan, &bytewise);
    assert_int_equal(bytewise.result, fed->result);
}

#define assert_slice(found, text)                                                                            \
    do {                                                                                                     \
        struct slice found_ = (found);                                                                       \
        assert_int_equal(found_.len, strlen(text));                                                          \
        assert_memory_equal(found_.data, text, found_.len);                                                  \
    } while (0)
