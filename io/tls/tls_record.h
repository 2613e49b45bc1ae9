/* io/tls/tls_record.h — the record layer behind an interface: ciphertext in, plaintext out, and back.
 *
 * It reads from a queue of segments and writes into a span that its owner lends; it knows neither streams nor
 * credit. Two implementations: wolfSSL does the handshake and may stay (TLS 1.2); for the time after a
 * handshake of TLS 1.3 there is one of our own, see tls_record_gcm.c. Owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/ending.h"
#include "io/tls/tls.h"
#include "io/tls/tls_crypto.h"
#include "io/tls/tls_queue.h"

enum {
    TLS_PLAINTEXT_MAX = 16384, /* RFC 8446 section 5.1 */
    TLS_HEADER_BYTES = 5,      /* type, version, length */
    TLS_RECORD_OWN =
        17, /* of a record's body at the least: the type within and the tag (RFC 8446 section 5.2) */
    TLS_CIPHERTEXT_MAX = 5 + 16384 + 2048, /* RFC 5246 section 6.2.3; TLS 1.3 allows less */
    /* 22 bytes in TLS 1.3, 29 in 1.2 (measured); and a key update before the record */
    TLS_OVERHEAD_MAX = 128,
    /* Reading may have to answer: a key update or an alert. */
    TLS_CONTROL_ROOM = 256,
    TLS_GATHER_BYTES =
        4096, /* below this a segment shares a record with the next; and no record is begun in less room */
};

enum tls_record_result {
    TLS_RECORD_OK,
    TLS_RECORD_WANT_INPUT,  /* more ciphertext, or more room to answer it */
    TLS_RECORD_WANT_MEMORY, /* nothing was read: ask again later */
    TLS_RECORD_ENDED,       /* the peer's close_notify */
    TLS_RECORD_FAILED,      /* see tls_record.failure; an alert may have been written */
};

/* Where ciphertext goes. */
struct tls_span {
    uint8_t *to;
    uint32_t used, cap;
};

struct tls_ticket {
    uint8_t *bytes;
    size_t len;
};

struct WOLFSSL;
struct WOLFSSL_CTX;
struct tls_record;

struct tls_record_ops {
    const char *kind;
    enum tls_record_result (*handshake)(struct tls_record *);
    enum tls_record_result (*encrypt)(struct tls_record *, const struct tls_queue *plain, uint32_t most,
                                      uint32_t *ret_len);
    /* One record of ret_len bytes, which stay at the head of the queue. There is one byte at least; most is
     * at most TLS_PLAINTEXT_MAX and TLS_OVERHEAD_MAX less than the span's room. */
    enum tls_record_result (*decrypt)(struct tls_record *, uint8_t *to, uint32_t room, uint32_t *ret_len);
    /* At most one record's plaintext. */
    uint32_t (*pending)(const struct tls_record *);
    /* Plaintext of the present record that did not fit. */
    void (*close_notify)(struct tls_record *);
    void (*free)(struct tls_record *);
};

struct tls_record {
    const struct tls_record_ops *ops;
    struct worker *worker;
    struct tls_queue *in;
    struct tls_span *out;
    struct tls_ticket ticket; /* last one received and not yet taken */
    struct tls_info *info;    /* detail is written on failure */
    enum ending failure;
};

MUST_USE struct tls_record *tls_record_wolfssl_new(struct worker *, struct tls_context *, struct tls_info *);
/* in and out are the caller's to set. NULL when out of memory. */
void tls_record_wolfssl_set_callbacks(struct WOLFSSL_CTX *, struct tls_context *);
/* Once per context. */
struct WOLFSSL *tls_record_wolfssl(struct tls_record *);
void tls_record_wolfssl_established(struct tls_record *);
/* Handshake and verification done: drops what only they needed. */

/* One direction of TLS 1.3 as it is now. */
struct tls_traffic {
    uint8_t key[32], iv[12];
    uint32_t key_len;
    uint64_t sequence;
    struct tls_secret secret; /* what the key came from and the next will come from */
};

MUST_USE bool tls_record_take_over(struct tls_record **);
/* Established: from now on by the layer of our own, where it can be; then the first one is freed, and its
 * WOLFSSL with it. False: it stays as it was. */
MUST_USE bool tls_record_wolfssl_traffic(struct tls_record *, struct tls_traffic *ret_read,
                                         struct tls_traffic *ret_write);
/* False when it is not TLS 1.3 with AES-GCM, or something lies within the library. The caller wipes them. */
MUST_USE struct tls_record *tls_record_gcm_new(const struct tls_record *, const struct tls_traffic *read,
                                               const struct tls_traffic *write);
/* In place of the given one, which stays. NULL when out of memory. */

uint32_t tls_record_ready_bytes(const struct tls_queue *, uint32_t enough);
/* Bytes of complete records at the head of the queue, counted up to about `enough`. What is not a record at
 * all counts as complete, so that the record layer may refuse it. */
uint32_t tls_record_body_bytes(const struct tls_queue *);
/* What the head of the queue says of the record's length; 0: there is no whole head. */
