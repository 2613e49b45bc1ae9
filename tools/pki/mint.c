/* tools/pki/mint.c — keys and certificates.
 *
 * The extensions are built as structures and not through OpenSSL's configuration strings: a simulator mints
 * 15,000 leaves at start, and the strings cost more than the signature. Every certificate gets subject and
 * authority key identifiers, a critical basicConstraints, a critical keyUsage and a random serial of 128
 * bits, as a public CA would do; what a test wants wrong (dates, names, usages, issuer) it asks for in the
 * spec. Nothing here decides policy. */
#include "tools/pki/mint.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/pki/reason.h"

enum {
    SERIAL_BYTES = 16, /* RFC 5280 allows 20; 128 random bits never meet again */
    BACKDATE_S = 300,  /* so that a peer whose clock is a little behind accepts a new root */
    CN_MAX = 64,       /* X.520 ub-common-name */
};

static _Thread_local char reason[256];

const char *mint_reason(void)
{
    return reason;
}

enum mint_result mint_fail(enum mint_result r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(reason, sizeof(reason), format, ap);
    va_end(ap);
    return r;
}

enum mint_result mint_fail_crypto(const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    return mint_fail(MINT_CRYPTO, "%s: %s", what, text ? text : "libcrypto gave no reason");
}

enum mint_result mint_key(enum mint_algorithm algorithm, EVP_PKEY **ret_key)
{
    EVP_PKEY *key = NULL;
    switch (algorithm) {
    case MINT_P256: key = EVP_EC_gen("P-256"); break;
    case MINT_RSA2048: key = EVP_RSA_gen(2048); break;
    }
    if (!key)
        return mint_fail_crypto("making a key");
    *ret_key = key;
    return MINT_OK;
}

static bool add_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] |= 0x40; /* never short, never zero */
    bytes[0] &= 0x7f; /* never negative, so always 16 octets */
    BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return ok;
}

static bool add_name(X509 *cert, const struct mint_spec *spec)
{
    X509_NAME *name = X509_get_subject_name(cert);
    for (size_t i = 0; i < spec->orgs_n; i++)
        if (!X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
                                        (const unsigned char *)spec->orgs[i], -1, -1, 0))
            return false;
    return !spec->cn || X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                                   (const unsigned char *)spec->cn, -1, -1, 0);
}

static bool add_basic_constraints(X509 *cert, bool ca)
{
    BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
    bool ok = bc != NULL;
    if (ok) {
        bc->ca = ca ? 0xff : 0;
        ok = X509_add1_ext_i2d(cert, NID_basic_constraints, bc, 1, X509V3_ADD_DEFAULT) == 1;
    }
    BASIC_CONSTRAINTS_free(bc);
    return ok;
}

static bool add_key_usage(X509 *cert, bool ca, bool rsa)
{
    /* Bits of RFC 5280 4.2.1.3: 0 digitalSignature, 2 keyEncipherment, 5 keyCertSign, 6 cRLSign. */
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    bool ok = bits != NULL;
    if (ca)
        ok = ok && ASN1_BIT_STRING_set_bit(bits, 5, 1) && ASN1_BIT_STRING_set_bit(bits, 6, 1);
    else
        ok = ok && ASN1_BIT_STRING_set_bit(bits, 0, 1) && (!rsa || ASN1_BIT_STRING_set_bit(bits, 2, 1));
    ok = ok && X509_add1_ext_i2d(cert, NID_key_usage, bits, 1, X509V3_ADD_DEFAULT) == 1;
    ASN1_BIT_STRING_free(bits);
    return ok;
}

static bool add_extended_usage(X509 *cert, unsigned usage)
{
    if (!(usage & (MINT_SERVER | MINT_CLIENT)))
        return true;
    EXTENDED_KEY_USAGE *eku = EXTENDED_KEY_USAGE_new();
    bool ok = eku != NULL;
    if (ok && (usage & MINT_SERVER))
        ok = sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_server_auth)) > 0;
    if (ok && (usage & MINT_CLIENT))
        ok = sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_client_auth)) > 0;
    ok = ok && X509_add1_ext_i2d(cert, NID_ext_key_usage, eku, 0, X509V3_ADD_DEFAULT) == 1;
    EXTENDED_KEY_USAGE_free(eku);
    return ok;
}

