/* io/tls/tls_pk.h — elliptic curves and RSA by libcrypto, over plain byte strings.
 *
 * Scalars and coordinates are big-endian and as long as the curve's field; points are uncompressed.
 * Long-lived RSA keys are kept in a small cache per thread, since preparing one costs more than using it. Any
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/tls/tls_hash.h"

enum pk_curve { PK_P256, PK_P384, PK_CURVES };
enum { PK_SCALAR_MAX = 48, PK_POINT_MAX = 1 + 2 * PK_SCALAR_MAX, PK_RSA_BYTES_MAX = 1024 };

MUST_USE bool pk_init(void);
/* Once, before threads. False when libcrypto lacks a curve. */
void pk_fini(void);
void pk_thread_fini(void);

size_t pk_scalar_bytes(enum pk_curve);
MUST_USE bool pk_ec_keygen(enum pk_curve, uint8_t *ret_scalar, uint8_t *ret_point);
MUST_USE bool pk_ecdh(enum pk_curve, const uint8_t *scalar, struct bytes peer_point, uint8_t *ret_x);
/* False when the point is not on the curve. */
MUST_USE bool pk_ecdsa_sign(enum pk_curve, const uint8_t *scalar, struct bytes hash, uint8_t *ret_sig,
                            size_t *sig_len);
/* sig_len: room in, length out. */
MUST_USE bool pk_ecdsa_verify(enum pk_curve, struct bytes point, struct bytes hash, struct bytes sig);

/* Big-endian numbers; d, p, q empty for a public key. */
struct pk_rsa {
    struct bytes n, e, d, p, q;
};
MUST_USE bool pk_rsa_raw(const struct pk_rsa *, struct bytes in, uint8_t *ret, size_t ret_len);
/* in^e mod n, or in^d mod n when d is given (blinded, checked against faults). ret_len: bytes of n. */
