/* tools/kubelet-sim/authn.c — client certificates against the client CAs, bearer tokens against a list.
 *
 * A real kubelet verifies for every request. The outcome can only change by an expiry in between, so we ask
 * once per connection, and remember a verdict for a minute (or to the leaf's end, if sooner): a verification
 * costs some 60 us, which are better left to whoever is being measured beside us. */
#include "tools/kubelet-sim/authn.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_roots(struct authn *authn, const char *file, const struct mint_ca *own)
{
    authn->roots = X509_STORE_new();
    authn->names = sk_X509_NAME_new_null();
    if (!authn->roots || !authn->names)
        return false;
    if (file)
        return X509_STORE_load_file(authn->roots, file) == 1 &&
               SSL_add_file_cert_subjects_to_stack(authn->names, file) == 1;
    /* With an intermediate CA its own certificate is trusted as it is, as if it were the root. */
    X509_STORE_set_flags(authn->roots, X509_V_FLAG_PARTIAL_CHAIN);
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(own->cert));
    return X509_STORE_add_cert(authn->roots, own->cert) == 1 && name &&
           sk_X509_NAME_push(authn->names, name) > 0;
}

static bool add_tokens(struct authn *authn, const char *file)
{
    FILE *f = fopen(file, "re");
    if (!f)
        return false;
    char *line = NULL;
    size_t cap = 0;
    bool ok = true;
    while (ok && getline(&line, &cap, f) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        char **grown = *line ? realloc(authn->tokens, (authn->tokens_n + 1) * sizeof(*grown)) : NULL;
        if (!grown) {
            ok = !*line; /* an empty line is skipped */
            continue;
        }
        authn->tokens = grown;
        ok = (grown[authn->tokens_n] = strdup(line)) != NULL;
        authn->tokens_n += ok;
    }
    free(line);
    fclose(f);
    return ok;
}

bool authn_init(struct authn *authn, const char *client_ca_file, const char *token_file,
                const struct mint_ca *own)
{
    *authn = (struct authn){0};
    if (!add_roots(authn, client_ca_file, own)) {
        fprintf(stderr, "kubelet-sim: cannot use the client CA %s\n", client_ca_file ? client_ca_file : "");
        return false;
    }
    if (token_file && !add_tokens(authn, token_file)) {
        fprintf(stderr, "kubelet-sim: cannot read the tokens in %s\n", token_file);
        return false;
    }
    return true;
}

void authn_fini(struct authn *authn)
{
    X509_STORE_free(authn->roots);
    sk_X509_NAME_pop_free(authn->names, X509_NAME_free);
    for (size_t i = 0; i < authn->tokens_n; i++)
        free(authn->tokens[i]);
    free(authn->tokens);
}

enum { VERDICT_S = 60 };

/* The intermediates of a resumed connection are in its ticket (ticket.c). Owned by the caller. */
static STACK_OF(X509) * chain_from_ticket(SSL *ssl)
{
    void *data = NULL;
    size_t n = 0;
    STACK_OF(X509) *chain = sk_X509_new_null();
    if (!chain || SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &n) != 1)
        return chain;
    const unsigned char *at = data, *end = at + n;
    while (at < end) {
        X509 *cert = d2i_X509(NULL, &at, (long)(end - at));
        if (!cert || sk_X509_push(chain, cert) <= 0) {
            X509_free(cert);
            break;
        }
    }
    return chain;
}

static bool verify(const struct authn *authn, X509 *leaf, STACK_OF(X509) * chain)
{
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    bool ok = check && X509_STORE_CTX_init(check, authn->roots, leaf, chain) == 1 &&
              X509_STORE_CTX_set_purpose(check, X509_PURPOSE_SSL_CLIENT) == 1 && X509_verify_cert(check) == 1;
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return ok;
}

static bool digest_of(X509 *leaf, STACK_OF(X509) * chain, unsigned char ret_digest[static 32])
{
    unsigned char digests[64];
    bool ok = X509_digest(leaf, EVP_sha256(), ret_digest, NULL) == 1;
    for (int i = 0; ok && i < sk_X509_num(chain); i++) {
        memcpy(digests, ret_digest, 32);
        ok = X509_digest(sk_X509_value(chain, i), EVP_sha256(), digests + 32, NULL) == 1 &&
             EVP_Digest(digests, sizeof(digests), ret_digest, NULL, EVP_sha256(), NULL) == 1;
    }
    return ok;
}

static uint64_t verdict_ends_ns(X509 *leaf, uint64_t now_ns)
{
    int days = 0, seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(leaf)) != 1)
        return 0;
    if (days > 0 || seconds > VERDICT_S)
        return now_ns + VERDICT_S * 1000000000ULL;
    return days < 0 || seconds < 0 ? now_ns : now_ns + (uint64_t)seconds * 1000000000;
}

bool authn_certificate_ok(const struct authn *authn, struct authn_cache *cache, SSL *ssl, uint64_t now_ns)
{
    unsigned char digest[32];
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    if (!leaf)
        return false;
    STACK_OF(X509) *resumed = SSL_session_reused(ssl) ? chain_from_ticket(ssl) : NULL;
    STACK_OF(X509) *chain = resumed ? resumed : SSL_get_peer_cert_chain(ssl);
    bool ok = false;
    if (digest_of(leaf, chain, digest)) {
        size_t i = digest[0] % AUTHN_CACHE_N;
        if (memcmp(cache->at[i].digest, digest, sizeof(digest)) != 0 || cache->at[i].until_ns <= now_ns) {
            memcpy(cache->at[i].digest, digest, sizeof(digest));
            cache->at[i].ok = verify(authn, leaf, chain);
            cache->at[i].until_ns = verdict_ends_ns(leaf, now_ns);
        }
        ok = cache->at[i].ok;
    }
    sk_X509_pop_free(resumed, X509_free);
    return ok;
}

bool authn_token_ok(const struct authn *authn, const char *authorization, size_t n)
{
    static const char scheme[] = "Bearer ";
    if (n <= sizeof(scheme) - 1 || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
        return false;
    const char *token = authorization + sizeof(scheme) - 1;
    size_t token_n = n - (sizeof(scheme) - 1);
    for (size_t i = 0; i < authn->tokens_n; i++)
        if (strlen(authn->tokens[i]) == token_n && CRYPTO_memcmp(authn->tokens[i], token, token_n) == 0)
            return true;
    return false;
}
