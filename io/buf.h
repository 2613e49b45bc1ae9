/* io/buf.h — a worker's buffers, and segments: the currency in which bytes move.
 *
 * A buffer belongs to the worker that filled it (its home) and is counted there without atomics. A segment is
 * a window into a buffer and holds one count. It may be lent to another worker inside a message; that worker
 * never touches the count and sends the segment home with worker_release_seg() or a CREDIT message.
 *
 * The pool is bounded per class; when it is empty, buf_get() says so and the caller stops reading. What was
 * not needed for a while gives its memory back to the system (buf_pool_trim()). Owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"

enum buf_class {
    BUF_SMALL, /*   4 KiB: heads, control, first reads of a connection */
    BUF_BIG,   /*  64 KiB: bulk; four TLS records */
    BUF_HUGE,  /* 512 KiB: rare large heads */
    BUF_CLASSES,
};
enum { BUF_SMALL_BYTES = 4096, BUF_BIG_BYTES = 65536, BUF_HUGE_BYTES = 524288 };
enum {
    BUF_REST_MS = 5000, /* that a free buffer keeps its memory at least, twice as long at most: a guess, long
                           against pauses of who transfers much, short against who looks at memory */
    BUF_TRIM_STEP_MS = 10,
    BUF_TRIM_BYTES = 4 * 1024 * 1024, /* given back in one step: a fraction of a millisecond */
};

struct buf_pool;

struct buf {
    struct buf_pool *home;
    struct buf *next_free;
    uint8_t *mem;
    uint32_t cap;
    uint16_t refs;
    uint8_t class;
};

struct seg {
    struct buf *buf;
    uint8_t *data;
    uint32_t len;
    uint32_t tag; /* the sender's own mark: comes back unchanged with `sent` */
};

struct buf_pool {
    unsigned worker; /* home worker's number */
    void (*on_refill)(struct buf_pool *);
    /* set by the engine: called when a buffer comes home while `starving` */
    bool starving;
    struct {
        struct buf *fresh;  /* free, newest first: came home since the others rest */
        struct buf *rested; /* free, and not needed since then */
        struct buf *bare;   /* free, and without memory of the system's */
        uint32_t made, used, max, peak;
    } classes[BUF_CLASSES];
    void *chunks;
    size_t page_bytes;
    uint64_t trim_ns; /* when buf_pool_trim() has something to look at */
};

struct buf_limits {
    uint32_t max[BUF_CLASSES]; /* buffers of each class */
};

void buf_pool_init(struct buf_pool *, unsigned worker, const struct buf_limits *);
void buf_pool_fini(struct buf_pool *);
/* Asserts that every buffer came home. */
MUST_USE struct buf *buf_get(struct buf_pool *, enum buf_class);
/* A buffer with one count, contents undefined; NULL when the class is exhausted. */
MUST_USE struct buf *buf_get_bytes(struct buf_pool *, uint32_t bytes);
/* Smallest class that holds `bytes`; NULL when exhausted or larger than BUF_HUGE. */
void buf_unref(struct buf *);
/* Home worker only. */
void buf_pool_trim(struct buf_pool *, uint64_t now_ns);
/* To be called now and then, as each turn: gives back the memory of buffers that nobody needed for
 * BUF_REST_MS, a bounded part of it at a time. */

static inline void buf_ref(struct buf *b)
{
    ASSERT(b->refs > 0 && b->refs < UINT16_MAX);
    b->refs++;
}

/* A segment of [data, data+len) with a count of its own. Home worker only. */
static inline struct seg seg_of(struct buf *b, uint8_t *data, uint32_t len)
{
    buf_ref(b);
    return (struct seg){b, data, len, 0};
}
