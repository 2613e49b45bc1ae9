/* test/unit/http1_heads.h — what the unit tests of whole HTTP/1 heads share beside http1_feed.h: the limits
 * they feed with, the last answer, and texts that heads are made of. Header-only as that one is. */
#pragma once

#include "test/unit/http1_feed.h"

static const struct feed requests = {
    HEAD_REQUEST, HTTP_METHOD_OTHER, {4096, 32, 200}
};
static const struct feed responses = {
    HEAD_RESPONSE, HTTP_METHOD_GET, {4096, 32, 0}
};
static const struct feed trailers = {
    HEAD_TRAILERS, HTTP_METHOD_OTHER, {256, 8, 0}
};

static struct fed fed;

/* Parses a text that must be accepted whole; the caller looks at fed.view and frees. */
static inline const struct head_view *accept(const struct feed *how, struct slice text)
{
    feed_all_ways(how, text, &fed);
    if (fed.result <= 0)
        print_error("%.*s\n  refused: %s\n", (int)text.len, text.data,
                    fed.result < 0 ? http1_refusal_name(fed.error.refusal) : "incomplete");
    assert_int_equal(fed.result, text.len);
    return &fed.view;
}

#define ACCEPT_REQUEST(text)  accept(&requests, SLICE(text))
#define ACCEPT_RESPONSE(text) accept(&responses, SLICE(text))
#define GET                   "GET / HTTP/1.1\r\n"
#define POST                  "POST / HTTP/1.1\r\nHost: a\r\n"
#define OK                    "HTTP/1.1 200 OK\r\n"
#define END                   "\r\n\r\n"
