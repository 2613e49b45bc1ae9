/* io/tls/tls_roots.h — trust roots: a file of CA certificates, read and parsed once, then shared by reference
 * by any number of contexts. Immutable but for what the TLS library adds under a lock of its own (verified
 * intermediates). Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "io/attributes.h"

struct tls_pem;
struct tls_roots;
struct WOLFSSL_CTX;

MUST_USE int tls_roots_new(const char *ca_file, struct tls_roots **ret, char *ret_detail, size_t detail_size);
/* Every certificate readable, one at least valid now; those out of date are left out. 0; or -EINVAL / -ENOENT
 * / -ENOMEM with one line that names the file. */
MUST_USE int tls_roots_of_pem(const struct tls_pem *, struct tls_roots **ret, char *ret_detail,
                              size_t detail_size);
/* The same of a file that was read before. */
struct tls_roots *tls_roots_ref(struct tls_roots *);
void tls_roots_unref(struct tls_roots **);

MUST_USE bool tls_roots_give(struct tls_roots *, struct WOLFSSL_CTX *);
/* For contexts: from now on peers are verified against these. False when out of memory. */
