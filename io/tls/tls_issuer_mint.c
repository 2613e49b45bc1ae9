/* io/tls/tls_issuer_mint.c — see tls_issuer.h: the certificates an issuer makes.
 *
 * Every certificate has a key of its own. A fresh P-256 key is a fifth of what a certificate costs, and that
 * is paid once for a destination in most of a day (bench/tls_bytes.c); in return there is no key to rotate,
 * none that two workers share, and none outlives its certificate. Key and serial come from the folder's
 * generator, and an RSA issuer signs without chance, so that a simulation stays repeatable.
 */
#include "io/tls/tls_issuer_parts.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls/tls_pk.h"
#include "io/tls/tls_random.h"

enum {
    SERIAL_BYTES = 16,    /* RFC 5280 section 4.1.2.2 allows 20; 128 random bits do not meet again */
    COMMON_NAME_MAX = 64, /* RFC 5280 appendix A, ub-common-name */
    KEY_ID_BYTES = 20,    /* RFC 7093 section 2, method 1 */
    POINT_BYTES = 65,
    SCALAR_BYTES = 32,
};

static bool set_serial(X509 *x)
{
    uint8_t bytes[SERIAL_BYTES];
    if (!tls_random_bytes(bytes, sizeof(bytes)))
        return false;
    BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = n && !BN_is_zero(n) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

/* A name too long for a common name is cut to its first label; only the alternative name counts. */
static bool set_subject(X509 *x, const struct tls_host *host)
{
    size_t len = strlen(host->text);
    if (len > COMMON_NAME_MAX)
        len = strcspn(host->text, ".");
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)host->text, (int)len, -1, 0) == 1;
}

static bool set_alternative_name(X509 *x, const struct tls_host *host)
{
    bool ip = host->ip_len > 0;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    bool ok = names && name && value &&
              ASN1_STRING_set(value, ip ? (const void *)host->ip : host->text, ip ? host->ip_len : -1) == 1;
    if (ok) {
        GENERAL_NAME_set0_value(name, ip ? GEN_IPADD : GEN_DNS, value);
        value = NULL;
        ok = sk_GENERAL_NAME_push(names, name) > 0;
        name = ok ? NULL : name;
    }
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_STRING_free(value);
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    return ok;
}

static bool set_key_identifier(X509 *x, const uint8_t point[POINT_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    sha256_once((struct bytes){point, POINT_BYTES}, digest);
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    bool ok = id && ASN1_OCTET_STRING_set(id, digest, KEY_ID_BYTES) == 1 &&
              X509_add1_ext_i2d(x, NID_subject_key_identifier, id, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_OCTET_STRING_free(id);
    return ok;
}

static bool set_public_key(X509 *x, const uint8_t point[POINT_BYTES])
{
    uint8_t *copy = OPENSSL_memdup(point, POINT_BYTES);
    if (copy &&
        X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(x), OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
                               OBJ_nid2obj(NID_X9_62_prime256v1), copy, POINT_BYTES) == 1)
        return true;
    OPENSSL_free(copy);
    return false;
}

static bool add_fixed(X509 *x, const struct tls_issuer *i)
{
    for (int e = 0; e < FIXED_COUNT; e++)
        if (i->fixed[e] && X509_add_ext(x, i->fixed[e], -1) != 1)
            return false;
    return true;
}

static X509 *make_certificate(const struct tls_issuer *i, const struct tls_host *host,
                              const struct tls_minted *dates, const uint8_t point[POINT_BYTES])
{
    X509 *x = X509_new();
    if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && set_subject(x, host) &&
        X509_set_issuer_name(x, X509_get_subject_name(i->certificate)) == 1 &&
        ASN1_TIME_set(X509_getm_notBefore(x), (time_t)dates->not_before_s) &&
        ASN1_TIME_set(X509_getm_notAfter(x), (time_t)dates->not_after_s) && set_public_key(x, point) &&
        set_alternative_name(x, host) && set_key_identifier(x, point) && add_fixed(x, i) &&
        X509_sign(x, i->key, i->digest) > 0)
        return x;
    X509_free(x);
    return NULL;
}

static bool write_chain(const struct tls_issuer *i, X509 *x, struct tls_minted *m)
{
    int len = i2d_X509(x, NULL);
    uint8_t *at = len > 0 ? malloc((size_t)len + i->chain_len) : NULL;
    if (!at)
        return false;
    m->chain = at;
    m->chain_len = (size_t)len + i->chain_len;
    i2d_X509(x, &at);
    if (i->chain_len > 0)
        memcpy(at, i->chain, i->chain_len);
    return true;
}

/* RFC 5915: version, scalar, [0] the curve, [1] the point. */
static void write_key(const uint8_t scalar[SCALAR_BYTES], const uint8_t point[POINT_BYTES],
                      uint8_t ret[TLS_MINT_KEY_BYTES])
{
    static const uint8_t before_scalar[] = {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20};
    static const uint8_t before_point[] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                           0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00};
    _Static_assert(sizeof(before_scalar) + SCALAR_BYTES + sizeof(before_point) + POINT_BYTES ==
                       TLS_MINT_KEY_BYTES,
                   "ECPrivateKey");
    memcpy(ret, before_scalar, sizeof(before_scalar));
    ret += sizeof(before_scalar);
    memcpy(ret, scalar, SCALAR_BYTES);
    ret += SCALAR_BYTES;
    memcpy(ret, before_point, sizeof(before_point));
    memcpy(ret + sizeof(before_point), point, POINT_BYTES);
}

static bool set_dates(const struct tls_issuer *i, int64_t now_s, uint32_t life_s, struct tls_minted *m,
                      struct tls_detail d)
{
    char text[32];
    bool early = now_s < i->not_before_s;
    if (early || now_s >= i->not_after_s) {
        tls_detail_set(d, "%s: the issuing CA %s %s", i->file, early ? "is not valid before" : "expired at",
                       issuer_date_text(early ? i->not_before_s : i->not_after_s, text));
        return false;
    }
    int64_t from = now_s - TLS_MINT_BACKDATE_S, until = now_s + life_s;
    m->not_before_s = from > i->not_before_s ? from : i->not_before_s;
    m->not_after_s = until < i->not_after_s ? until : i->not_after_s;
    return true;
}

bool tls_issuer_mint(const struct tls_issuer *i, const struct tls_host *host, int64_t now_s, uint32_t life_s,
                     struct tls_minted *ret, struct tls_detail d)
{
    struct tls_minted m = {0};
    uint8_t scalar[PK_SCALAR_MAX], point[PK_POINT_MAX];
    if (!set_dates(i, now_s, life_s, &m, d))
        return false;
    X509 *x = pk_ec_keygen(PK_P256, scalar, point) ? make_certificate(i, host, &m, point) : NULL;
    bool ok = x && write_chain(i, x, &m);
    if (ok) {
        write_key(scalar, point, m.key);
        *ret = m;
    } else {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());
        tls_detail_set(d, "%s: a certificate could not be made: %s", i->file, why ? why : "out of memory");
        ERR_clear_error();
    }
    X509_free(x);
    explicit_bzero(scalar, sizeof(scalar));
    explicit_bzero(&m, sizeof(m));
    return ok;
}

void tls_minted_drop(struct tls_minted *m)
{
    free(m->chain);
    explicit_bzero(m, sizeof(*m));
}
