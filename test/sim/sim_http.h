/* test/sim/sim_http.h — the little HTTP/1.1 that scripted peers need, and growing byte queues. Written apart
 * from the broker's own parser on purpose: a mistake in one shall not be confirmed by the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

/* A queue of bytes: appended at the end, consumed at `at`. */
struct sim_bytes {
    uint8_t *mem;
    size_t at, len, cap;
};

void sim_bytes_put(struct sim_bytes *, const void *bytes, size_t len);
void sim_bytes_print(struct sim_bytes *, const char *fmt, ...) PRINTF(2, 3);
void sim_bytes_take(struct sim_bytes *, size_t len);
void sim_bytes_fini(struct sim_bytes *);

enum http_part {
    PART_HEAD,
    PART_LENGTH,
    PART_CHUNK_SIZE,
    PART_CHUNK,
    PART_CHUNK_END,
    PART_TRAILER,
    PART_UNTIL_CLOSE,
    PART_DONE,
    PART_BAD,
};

enum { HTTP_LINE_MAX = 1024, HTTP_TEXT_MAX = 128 };

/* Reads one message, byte by byte, strictly. */
struct http_reader {
    enum http_part part;
    bool response, no_body; /* no_body: answers a HEAD */
    bool connect;           /* answers a CONNECT */
    bool first_line, chunked, has_length, close, has_id;
    char line[HTTP_LINE_MAX];
    size_t line_len;
    uint64_t left, body; /* of the chunk or body; body bytes so far */
    char method[16], target[HTTP_TEXT_MAX], host[HTTP_TEXT_MAX], complaint[HTTP_TEXT_MAX];
    char reason[HTTP_TEXT_MAX], upgrade[HTTP_TEXT_MAX]; /* cut when longer */
    bool option_upgrade;                                /* in Connection */
    unsigned status;
    uint32_t id; /* of X-Id */
    void *owner;
    void (*on_head)(struct http_reader *);
    void (*on_body)(struct http_reader *, const uint8_t *, size_t);
};

void http_reader_begin(struct http_reader *, bool response, bool no_body);
/* Keeps owner and callbacks. */
size_t http_read(struct http_reader *, const uint8_t *, size_t);
/* How many bytes were of this message; stops at DONE and BAD. */
void http_read_eof(struct http_reader *);
/* DONE where the message ends with its connection, BAD where it was cut; HEAD with nothing read stays. */
bool http_reader_is_fresh(const struct http_reader *);
/* Nothing of the message was read. */
