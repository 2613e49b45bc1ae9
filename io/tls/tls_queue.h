/* io/tls/tls_queue.h — segments in order, read as one run of bytes: ciphertext that came, plaintext to be
 * sent.
 *
 * Bounded in bytes by the credit that was granted or by the sender's budget, not here. Owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/buf.h"
#include "io/tls/tls_hash.h"

struct worker;

enum { TLS_QUEUE_INLINE = 4 };

struct tls_queue {
    struct seg *ring;
    uint32_t head, count, cap; /* cap: power of two */
    uint32_t offset;           /* bytes of the first segment that were read */
    uint64_t bytes;            /* unread */
    struct seg inline_ring[TLS_QUEUE_INLINE];
};

void tls_queue_init(struct tls_queue *);
void tls_queue_fini(struct tls_queue *, struct worker *);
/* Releases what is left. */
MUST_USE bool tls_queue_push(struct tls_queue *, struct seg);
/* False when out of memory: the segment stays the caller's. */
MUST_USE bool tls_queue_push_packed(struct tls_queue *, struct worker *, struct seg);
/* As push, but a small segment is copied behind the last one where that is possible, so that a peer that
 * sends single bytes cannot hold a buffer for each. */
const uint8_t *tls_queue_peek(const struct tls_queue *, uint32_t *ret_len);
/* The unread bytes of the first segment; there must be a segment. */
uint32_t tls_queue_copy(const struct tls_queue *, uint64_t offset, uint8_t *to, uint32_t len);
/* Copies up to len bytes from `offset` on without reading them; returns how many. */
uint32_t tls_queue_pieces(const struct tls_queue *, uint64_t offset, uint32_t len, struct bytes *ret,
                          uint32_t room, uint32_t *ret_count);
/* Where up to len bytes from `offset` on lie, in at most `room` pieces; returns how many bytes those are. */
void tls_queue_skip(struct tls_queue *, uint32_t len);
/* Reads len bytes of the first segment. */
bool tls_queue_first_is_read(const struct tls_queue *);
MUST_USE struct seg tls_queue_pop(struct tls_queue *);
/* Takes the first segment as it was pushed. */
void tls_queue_read(struct tls_queue *, struct worker *, uint8_t *to, uint32_t len);
/* Reads len bytes, which must be there, and releases the segments that become empty. */
void tls_queue_drop(struct tls_queue *, struct worker *, uint32_t len);
/* As read, but the bytes are not wanted any more. */
