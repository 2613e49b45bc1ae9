/* io/tls/tls_issuer.c — see tls_issuer.h: an issuing CA is loaded and judged. What would otherwise show in a
 * client's log, far away and hours later, is said here: each certificate of the file must be able to do what
 * it is there for. What does not differ between the certificates it will sign is encoded once.
 */
#include "io/tls/tls_issuer_parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/tls/tls_context.h"
#include "io/tls/tls_pem.h"

static int64_t unix_time(const ASN1_TIME *when)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MIN;
}

const char *issuer_date_text(int64_t when, char text[32])
{
    time_t t = (time_t)when;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return text;
}

static bool check_dates(struct tls_issuer *i, X509 *x, int number, struct tls_detail d)
{
    int64_t now = (int64_t)time(NULL);
    int64_t from = unix_time(X509_get0_notBefore(x)), until = unix_time(X509_get0_notAfter(x));
    char text[32];
    if (now < from || now >= until) {
        tls_detail_set(d, "%s: certificate %d %s %s, expected an issuing CA that is valid now", i->file,
                       number, now < from ? "is not valid before" : "expired at",
                       issuer_date_text(now < from ? from : until, text));
        return false;
    }
    if (number == 1 || from > i->not_before_s)
        i->not_before_s = from;
    if (number == 1 || until < i->not_after_s)
        i->not_after_s = until;
    return true;
}

/* May it sign certificates of servers? */
static bool check_purpose(const struct tls_issuer *i, X509 *x, int number, struct tls_detail d)
{
    const char *lacks = NULL;
    if (X509_get_extension_flags(x) & EXFLAG_INVALID)
        lacks = "has an extension that cannot be read";
    else if (!(X509_get_extension_flags(x) & EXFLAG_CA))
        lacks = "is not that of a CA (basicConstraints CA:TRUE)";
    else if (!(X509_get_key_usage(x) & KU_KEY_CERT_SIGN)) /* all bits when there is no such extension */
        lacks = "may not sign certificates (keyUsage without keyCertSign)";
    else if (!(X509_get_extended_key_usage(x) & (XKU_SSL_SERVER | XKU_ANYEKU)))
        lacks = "may not issue for servers (extendedKeyUsage without serverAuth)";
    if (lacks)
        tls_detail_set(d, "%s: certificate %d %s, expected an issuing CA", i->file, number, lacks);
    return !lacks;
}

static bool check_link(const struct tls_issuer *i, X509 *below, X509 *x, int number, struct tls_detail d)
{
    if (X509_check_issued(x, below) == X509_V_OK && X509_verify(below, X509_get0_pubkey(x)) == 1)
        return true;
    tls_detail_set(d,
                   "%s: certificate %d did not sign certificate %d, expected the issuing CA first and each "
                   "followed by the one that signed it",
                   i->file, number, number - 1);
    return false;
}

static bool chain_append(struct tls_issuer *i, X509 *x)
{
    int len = i2d_X509(x, NULL);
    uint8_t *chain = len > 0 ? realloc(i->chain, i->chain_len + (size_t)len) : NULL;
    if (!chain)
        return false;
    i->chain = chain;
    uint8_t *at = chain + i->chain_len;
    i->chain_len += (size_t)i2d_X509(x, &at);
    return true;
}

/* Judges one certificate of the file and takes it into the chain. A self-signed one is left out: a client
 * that trusts it has it. */
static int take_certificate(struct tls_issuer *i, X509 *below, X509 *x, int number, struct tls_detail d)
{
    if (!check_purpose(i, x, number, d) || !check_dates(i, x, number, d) ||
        (below && !check_link(i, below, x, number, d)))
        return -EINVAL;
    if (X509_get_extension_flags(x) & EXFLAG_SS)
        return 0;
    if (chain_append(i, x))
        return 0;
    tls_detail_set(d, "out of memory");
    return -ENOMEM;
}

static int take_chain(struct tls_issuer *i, const struct tls_pem *file, struct tls_detail d)
{
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->len);
    X509 *x, *below = NULL;
    int err = 0;
    for (int number = 1; !err && bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)); number++) {
        err = take_certificate(i, below, x, number, d);
        if (number == 1)
            i->certificate = x;
        else
            X509_free(below == i->certificate ? NULL : below);
        below = x;
    }
    if (below != i->certificate)
        X509_free(below);
    BIO_free(bio);
    ERR_clear_error(); /* the end of the file */
    return err;
}

