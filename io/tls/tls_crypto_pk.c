/* io/tls/tls_crypto_pk.c — see tls_crypto_pk.h: wolfSSL's requests as those of tls_pk. */
#include "io/tls/tls_crypto_pk.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/cryptocb.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include <openssl/crypto.h>

#include "io/tls/tls_pk.h"
#include "io/tls/tls_random.h"

static bool curve_of(const ecc_key *key, enum pk_curve *ret)
{
    if (!key || !key->dp)
        return false;
    if (key->dp->id == ECC_SECP256R1)
        *ret = PK_P256;
    else if (key->dp->id == ECC_SECP384R1)
        *ret = PK_P384;
    else
        return false;
    return true;
}

static bool point_of(ecc_key *key, uint8_t point[PK_POINT_MAX], struct bytes *ret)
{
    word32 len = PK_POINT_MAX;
    if (wc_ecc_export_x963(key, point, &len) != 0)
        return false;
    *ret = (struct bytes){point, len};
    return true;
}

static bool scalar_of(ecc_key *key, enum pk_curve c, uint8_t scalar[PK_SCALAR_MAX])
{
    word32 len = (word32)pk_scalar_bytes(c);
    return wc_ecc_export_private_only(key, scalar, &len) == 0 && len == pk_scalar_bytes(c);
}

int tls_crypto_on_ec_keygen(wc_CryptoInfo *info)
{
    ecc_key *key = info->pk.eckg.key;
    enum pk_curve c = PK_P256;
    if (info->pk.eckg.curveId != ECC_SECP256R1 &&
        !(info->pk.eckg.curveId == ECC_CURVE_DEF && info->pk.eckg.size == 32))
        return CRYPTOCB_UNAVAILABLE;
    uint8_t scalar[PK_SCALAR_MAX], point[PK_POINT_MAX];
    size_t n = pk_scalar_bytes(c);
    if (!pk_ec_keygen(c, scalar, point))
        return CRYPTOCB_UNAVAILABLE;
    int device = key->devId;
    int err = wc_ecc_import_private_key_ex(scalar, (word32)n, point, (word32)(1 + 2 * n), key, ECC_SECP256R1);
    key->devId = device; /* the import forgets it */
    OPENSSL_cleanse(scalar, sizeof(scalar));
    return err;
}

int tls_crypto_on_ecdh(wc_CryptoInfo *info)
{
    enum pk_curve c, peer_c;
    uint8_t scalar[PK_SCALAR_MAX], point[PK_POINT_MAX];
    struct bytes peer;
    if (!curve_of(info->pk.ecdh.private_key, &c) || !curve_of(info->pk.ecdh.public_key, &peer_c) ||
        c != peer_c || *info->pk.ecdh.outlen < pk_scalar_bytes(c) ||
        !point_of(info->pk.ecdh.public_key, point, &peer) || !scalar_of(info->pk.ecdh.private_key, c, scalar))
        return CRYPTOCB_UNAVAILABLE;
    bool ok = pk_ecdh(c, scalar, peer, info->pk.ecdh.out);
    OPENSSL_cleanse(scalar, sizeof(scalar));
    if (!ok)
        return CRYPTOCB_UNAVAILABLE; /* wolfSSL refuses the point in its own words */
    *info->pk.ecdh.outlen = (word32)pk_scalar_bytes(c);
    return 0;
}

int tls_crypto_on_ecdsa_sign(wc_CryptoInfo *info)
{
    enum pk_curve c;
    uint8_t scalar[PK_SCALAR_MAX];
    /* In simulation wolfSSL signs, because its nonce comes from the replaced generator. */
    if (!tls_random_is_real() || !curve_of(info->pk.eccsign.key, &c) ||
        !scalar_of(info->pk.eccsign.key, c, scalar))
        return CRYPTOCB_UNAVAILABLE;
    size_t len = *info->pk.eccsign.outlen;
    bool ok = pk_ecdsa_sign(c, scalar, (struct bytes){info->pk.eccsign.in, info->pk.eccsign.inlen},
                            info->pk.eccsign.out, &len);
    OPENSSL_cleanse(scalar, sizeof(scalar));
    if (!ok)
        return CRYPTOCB_UNAVAILABLE;
    *info->pk.eccsign.outlen = (word32)len;
    return 0;
}

int tls_crypto_on_ecdsa_verify(wc_CryptoInfo *info)
{
    enum pk_curve c;
    uint8_t point[PK_POINT_MAX];
    struct bytes key;
    if (!curve_of(info->pk.eccverify.key, &c) || !point_of(info->pk.eccverify.key, point, &key))
        return CRYPTOCB_UNAVAILABLE;
    *info->pk.eccverify.res = pk_ecdsa_verify(
        c, key, (struct bytes){info->pk.eccverify.hash, info->pk.eccverify.hashlen},
        (struct bytes){info->pk.eccverify.sig, info->pk.eccverify.siglen});
    return 0;
}

static bool rsa_run(RsaKey *key, bool private, struct bytes in, uint8_t *out, uint32_t out_len)
{
    uint8_t e[PK_RSA_BYTES_MAX], n[PK_RSA_BYTES_MAX];
    uint8_t d[PK_RSA_BYTES_MAX], p[PK_RSA_BYTES_MAX], q[PK_RSA_BYTES_MAX];
    word32 el = sizeof(e), nl = sizeof(n), dl = sizeof(d), pl = sizeof(p), ql = sizeof(q);
    if (!private) {
        if (wc_RsaFlattenPublicKey(key, e, &el, n, &nl) != 0)
            return false;
        return pk_rsa_raw(
            &(struct pk_rsa){
                .n = {n, nl},
                  .e = {e, el}
        },
            in, out, out_len);
    }
    bool ok = wc_RsaExportKey(key, e, &el, n, &nl, d, &dl, p, &pl, q, &ql) == 0;
    struct pk_rsa parts = {
        {n, nl},
        {e, el},
        {d, dl},
        {p, pl},
        {q, ql}
    };
    ok = ok && dl > 0 && pl > 0 && ql > 0 && pk_rsa_raw(&parts, in, out, out_len);
    OPENSSL_cleanse(d, sizeof(d));
    OPENSSL_cleanse(p, sizeof(p));
    OPENSSL_cleanse(q, sizeof(q));
    return ok;
}

int tls_crypto_on_rsa(wc_CryptoInfo *info)
{
    int type = info->pk.rsa.type;
    bool private = type == RSA_PRIVATE_ENCRYPT || type == RSA_PRIVATE_DECRYPT;
    if (!private && type != RSA_PUBLIC_ENCRYPT && type != RSA_PUBLIC_DECRYPT)
        return CRYPTOCB_UNAVAILABLE;
    int size = wc_RsaEncryptSize(info->pk.rsa.key);
    if (size <= 0 || size > PK_RSA_BYTES_MAX || *info->pk.rsa.outLen < (word32)size ||
        !rsa_run(info->pk.rsa.key, private, (struct bytes){info->pk.rsa.in, info->pk.rsa.inLen},
                 info->pk.rsa.out, (uint32_t)size))
        return CRYPTOCB_UNAVAILABLE;
    *info->pk.rsa.outLen = (word32)size;
    return 0;
}
