/* io/tls/tls_mint.h — server contexts by destination: certificates made on demand by an issuing CA and kept,
 * so that a client's TLS can be ended here in the name of whomever it wanted to reach.
 *
 * Bounded: the destination that was asked for longest ago leaves. A certificate is made anew when less than a
 * third of its life is left. Streams keep the context they have. Owner worker only; one for each worker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

struct tls_context;
struct tls_issuer;
struct tls_mint;
struct tls_roots;
struct worker;

enum {
    TLS_MINT_ENTRIES = 4096, /* a large cluster's nodes, at 9 KiB each (bench/tls_bytes.c) */
};

struct tls_mint_options {
    struct tls_issuer *issuer;      /* both are shared with others by reference */
    struct tls_roots *client_roots; /* of the client certificates that are demanded */
    const char *alpn;               /* as in struct tls_context_options */
    bool allow_tls12;
    uint32_t life_s;      /* of a certificate; 0: TLS_MINT_LIFE_S */
    uint32_t entries_max; /* 0: TLS_MINT_ENTRIES */
};

MUST_USE int tls_mint_new(struct worker *, const struct tls_mint_options *, struct tls_mint **ret);
/* 0 or -ENOMEM. */
void tls_mint_free(struct tls_mint **);
void tls_mint_replace(struct tls_mint *, struct tls_issuer *, struct tls_roots *client_roots);
/* From now on made by this issuer, for clients of these roots: what was made before is dropped. */

MUST_USE struct tls_context *tls_mint_get(struct tls_mint *, const char *host, char *ret_detail,
                                          size_t detail_size);
/* The context for a destination: an address without brackets, or a DNS name in lower case. Lent until the
 * next call; tls_accept() takes a reference of its own. NULL with one line: not a host, or the issuer has
 * expired. Making one blocks the worker for a fraction of a millisecond. */
