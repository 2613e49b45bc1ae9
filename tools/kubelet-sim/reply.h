/* tools/kubelet-sim/reply.h — where the bytes of a response body come from. Owner worker only. */
#pragma once
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

struct conn;
struct http_request;

enum reply_kind {
    REPLY_NONE,    /* no more body */
    REPLY_TEXT,    /* text of our own */
    REPLY_PATTERN, /* /bytes/N */
    REPLY_LOG,     /* a chunk and a record per line */
    REPLY_ECHO,    /* what comes in */
    REPLY_SINK,    /* after what came in */
    REPLY_TUNNEL,  /* after a 101: raw bytes back */
};

struct reply {
    enum reply_kind kind;
    bool chunked, follow;
    char *text;          /* REPLY_TEXT: owned */
    uint64_t at, left;   /* bytes of text and pattern; number and count of lines of a log */
    uint64_t limit_left; /* REPLY_LOG: bytes */
    EVP_MD_CTX *sha256;  /* REPLY_SINK */
};

enum pump {
    PUMP_MORE,  /* conn->out has bytes */
    PUMP_INPUT, /* waits for the request's body */
    PUMP_LATER, /* a timer is armed */
    PUMP_END,   /* the response is complete, in conn->out or beyond */
    PUMP_GONE,  /* the connection has ended */
};

enum pump reply_pump(struct conn *);
/* Puts the next piece into conn->out, which is there; text and pattern may be asked while it holds bytes. */
void reply_fini(struct reply *);
void reply_tables_init(void);
/* Before any worker runs. */
