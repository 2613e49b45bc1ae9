/* tools/pki/pem_file.c — keys and certificates on disk.
 *
 * A file appears whole or not at all: it is written beside its place, flushed to the disk and renamed, so a
 * program that watches the path never reads half a key. A private key is 0600 from its first byte on. */
#include "tools/pki/mint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/pki/reason.h"

static enum mint_result write_all(const char *path, mode_t mode, BIO *content)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return mint_fail(MINT_FILE, "path too long: %s", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return mint_fail(MINT_FILE, "cannot create a file beside %s: %s", path, strerror(errno));
    char *bytes = NULL;
    long left = BIO_get_mem_data(content, &bytes);
    bool ok = fchmod(fd, mode) == 0;
    while (ok && left > 0) {
        ssize_t n = write(fd, bytes, (size_t)left);
        if (n < 0 && errno == EINTR)
            continue;
        ok = n > 0;
        bytes += ok ? n : 0;
        left -= ok ? n : 0;
    }
    ok = ok && fsync(fd) == 0;
    int error = errno;
    ok = close(fd) == 0 && ok && rename(temporary, path) == 0;
    if (ok)
        return MINT_OK;
    error = error ? error : errno;
    unlink(temporary);
    return mint_fail(MINT_FILE, "cannot write %s: %s", path, strerror(error));
}

enum mint_result mint_write_key(const char *path, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    enum mint_result r = MINT_OK;
    if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        r = mint_fail_crypto("encoding a private key");
    if (r == MINT_OK)
        r = write_all(path, 0600, bio);
    BIO_free(bio);
    return r;
}

static bool is_root(X509 *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

enum mint_result mint_write_cert(const char *path, X509 *leaf, const struct mint_ca *issuer)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio && PEM_write_bio_X509(bio, leaf);
    if (issuer && !is_root(issuer->cert)) {
        ok = ok && PEM_write_bio_X509(bio, issuer->cert);
        for (int i = 0; ok && i < sk_X509_num(issuer->chain); i++)
            if (!is_root(sk_X509_value(issuer->chain, i)))
                ok = PEM_write_bio_X509(bio, sk_X509_value(issuer->chain, i)) == 1;
    }
    enum mint_result r = ok ? write_all(path, 0644, bio) : mint_fail_crypto("encoding a certificate");
    BIO_free(bio);
    return r;
}

static enum mint_result read_certs(const char *path, struct mint_ca *ca)
{
    BIO *bio = BIO_new_file(path, "r");
    if (!bio)
        return mint_fail(MINT_FILE, "cannot read %s: %s", path, strerror(errno));
    ca->chain = sk_X509_new_null();
    ca->cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509 *next = NULL;
    bool ok = ca->chain && ca->cert;
    while (ok && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
        if (!(ok = sk_X509_push(ca->chain, next) > 0))
            X509_free(next);
    BIO_free(bio);
    return ok ? MINT_OK : mint_fail(MINT_FORMAT, "no certificate in %s", path);
}

static enum mint_result read_key(const char *path, EVP_PKEY **ret_key)
{
    BIO *bio = BIO_new_file(path, "r");
    if (!bio)
        return mint_fail(MINT_FILE, "cannot read %s: %s", path, strerror(errno));
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!key)
        return mint_fail(MINT_FORMAT, "no private key in %s", path);
    *ret_key = key;
    return MINT_OK;
}

enum mint_result mint_ca_read(const char *dir, struct mint_ca *ret_ca)
{
    char cert_path[PATH_MAX], key_path[PATH_MAX];
    if (snprintf(cert_path, sizeof(cert_path), "%s/ca.crt", dir) >= (int)sizeof(cert_path) ||
        snprintf(key_path, sizeof(key_path), "%s/ca.key", dir) >= (int)sizeof(key_path))
        return mint_fail(MINT_FILE, "path too long: %s", dir);
    struct mint_ca ca = {0};
    enum mint_result r = read_certs(cert_path, &ca);
    if (r == MINT_OK)
        r = read_key(key_path, &ca.key);
    if (r == MINT_OK && X509_check_private_key(ca.cert, ca.key) != 1)
        r = mint_fail(MINT_FORMAT, "%s and %s do not belong together", cert_path, key_path);
    if (r == MINT_OK && X509_check_ca(ca.cert) != 1)
        r = mint_fail(MINT_FORMAT, "%s is not a CA certificate", cert_path);
    if (r == MINT_OK)
        *ret_ca = ca;
    else
        mint_ca_fini(&ca);
    return r;
}

enum mint_result mint_make_dir(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(part))
        return mint_fail(MINT_FILE, "not a usable path: '%s'", path);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return mint_fail(MINT_FILE, "cannot make the directory %s: %s", part, strerror(errno));
    }
    return MINT_OK;
}
