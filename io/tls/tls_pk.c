/* io/tls/tls_pk.c — see tls_pk.h.
 *
 * libcrypto's low-level EC and RSA calls are deprecated in name. They are used because in 3.0 an EVP_PKEY for
 * each ephemeral and leaf key costs 10 us and dozens of allocations (measured), a quarter of a verification.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "io/tls/tls_pk.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/rsa.h>
#include <string.h>

#include "io/tls/tls_random.h"

static const struct {
    int nid;
    size_t scalar_bytes;
} curves[PK_CURVES] = {
    [PK_P256] = {NID_X9_62_prime256v1, 32},
    [PK_P384] = {NID_secp384r1,        48},
};
static EC_GROUP *groups[PK_CURVES]; /* read-only after pk_init() */

enum { RSA_CACHE = 8 }; /* own keys and a few CAs per thread; a frank guess */

static _Thread_local struct {
    struct {
        uint8_t id[SHA256_BYTES];
        RSA *rsa;
        uint64_t used;
    } slots[RSA_CACHE];
    uint64_t clock;
} rsa_cache;

bool pk_init(void)
{
    for (int c = 0; c < PK_CURVES; c++) {
        if (!groups[c])
            groups[c] = EC_GROUP_new_by_curve_name(curves[c].nid);
        if (!groups[c])
            return false;
    }
    return true;
}

void pk_fini(void)
{
    for (int c = 0; c < PK_CURVES; c++) {
        EC_GROUP_free(groups[c]);
        groups[c] = NULL;
    }
}

void pk_thread_fini(void)
{
    for (int i = 0; i < RSA_CACHE; i++)
        RSA_free(rsa_cache.slots[i].rsa);
    memset(&rsa_cache, 0, sizeof(rsa_cache));
}

size_t pk_scalar_bytes(enum pk_curve c)
{
    return curves[c].scalar_bytes;
}

/* A key with the scalar, the point, or both; NULL when either does not belong to the curve. */
static EC_KEY *ec_key_of(enum pk_curve c, const uint8_t *scalar, struct bytes point)
{
    EC_KEY *key = EC_KEY_new();
    if (!key || EC_KEY_set_group(key, groups[c]) != 1)
        goto failed;
    if (scalar) {
        BIGNUM *k = BN_bin2bn(scalar, (int)curves[c].scalar_bytes, NULL);
        int ok = k && EC_KEY_set_private_key(key, k) == 1;
        BN_clear_free(k);
        if (!ok)
            goto failed;
    }
    if (point.len > 0) {
        EC_POINT *p = EC_POINT_new(groups[c]);
        int ok = p && EC_POINT_oct2point(groups[c], p, point.data, point.len, NULL) == 1 &&
                 EC_KEY_set_public_key(key, p) == 1;
        EC_POINT_free(p);
        if (!ok)
            goto failed;
    }
    return key;
failed:
    EC_KEY_free(key);
    ERR_clear_error();
    return NULL;
}

/* A scalar in 1 .. order-1, by rejection; the curves' orders are so close to 2^n that one draw suffices. */
static bool draw_scalar(enum pk_curve c, uint8_t *ret_scalar, BIGNUM *k)
{
    for (int tries = 0; tries < 64; tries++) {
        if (!tls_random_bytes(ret_scalar, curves[c].scalar_bytes) ||
            !BN_bin2bn(ret_scalar, (int)curves[c].scalar_bytes, k))
            return false;
        if (!BN_is_zero(k) && BN_cmp(k, EC_GROUP_get0_order(groups[c])) < 0)
            return true;
    }
    return false;
}

bool pk_ec_keygen(enum pk_curve c, uint8_t *ret_scalar, uint8_t *ret_point)
{
    size_t point_bytes = 1 + 2 * curves[c].scalar_bytes;
    BIGNUM *k = BN_secure_new();
    EC_POINT *p = EC_POINT_new(groups[c]);
    bool ok = false;
    if (k && p && draw_scalar(c, ret_scalar, k)) {
        BN_set_flags(k, BN_FLG_CONSTTIME);
        ok = EC_POINT_mul(groups[c], p, k, NULL, NULL, NULL) == 1 &&
             EC_POINT_point2oct(groups[c], p, POINT_CONVERSION_UNCOMPRESSED, ret_point, point_bytes, NULL) ==
                 point_bytes;
    }
    BN_clear_free(k);
    EC_POINT_free(p);
    if (!ok)
        ERR_clear_error();
    return ok;
}

bool pk_ecdh(enum pk_curve c, const uint8_t *scalar, struct bytes peer_point, uint8_t *ret_x)
{
    EC_KEY *own = ec_key_of(c, scalar, (struct bytes){0});
    EC_KEY *peer = ec_key_of(c, NULL, peer_point);
    size_t n = curves[c].scalar_bytes;
    bool ok = own && peer && ECDH_compute_key(ret_x, n, EC_KEY_get0_public_key(peer), own, NULL) == (int)n;
    EC_KEY_free(own);
    EC_KEY_free(peer);
    if (!ok)
        ERR_clear_error();
    return ok;
}

bool pk_ecdsa_sign(enum pk_curve c, const uint8_t *scalar, struct bytes hash, uint8_t *ret_sig,
                   size_t *sig_len)
{
    EC_KEY *key = ec_key_of(c, scalar, (struct bytes){0});
    uint8_t sig[16 + 2 * PK_SCALAR_MAX];
    unsigned len = sizeof(sig);
    bool ok = key && ECDSA_size(key) <= (int)sizeof(sig) &&
              ECDSA_sign(0, hash.data, (int)hash.len, sig, &len, key) == 1 && len <= *sig_len;
    EC_KEY_free(key);
    if (!ok) {
        ERR_clear_error();
        return false;
    }
    memcpy(ret_sig, sig, len);
    *sig_len = len;
    return true;
}

