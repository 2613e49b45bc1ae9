/* tools/pki/mint.h — keys and X.509 v3 certificates made with libcrypto, and their way to and from PEM files.
 * Any thread; nothing is shared but libcrypto itself. What a call returns belongs to the caller. */
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/must_use.h"

enum mint_result {
    MINT_OK = 0,
    MINT_INVALID, /* what was asked for cannot be made: bad address, name too long */
    MINT_FILE,    /* a file could not be read or written */
    MINT_FORMAT,  /* a file was read and is not what it should be */
    MINT_CRYPTO,  /* libcrypto refused */
};

enum mint_algorithm { MINT_P256, MINT_RSA2048 };

enum mint_usage {
    MINT_CA = 1,     /* basicConstraints CA:TRUE, keyCertSign and cRLSign */
    MINT_SERVER = 2, /* extendedKeyUsage serverAuth */
    MINT_CLIENT = 4, /* extendedKeyUsage clientAuth */
};

struct mint_ca {
    X509 *cert;
    EVP_PKEY *key;
    /* Further certificates of the file: the issuers of an intermediate. May be empty. */
    // clang-format off
    STACK_OF(X509) *chain;
    // clang-format on
};

struct mint_spec {
    const char *cn;
    const char *const *orgs, *const *dns, *const *ips;
    size_t orgs_n, dns_n, ips_n;
    unsigned usage;                    /* enum mint_usage, or-ed */
    int64_t not_before_s, not_after_s; /* Unix time */
};

const char *mint_reason(void);
/* Why the last call of this thread failed, one line without newline. */

MUST_USE enum mint_result mint_key(enum mint_algorithm, EVP_PKEY **ret_key);
MUST_USE enum mint_result mint_cert(const struct mint_spec *, EVP_PKEY *subject, const struct mint_ca *issuer,
                                    X509 **ret_cert);
/* issuer NULL: signed by its own key. */

MUST_USE enum mint_result mint_ca_new(const char *cn, enum mint_algorithm, int days,
                                      const struct mint_ca *parent, struct mint_ca *ret_ca);
/* parent NULL: a root. */
MUST_USE enum mint_result mint_ca_read(const char *dir, struct mint_ca *ret_ca);
/* Reads DIR/ca.crt and DIR/ca.key and checks that they belong together. */
void mint_ca_fini(struct mint_ca *);

MUST_USE enum mint_result mint_write_key(const char *path, EVP_PKEY *);
/* PKCS#8 PEM, mode 0600. Both writers make a temporary file beside the path and rename it. */
MUST_USE enum mint_result mint_write_cert(const char *path, X509 *leaf, const struct mint_ca *issuer);
/* The leaf, then those certificates of the issuer that are not roots. issuer may be NULL. Mode 0644. */
MUST_USE enum mint_result mint_make_dir(const char *path);
/* The directory and its missing parents, mode 0755. */
