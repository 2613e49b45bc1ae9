/* io/tls/tls_context.c — contexts: configuration that is checked once, made into a library object and never
 * changed again. Everything the library leaves open by default is set here: suites (its default offers some
 * that do not encrypt), groups (its default would take P-521), versions, and no sessions of its own keeping.
 */
#include "io/tls/tls_context.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls/tls_crypto.h"
#include "io/tls/tls_pem.h"
#include "io/tls/tls_record.h"
#include "io/tls/tls_roots.h"

enum { SUITES_TEXT_MAX = 256 };

static const char *suites_text(uint32_t suites, char text[SUITES_TEXT_MAX])
{
    static const struct {
        uint32_t bit;
        const char *name;
    } rows[] = {
#define X(symbol, name, iana) {TLS_SUITE_##symbol, ":" name},
        TLS_SUITES(X)
#undef X
    };
    size_t n = (size_t)snprintf(text, SUITES_TEXT_MAX, "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (suites == 0 || (suites & rows[i].bit))
            n += (size_t)snprintf(text + n, SUITES_TEXT_MAX - n, "%s", rows[i].name);
    ASSERT(n < SUITES_TEXT_MAX);
    return text;
}

int tls_global_init(void)
{
    if (wolfSSL_Init() != WOLFSSL_SUCCESS)
        return -ENOMEM;
    int err = tls_crypto_init();
    if (err)
        wolfSSL_Cleanup();
    return err;
}

void tls_global_fini(void)
{
    tls_thread_fini();
    tls_crypto_fini();
    wolfSSL_Cleanup();
}

const char *tls_provider_text(void)
{
    return tls_crypto_text();
}

void tls_thread_fini(void)
{
    tls_crypto_thread_fini();
#ifdef FP_ECC
    wc_ecc_fp_free();
#endif
    wolfSSL_ERR_remove_thread_state(NULL);
}

const char *tls_library_text(int code)
{
    const char *text = wolfSSL_ERR_reason_error_string((unsigned long)code);
    return text ? text : "unknown error";
}

static bool has_roots(const struct tls_context_options *o)
{
    return o->roots || o->ca_pem || o->ca_file;
}

static int set_roots(struct tls_context *c, const struct tls_context_options *o, struct tls_detail d)
{
    struct tls_roots *roots = NULL;
    int err = 0;
    if (!has_roots(o))
        return 0;
    if (!o->roots)
        err = o->ca_pem ? tls_roots_of_pem(o->ca_pem, &roots, d.text, d.size)
                        : tls_roots_new(o->ca_file, &roots, d.text, d.size);
    if (err)
        return err;
    bool given = tls_roots_give(o->roots ? o->roots : roots, c->wolfssl);
    tls_roots_unref(&roots); /* the context has its own reference */
    if (given)
        return 0;
    tls_detail_set(d, "out of memory");
    return -ENOMEM;
}

static int give_identity(struct tls_context *c, const struct tls_pem *chain, const struct tls_pem *key,
                         int format, struct tls_detail d)
{
    int code = wolfSSL_CTX_use_certificate_chain_buffer_format(c->wolfssl, chain->bytes, (long)chain->len,
                                                               format);
    if (code != WOLFSSL_SUCCESS) {
        tls_detail_set(d, "%s: not usable as a certificate chain: %s, expected the leaf first", chain->path,
                       tls_library_text(code));
        return -EINVAL;
    }
    code = wolfSSL_CTX_use_PrivateKey_buffer(c->wolfssl, key->bytes, (long)key->len, format);
    if (code != WOLFSSL_SUCCESS) {
        tls_detail_set(d, "%s: not usable as a private key: %s, expected RSA (2048 bits or more) or EC",
                       key->path, tls_library_text(code));
        return -EINVAL;
    }
    return 0;
}

static int set_identity_of_pem(struct tls_context *c, const struct tls_pem *chain, const struct tls_pem *key,
                               struct tls_detail d)
{
    int err = tls_pem_check_identity(chain, key, d);
    return err ? err : give_identity(c, chain, key, WOLFSSL_FILETYPE_PEM, d);
}

static int set_identity_of_files(struct tls_context *c, const struct tls_context_options *o,
                                 struct tls_detail d)
{
    struct tls_pem chain = {0}, key = {0};
    int err = tls_pem_read(o->certificate_file, &chain, d);
    if (!err)
        err = tls_pem_read(o->key_file, &key, d);
    if (!err)
        err = set_identity_of_pem(c, &chain, &key, d);
    tls_pem_free(&chain);
    tls_pem_free(&key);
    return err;
}

static int set_identity(struct tls_context *c, const struct tls_context_options *o, struct tls_detail d)
{
    static const char unnamed[] = "identity in memory";
    if (o->certificate_pem)
        return set_identity_of_pem(c, o->certificate_pem, o->key_pem, d);
    if (!o->own)
        return o->certificate_file ? set_identity_of_files(c, o, d) : 0;
    struct tls_pem chain = {o->certificate_file ? o->certificate_file : unnamed, (uint8_t *)o->own->chain,
                            o->own->chain_len};
    struct tls_pem key = {o->key_file ? o->key_file : unnamed, (uint8_t *)o->own->key, o->own->key_len};
    return give_identity(c, &chain, &key, WOLFSSL_FILETYPE_ASN1, d);
}

static WOLFSSL_METHOD *method_of(const struct tls_context_options *o)
{
    if (o->role == TLS_CLIENT)
        return o->allow_tls12 ? wolfTLS_client_method() : wolfTLSv1_3_client_method();
    return o->allow_tls12 ? wolfTLS_server_method() : wolfTLSv1_3_server_method();
}

static bool set_protocol(struct tls_context *c, const struct tls_context_options *o)
{
    static const int wanted[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1};
    int groups[ARRAY_SIZE(wanted)];
    char suites[SUITES_TEXT_MAX];
    WOLFSSL_CTX *w = c->wolfssl;
    memcpy(groups, wanted, sizeof(groups));
    if (wolfSSL_CTX_SetDevId(w, TLS_CRYPTO_DEVICE) != WOLFSSL_SUCCESS || /* before keys: they take it over */
        wolfSSL_CTX_set_cipher_list(w, suites_text(o->suites, suites)) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_groups(w, groups, ARRAY_SIZE(groups)) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_SetMinVersion(w, o->allow_tls12 ? WOLFSSL_TLSV1_2 : WOLFSSL_TLSV1_3) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_SetMinRsaKey_Sz(w, TLS_RSA_BITS_MIN) != WOLFSSL_SUCCESS)
        return false;
    wolfSSL_CTX_set_session_cache_mode(w, WOLFSSL_SESS_CACHE_OFF);
    tls_record_wolfssl_set_callbacks(w, c);
    if (tls_crypto_hkdf_extract())
        wolfSSL_CTX_SetHKDFExtractCb(w, tls_crypto_hkdf_extract());
    if (tls_crypto_hkdf_expand())
        wolfSSL_CTX_SetHKDFExpandLabelCb(w, tls_crypto_hkdf_expand());
    if (c->role == TLS_SERVER) /* a resumed client would come without its certificate (measured) */
        return wolfSSL_CTX_no_ticket_TLSv13(w) == 0 && wolfSSL_CTX_NoTicketTLSv12(w) == WOLFSSL_SUCCESS;
    return !c->resumption || wolfSSL_CTX_UseSessionTicket(w) == WOLFSSL_SUCCESS;
}

static int verify_mode(const struct tls_context *c)
{
    if (c->role == TLS_SERVER)
        return c->needs_client_certificate ? WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                           : WOLFSSL_VERIFY_NONE;
    return c->insecure ? WOLFSSL_VERIFY_NONE : WOLFSSL_VERIFY_PEER;
}

static int check_options(const struct tls_context_options *o, struct tls_detail d)
{
    if (!o->own && !o->certificate_file != !o->key_file)
        tls_detail_set(d, "%s is given alone, expected a certificate and its key or neither",
                       o->certificate_file ? o->certificate_file : o->key_file);
    else if (!o->certificate_pem != !o->key_pem)
        tls_detail_set(d, "%s is given alone, expected a certificate and its key or neither",
                       o->certificate_pem ? o->certificate_pem->path : o->key_pem->path);
    else if (o->role == TLS_SERVER && !o->own && !o->certificate_pem && !o->certificate_file)
        tls_detail_set(d, "a TLS server needs a certificate and its key, found neither");
    else if (o->role == TLS_CLIENT && !o->insecure && !has_roots(o))
        tls_detail_set(d, "a TLS client needs a file of trust roots, found none");
    else
        return 0;
    return -EINVAL;
}

static int context_build(struct tls_context *c, const struct tls_context_options *o, struct tls_detail d)
{
    tls_detail_set(d, "out of memory");
    if (o->alpn && !(c->alpn = strdup(o->alpn)))
        return -ENOMEM;
    c->wolfssl = wolfSSL_CTX_new(method_of(o));
    if (!c->wolfssl)
        return -ENOMEM;
    if (!set_protocol(c, o)) {
        tls_detail_set(
            d, "the TLS library refused its suites, groups or versions; expected wolfSSL 5.5 or later "
               "with TLS 1.3, X25519 and AES-GCM");
        return -EINVAL;
    }
    int err = set_roots(c, o, d);
    if (!err)
        err = set_identity(c, o, d);
    if (!err)
        wolfSSL_CTX_set_verify(c->wolfssl, verify_mode(c), NULL);
    return err;
}

int tls_context_new(const struct tls_context_options *o, struct tls_context **ret, char *ret_detail,
                    size_t detail_size)
{
    struct tls_detail d = {ret_detail, detail_size};
    int err = check_options(o, d);
    if (err)
        return err;
    struct tls_context *c = calloc(1, sizeof(*c));
    if (!c) {
        tls_detail_set(d, "out of memory");
        return -ENOMEM;
    }
    atomic_init(&c->refs, 1);
    c->role = o->role;
    c->insecure = o->insecure;
    c->resumption = o->role == TLS_CLIENT && o->resumption;
    c->needs_client_certificate = o->role == TLS_SERVER && has_roots(o);
    err = context_build(c, o, d);
    if (err) {
        tls_context_unref(&c);
        return err;
    }
    if (detail_size > 0)
        ret_detail[0] = '\0';
    *ret = c;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    unsigned before = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return c;
}

void tls_context_unref(struct tls_context **context)
{
    struct tls_context *c = *context;
    *context = NULL;
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    wolfSSL_CTX_free(c->wolfssl);
    free(c->alpn);
    free(c);
}
