/* bench/load/answer.h — reads one HTTP/1.1 answer and counts its body; bodies are counted, never kept.
 * One thread; storage is the caller's, zeroed for each answer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_HEAD_MAX                                                                                      \
    8192 /* the usual header limit of servers; the simulator's heads are under 300 bytes */

#define ANSWER_RESULTS(X)                                                                                    \
    X(ANSWER_MORE, "more bytes needed")                                                                      \
    X(ANSWER_DONE, "complete")                                                                               \
    X(ANSWER_BAD_HEAD, "not an HTTP/1.1 head, or too long")                                                  \
    X(ANSWER_BAD_FRAMING, "no single Content-Length")                                                        \
    X(ANSWER_SURPLUS, "bytes after the body")

enum answer_result {
#define ANSWER_ENUM(symbol, text) symbol,
    ANSWER_RESULTS(ANSWER_ENUM)
#undef ANSWER_ENUM
};

struct answer {
    char head[ANSWER_HEAD_MAX];
    size_t head_bytes;
    bool to_connect; /* the caller's, kept: the answer to CONNECT has neither framing nor body */
    bool in_body;
    bool close_after;
    int status;
    uint64_t length; /* as promised by Content-Length */
    uint64_t body_bytes;
    char body_start[24]; /* the first bytes of the body, NUL-terminated: a count, where one is expected */
};

void answer_reset(struct answer *);
void answer_expect_bytes(struct answer *, uint64_t count);
/* Of a tunnel: no head, `count` bytes. */
enum answer_result answer_feed(struct answer *, const char *bytes, size_t count);
/* Chunked answers are BAD_FRAMING on purpose: all peers pass Content-Length on, so chunks mean a rewriting
 * proxy. */
const char *answer_result_text(enum answer_result);
