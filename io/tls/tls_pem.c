/* io/tls/tls_pem.c — see tls_pem.h. Parsed with libcrypto, whose verdicts are precise; the bytes then go to
 * wolfSSL as they were read, so both judge the same version of a file that is being replaced. */
#include "io/tls/tls_pem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void tls_detail_set(struct tls_detail d, const char *fmt, ...)
{
    va_list args;
    if (d.size == 0)
        return;
    va_start(args, fmt);
    vsnprintf(d.text, d.size, fmt, args);
    va_end(args);
}

static int file_fill(int fd, struct tls_pem *f, struct tls_detail d)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size > TLS_PEM_BYTES_MAX) {
        tls_detail_set(d, "%s: expected a regular file of at most %d bytes", f->path, TLS_PEM_BYTES_MAX);
        return -EINVAL;
    }
    size_t size = (size_t)st.st_size;
    f->bytes = malloc(size + 1);
    if (!f->bytes)
        return -ENOMEM;
    while (f->len < size) {
        ssize_t n = read(fd, f->bytes + f->len, size - f->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        f->len += (size_t)n;
    }
    return 0;
}

int tls_pem_read(const char *path, struct tls_pem *ret, struct tls_detail d)
{
    struct tls_pem f = {.path = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int err = -errno;
        tls_detail_set(d, "%s: cannot be opened: %s", path, strerror(-err));
        return err;
    }
    if (d.size > 0)
        d.text[0] = '\0';
    int err = file_fill(fd, &f, d);
    close(fd);
    if (err) {
        tls_pem_free(&f);
        if (d.size > 0 && !d.text[0])
            tls_detail_set(d, "%s: cannot be read: %s", path, strerror(-err));
        return err;
    }
    *ret = f;
    return 0;
}

void tls_pem_free(struct tls_pem *f)
{
    if (f->bytes)
        OPENSSL_cleanse(f->bytes, f->len);
    free(f->bytes);
    *f = (struct tls_pem){0};
}

/* Reads all certificates; the first one is given to ret_first if that is not NULL. Count, or -1 with one
 * line. */
static int read_certificates(const struct tls_pem *f, X509 **ret_first, struct tls_detail d)
{
    BIO *bio = BIO_new_mem_buf(f->bytes, (int)f->len);
    if (!bio)
        return -1;
    int count = 0;
    X509 *x;
    while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (count++ == 0 && ret_first)
            *ret_first = x;
        else
            X509_free(x);
    }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(bio);
    if (count > 0 && at_end)
        return count;
    if (count > 0)
        tls_detail_set(d, "%s: certificate %d of the file is damaged, expected PEM certificates", f->path,
                       count + 1);
    else
        tls_detail_set(d, "%s: no readable certificate found, expected PEM (-----BEGIN CERTIFICATE-----)",
                       f->path);
    if (count > 0 && ret_first) {
        X509_free(*ret_first);
        *ret_first = NULL;
    }
    return -1;
}

/* Gives one root away. 1: it was out of date and left out; 0; or -EINVAL with one line. */
static int take_root(const struct tls_pem *f, X509 *x, const struct tls_roots_taker *taker,
                     struct tls_detail d)
{
    if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0 || X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
        return 1;
    uint8_t *der = NULL;
    int len = i2d_X509(x, &der);
    const char *why = len > 0 ? taker->take(taker->arg, der, (size_t)len) : "out of memory";
    OPENSSL_free(der);
    if (!why)
        return 0;
    char name[160] = "";
    X509_NAME_oneline(X509_get_subject_name(x), name, sizeof(name));
    tls_detail_set(d, "%s: %s is not usable as a trust root: %s", f->path, name, why);
    return -EINVAL;
}

int tls_pem_take_roots(const struct tls_pem *f, const struct tls_roots_taker *taker, struct tls_detail d)
{
    int count = read_certificates(f, NULL, d), taken = 0;
    if (count < 0)
        return -EINVAL;
    BIO *bio = BIO_new_mem_buf(f->bytes, (int)f->len);
    for (int i = 0; bio && i < count; i++) {
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        int result = x ? take_root(f, x, taker, d) : 1;
        X509_free(x);
        if (result < 0) {
            BIO_free(bio);
            return result;
        }
        taken += result == 0;
    }
    BIO_free(bio);
    if (taken > 0)
        return 0;
    tls_detail_set(d, "%s: %d certificate%s found, none valid now; expected a CA certificate that is",
                   f->path, count, count == 1 ? "" : "s");
    return -EINVAL;
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    *(bool *)arg = true;
    return 0;
}

static int check_key(const struct tls_pem *chain, const struct tls_pem *file, X509 *leaf, struct tls_detail d)
{
    bool encrypted = false;
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted) : NULL;
    int err = -EINVAL;
    BIO_free(bio);
    if (!key && encrypted)
        tls_detail_set(d, "%s: the private key is encrypted, expected an unencrypted one", file->path);
    else if (!key)
        tls_detail_set(d, "%s: no readable private key found, expected PEM (-----BEGIN PRIVATE KEY-----)",
                       file->path);
    else if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "EC"))
        tls_detail_set(d, "%s: found a private key of type %s, expected RSA or EC", file->path,
                       EVP_PKEY_get0_type_name(key));
    else if (X509_check_private_key(leaf, key) != 1)
        tls_detail_set(d, "%s: the private key is not that of the first certificate in %s", file->path,
                       chain->path);
    else
        err = 0;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return err;
}

int tls_pem_check_identity(const struct tls_pem *chain, const struct tls_pem *key, struct tls_detail d)
{
    X509 *leaf = NULL;
    if (read_certificates(chain, &leaf, d) < 0)
        return -EINVAL;
    int err = check_key(chain, key, leaf, d);
    X509_free(leaf);
    return err;
}