static bool push_general_name(GENERAL_NAMES *names, int type, void *value)
{
    GENERAL_NAME *name = value ? GENERAL_NAME_new() : NULL;
    if (!name)
        return false; /* an allocation failed; the caller gives the whole certificate up */
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static enum mint_result add_alternative_names(X509 *cert, const struct mint_spec *spec)
{
    if (spec->dns_n + spec->ips_n == 0)
        return MINT_OK;
    enum mint_result r = MINT_OK;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok = names != NULL;
    for (size_t i = 0; ok && i < spec->dns_n; i++) {
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        ok = text && ASN1_STRING_set(text, spec->dns[i], -1) && push_general_name(names, GEN_DNS, text);
    }
    for (size_t i = 0; ok && i < spec->ips_n && r == MINT_OK; i++) {
        ASN1_OCTET_STRING *address = a2i_IPADDRESS(spec->ips[i]);
        if (!address)
            r = mint_fail(MINT_INVALID, "not an IP address: %s", spec->ips[i]);
        else
            ok = push_general_name(names, GEN_IPADD, address);
    }
    ok = ok &&
         (r != MINT_OK || X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
    GENERAL_NAMES_free(names);
    return ok ? r : mint_fail_crypto("adding the subject alternative names");
}

static bool add_key_ids(X509 *cert, X509 *issuer)
{
    /* Method 1 of RFC 5280 4.2.1.2. SHA-1 is only a name here; nothing rests on its strength. */
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    if (!X509_pubkey_digest(cert, EVP_sha1(), digest, &digest_len))
        return false;
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    bool ok = id && ASN1_OCTET_STRING_set(id, digest, (int)digest_len) &&
              X509_add1_ext_i2d(cert, NID_subject_key_identifier, id, 0, X509V3_ADD_DEFAULT) == 1;
    const ASN1_OCTET_STRING *issuer_id = issuer ? X509_get0_subject_key_id(issuer) : id;
    if (ok && issuer_id) {
        AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
        ok = authority && (authority->keyid = ASN1_OCTET_STRING_dup(issuer_id)) &&
             X509_add1_ext_i2d(cert, NID_authority_key_identifier, authority, 0, X509V3_ADD_DEFAULT) == 1;
        AUTHORITY_KEYID_free(authority);
    }
    ASN1_OCTET_STRING_free(id);
    return ok;
}

enum mint_result mint_cert(const struct mint_spec *spec, EVP_PKEY *subject, const struct mint_ca *issuer,
                           X509 **ret_cert)
{
    if (spec->cn && strlen(spec->cn) > CN_MAX)
        return mint_fail(MINT_INVALID, "common name longer than %d characters: %s", CN_MAX, spec->cn);
    X509 *cert = X509_new();
    bool ca = spec->usage & MINT_CA;
    bool ok = cert && X509_set_version(cert, X509_VERSION_3) && add_serial(cert) && add_name(cert, spec) &&
              ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)spec->not_before_s) &&
              ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)spec->not_after_s) &&
              X509_set_pubkey(cert, subject);
    ok = ok && X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer->cert : cert));
    ok = ok && add_basic_constraints(cert, ca) && add_key_usage(cert, ca, EVP_PKEY_is_a(subject, "RSA")) &&
         add_extended_usage(cert, spec->usage) && add_key_ids(cert, issuer ? issuer->cert : NULL);
    enum mint_result r = ok ? add_alternative_names(cert, spec) : mint_fail_crypto("building a certificate");
    if (r == MINT_OK && X509_sign(cert, issuer ? issuer->key : subject, EVP_sha256()) <= 0)
        r = mint_fail_crypto("signing a certificate");
    if (r == MINT_OK)
        *ret_cert = cert;
    else
        X509_free(cert);
    return r;
}

enum mint_result mint_ca_new(const char *cn, enum mint_algorithm algorithm, int days,
                             const struct mint_ca *parent, struct mint_ca *ret_ca)
{
    struct mint_ca ca = {.chain = sk_X509_new_null()};
    int64_t now_s = time(NULL);
    struct mint_spec spec = {.cn = cn,
                             .usage = MINT_CA,
                             .not_before_s = now_s - BACKDATE_S,
                             .not_after_s = now_s + (int64_t)days * 86400};
    enum mint_result r = ca.chain ? mint_key(algorithm, &ca.key) : mint_fail_crypto("making a CA");
    if (r == MINT_OK)
        r = mint_cert(&spec, ca.key, parent, &ca.cert);
    if (r == MINT_OK && parent) {
        if (!X509_add_cert(ca.chain, parent->cert, X509_ADD_FLAG_UP_REF) ||
            !X509_add_certs(ca.chain, parent->chain, X509_ADD_FLAG_UP_REF))
            r = mint_fail_crypto("remembering the parent of a CA");
    }
    if (r == MINT_OK)
        *ret_ca = ca;
    else
        mint_ca_fini(&ca);
    return r;
}

void mint_ca_fini(struct mint_ca *ca)
{
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    sk_X509_pop_free(ca->chain, X509_free);
    *ca = (struct mint_ca){0};
}