static int take_key(struct tls_issuer *i, const struct tls_pem *file, struct tls_detail d)
{
    char group[32] = "";
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->len);
    i->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (!i->key) {
        tls_detail_set(d, "out of memory"); /* it could be read before */
        return -ENOMEM;
    }
    int bits = EVP_PKEY_get_bits(i->key);
    bool rsa = EVP_PKEY_is_a(i->key, "RSA");
    if (!rsa && EVP_PKEY_get_group_name(i->key, group, sizeof(group), NULL) != 1)
        group[0] = '\0';
    if (rsa ? bits >= TLS_RSA_BITS_MIN : strcmp(group, SN_X9_62_prime256v1) == 0)
        i->digest = EVP_sha256();
    else if (strcmp(group, SN_secp384r1) == 0)
        i->digest = EVP_sha384();
    if (i->digest)
        return 0;
    tls_detail_set(d, "%s: found %s key of %d bits, expected RSA of %d bits or more, or EC P-256 or P-384",
                   file->path, rsa ? "an RSA" : "an EC", bits, TLS_RSA_BITS_MIN);
    return -EINVAL;
}

static X509_EXTENSION *authority_extension(X509 *certificate)
{
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(certificate);
    AUTHORITY_KEYID *authority = id ? AUTHORITY_KEYID_new() : NULL;
    X509_EXTENSION *e = NULL;
    if (authority && (authority->keyid = ASN1_OCTET_STRING_dup(id)))
        e = X509V3_EXT_i2d(NID_authority_key_identifier, 0, authority);
    AUTHORITY_KEYID_free(authority);
    return e;
}

static bool make_fixed(struct tls_issuer *i)
{
    i->fixed[FIXED_CONSTRAINTS] = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:FALSE");
    i->fixed[FIXED_USAGE] = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "critical,digitalSignature");
    i->fixed[FIXED_EXTENDED_USAGE] = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "serverAuth");
    i->fixed[FIXED_AUTHORITY] = authority_extension(i->certificate);
    return i->fixed[FIXED_CONSTRAINTS] && i->fixed[FIXED_USAGE] && i->fixed[FIXED_EXTENDED_USAGE] &&
           (i->fixed[FIXED_AUTHORITY] || !X509_get0_subject_key_id(i->certificate));
}

static int issuer_load(struct tls_issuer *i, const char *key_file, struct tls_detail d)
{
    struct tls_pem chain = {0}, key = {0};
    int err = tls_pem_read(i->file, &chain, d);
    if (!err)
        err = tls_pem_read(key_file, &key, d);
    if (!err)
        err = tls_pem_check_identity(&chain, &key, d);
    if (!err)
        err = take_chain(i, &chain, d);
    if (!err)
        err = take_key(i, &key, d);
    if (!err && !make_fixed(i)) {
        tls_detail_set(d, "out of memory");
        err = -ENOMEM;
    }
    tls_pem_free(&chain);
    tls_pem_free(&key);
    ERR_clear_error();
    return err;
}

int tls_issuer_new(const char *certificate_file, const char *key_file, struct tls_issuer **ret,
                   char *ret_detail, size_t detail_size)
{
    struct tls_detail d = {ret_detail, detail_size};
    struct tls_issuer *i = calloc(1, sizeof(*i));
    if (!i || !(i->file = strdup(certificate_file))) {
        tls_detail_set(d, "out of memory");
        free(i);
        return -ENOMEM;
    }
    atomic_init(&i->refs, 1);
    int err = issuer_load(i, key_file, d);
    if (err)
        tls_issuer_unref(&i);
    else
        *ret = i;
    return err;
}

struct tls_issuer *tls_issuer_ref(struct tls_issuer *i)
{
    unsigned before = atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return i;
}

void tls_issuer_unref(struct tls_issuer **issuer)
{
    struct tls_issuer *i = *issuer;
    *issuer = NULL;
    if (!i || atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int e = 0; e < FIXED_COUNT; e++)
        X509_EXTENSION_free(i->fixed[e]);
    EVP_PKEY_free(i->key); /* which wipes it */
    X509_free(i->certificate);
    free(i->chain);
    free(i->file);
    free(i);
}

int64_t tls_issuer_not_after_s(const struct tls_issuer *i)
{
    return i->not_after_s;
}
