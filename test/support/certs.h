/* test/support/certs.h — certificates made for a test, good and bad ones, by libcrypto. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

struct cert_spec {
    const char *cn, *org; /* NULL: none */
    const char *san;      /* as openssl writes it: "IP:10.0.0.1,DNS:a.example"; NULL: none */
    bool ca, rsa;
    bool client_only;     /* extended key usage clientAuth alone */
    long from_s, until_s; /* from now; both 0: an hour back to a day ahead */
    /* Other than the usual; NULL and 0: P-256 or 2048 bits, and what its kind of certificate needs. */
    const char *curve, *usage, *extended_usage;
    unsigned rsa_bits;
};

struct cert {
    X509 *x;
    EVP_PKEY *key;
};

struct cert cert_make(const struct cert_spec *, const struct cert *issuer);
/* issuer NULL: self-signed. */
void cert_free(struct cert *);
const char *cert_write(const char *dir, const char *name, const struct cert *chain, int count);
/* PEM, in order; returns the path, which the directory's removal invalidates only. */
const char *cert_write_key(const char *dir, const char *name, const struct cert *);
const char *certs_dir_new(void);
void certs_dir_remove(const char *dir);