bool pk_ecdsa_verify(enum pk_curve c, struct bytes point, struct bytes hash, struct bytes sig)
{
    EC_KEY *key = ec_key_of(c, NULL, point);
    bool ok = key && ECDSA_verify(0, hash.data, (int)hash.len, sig.data, (int)sig.len, key) == 1;
    EC_KEY_free(key);
    if (!ok)
        ERR_clear_error();
    return ok;
}

static BIGNUM *number(struct bytes b)
{
    return BN_bin2bn(b.data, (int)b.len, NULL);
}

/* Gives the private half to the key. The CRT exponents follow from d, p and q. */
static bool rsa_set_private(RSA *rsa, const struct pk_rsa *k)
{
    BN_CTX *scratch = BN_CTX_secure_new();
    BIGNUM *p = number(k->p), *q = number(k->q), *d = number(k->d), *p1 = BN_dup(p), *q1 = BN_dup(q);
    BIGNUM *dp = BN_new(), *dq = BN_new(), *qinv = BN_new();
    bool ok = scratch && p && q && d && p1 && q1 && dp && dq && qinv && BN_sub_word(p1, 1) == 1 &&
              BN_sub_word(q1, 1) == 1;
    if (ok) {
        BN_set_flags(d, BN_FLG_CONSTTIME);
        BN_set_flags(p, BN_FLG_CONSTTIME);
        BN_set_flags(q, BN_FLG_CONSTTIME);
        ok = BN_mod(dp, d, p1, scratch) == 1 && BN_mod(dq, d, q1, scratch) == 1 &&
             BN_mod_inverse(qinv, q, p, scratch) != NULL;
    }
    BN_clear_free(p1);
    BN_clear_free(q1);
    BN_clear_free(d);
    if (ok && RSA_set0_factors(rsa, p, q) == 1)
        p = q = NULL;
    if (ok && RSA_set0_crt_params(rsa, dp, dq, qinv) == 1)
        dp = dq = qinv = NULL;
    ok = ok && !p && !dp;
    BN_clear_free(p);
    BN_clear_free(q);
    BN_clear_free(dp);
    BN_clear_free(dq);
    BN_clear_free(qinv);
    BN_CTX_free(scratch);
    return ok;
}

static RSA *rsa_new(const struct pk_rsa *k)
{
    RSA *rsa = RSA_new();
    BIGNUM *n = number(k->n), *e = number(k->e), *d = k->d.len > 0 ? number(k->d) : NULL;
    if (!rsa || !n || !e || (k->d.len > 0 && !d) || RSA_set0_key(rsa, n, e, d) != 1) {
        BN_free(n);
        BN_free(e);
        BN_clear_free(d);
        RSA_free(rsa);
        return NULL;
    }
    if (d && !rsa_set_private(rsa, k)) {
        RSA_free(rsa);
        return NULL;
    }
    return rsa;
}

/* The cached or a new key; the least recently used one leaves. The cache keeps it. */
static RSA *rsa_get(const struct pk_rsa *k)
{
    uint8_t id[SHA256_BYTES], input[2 * PK_RSA_BYTES_MAX + 1];
    if (k->n.len > PK_RSA_BYTES_MAX || k->e.len > PK_RSA_BYTES_MAX)
        return NULL;
    input[0] = k->d.len > 0;
    memcpy(input + 1, k->n.data, k->n.len);
    memcpy(input + 1 + k->n.len, k->e.data, k->e.len);
    sha256_once((struct bytes){input, 1 + k->n.len + k->e.len}, id);
    int oldest = 0;
    for (int i = 0; i < RSA_CACHE; i++) {
        if (rsa_cache.slots[i].rsa && memcmp(rsa_cache.slots[i].id, id, sizeof(id)) == 0) {
            rsa_cache.slots[i].used = ++rsa_cache.clock;
            return rsa_cache.slots[i].rsa;
        }
        if (rsa_cache.slots[i].used < rsa_cache.slots[oldest].used)
            oldest = i;
    }
    RSA *rsa = rsa_new(k);
    if (!rsa)
        return NULL;
    RSA_free(rsa_cache.slots[oldest].rsa);
    rsa_cache.slots[oldest].rsa = rsa;
    rsa_cache.slots[oldest].used = ++rsa_cache.clock;
    memcpy(rsa_cache.slots[oldest].id, id, sizeof(id));
    return rsa;
}

bool pk_rsa_raw(const struct pk_rsa *k, struct bytes in, uint8_t *ret, size_t ret_len)
{
    uint8_t padded[PK_RSA_BYTES_MAX] = {0};
    RSA *rsa = rsa_get(k);
    bool ok = rsa && (size_t)RSA_size(rsa) == ret_len && in.len <= ret_len && ret_len <= sizeof(padded);
    if (ok) {
        memcpy(padded + ret_len - in.len, in.data, in.len);
        int n = k->d.len > 0 ? RSA_private_encrypt((int)ret_len, padded, ret, rsa, RSA_NO_PADDING)
                             : RSA_public_encrypt((int)ret_len, padded, ret, rsa, RSA_NO_PADDING);
        ok = n == (int)ret_len;
    }
    if (!ok)
        ERR_clear_error();
    return ok;
}
