/* tools/kubelet-sim/http.h — HTTP/1.1 as bytes: a request head, the framing of a request body. Pure
 * functions. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *at;
    size_t n;
};

enum http_framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED };

struct http_request {
    struct slice method, target, path, query; /* slices point into the head */
    struct slice authorization, request_id, upgrade, websocket_key;
    enum http_framing framing;
    uint64_t content_length;
    bool keep_alive, http10, expects_continue, wants_upgrade;
};

long http_parse_head(const char *bytes, size_t n, struct http_request *ret_request);
/* > 0: that many bytes were the head. 0: it is not all there. -1: not a request we accept. */

struct http_body {
    enum http_framing framing;
    uint64_t left; /* of the length, or of the current chunk */
    int at;        /* where in the chunk syntax */
    bool ended;
};

void http_body_start(struct http_body *, const struct http_request *);
long http_body_next(struct http_body *, const char *bytes, size_t n, struct slice *ret_payload);
/* Consumes at most n bytes and says how many; the payload among them, possibly empty, is ret_payload. -1: bad
 * framing. */

bool slice_is(struct slice, const char *);
bool http_query(struct slice query, const char *key, struct slice *ret_value);
uint64_t http_query_number(struct slice query, const char *key, uint64_t otherwise);
bool http_query_flag(struct slice query, const char *key);
