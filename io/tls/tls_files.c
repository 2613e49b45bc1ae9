/* io/tls/tls_files.c — see tls_files.h. */
#include "io/tls/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/file.h"

enum {
    PEM_BYTES_MAX = 1024 * 1024, /* a system's whole bundle of roots has 220 KiB */
    TOKEN_BYTES_MAX = 16 * 1024, /* service account tokens have 1 KiB */
    SECONDS_A_DAY = 86400,
};

PRINTF(3, 4)
static enum tls_file_verdict judge(struct tls_file_finding *finding, enum tls_file_verdict verdict,
                                   const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(finding->found, sizeof(finding->found), format, args);
    va_end(args);
    ERR_clear_error();
    return verdict;
}

static void expect(struct tls_file_finding *finding, const char *expected)
{
    snprintf(finding->expected, sizeof(finding->expected), "%s", expected);
}

/* Asking at a terminal is not an option, and an empty passphrase is none. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer, (void)size, (void)writing, (void)arg;
    return -1;
}

static enum tls_file_verdict read_file(const char *path, size_t bytes_max, struct file *ret_file,
                                       struct tls_file_finding *finding)
{
    int rc = file_read(path, bytes_max, ret_file);
    return rc == 0 ? TLS_FILE_GOOD
                   : judge(finding, TLS_FILE_BAD, "\"%.200s\" (%s)", path, file_error_text(rc));
}

static X509 *first_certificate(const struct file *file)
{
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->len);
    X509 *certificate = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

static int64_t unix_time(const ASN1_TIME *when)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static const char *date_text(int64_t when, char text[32])
{
    struct tm tm;
    time_t t = (time_t)when;
    gmtime_r(&t, &tm);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return text;
}

static enum tls_file_verdict judge_dates(const char *path, const X509 *certificate,
                                         struct tls_file_finding *finding)
{
    char text[32];
    int64_t now = (int64_t)time(NULL);
    int64_t before = unix_time(X509_get0_notBefore(certificate));
    finding->not_after = unix_time(X509_get0_notAfter(certificate));
    if (finding->not_after < now)
        return judge(finding, TLS_FILE_BAD, "\"%.200s\" (expired %s)", path,
                     date_text(finding->not_after, text));
    if (before > now)
        return judge(finding, TLS_FILE_BAD, "\"%.200s\" (valid from %s)", path, date_text(before, text));
    if (finding->not_after - now < (int64_t)TLS_FILE_WARN_DAYS * SECONDS_A_DAY)
        return judge(finding, TLS_FILE_DOUBTFUL, "\"%.200s\" (expires %s)", path,
                     date_text(finding->not_after, text));
    return TLS_FILE_GOOD;
}

/* What an issuer without basicConstraints or keyCertSign signs, no client takes. */
static enum tls_file_verdict judge_issuer(const char *path, X509 *certificate,
                                          struct tls_file_finding *finding)
{
    uint32_t usage = X509_get_key_usage(certificate); /* all bits when it does not say */
    if (X509_check_ca(certificate) == 1 && (usage & KU_KEY_CERT_SIGN))
        return TLS_FILE_GOOD;
    expect(finding, "one of a CA (basicConstraints CA:TRUE, keyUsage keyCertSign)");
    return judge(finding, TLS_FILE_BAD, "\"%.200s\" (a certificate that may not sign others)", path);
}

static enum tls_file_verdict judge_purpose(const char *path, X509 *certificate, enum tls_file_use use,
                                           struct tls_file_finding *finding)
{
    int purpose = use == TLS_FILE_SERVER ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
    if (X509_check_purpose(certificate, purpose, 0) == 1)
        return TLS_FILE_GOOD;
    expect(finding, use == TLS_FILE_SERVER ? "one made for server authentication (extended key usage)"
                                           : "one made for client authentication (extended key usage)");
    return judge(finding, TLS_FILE_DOUBTFUL, "\"%.200s\" (a certificate for other uses)", path);
}

enum tls_file_verdict tls_file_check_certificate(const char *path, enum tls_file_use use,
                                                 struct tls_file_finding *ret_finding)
{
    struct file file = {0};
    struct tls_file_finding *finding = ret_finding;
    *finding = (struct tls_file_finding){0};
    expect(finding, "a PEM file with a certificate");
    enum tls_file_verdict verdict = read_file(path, PEM_BYTES_MAX, &file, finding);
    if (verdict != TLS_FILE_GOOD)
        return verdict;
    X509 *certificate = first_certificate(&file);
    file_fini(&file);
    if (!certificate)
        return judge(finding, TLS_FILE_BAD, "\"%.200s\" (no certificate in it)", path);
    bool issuer = use == TLS_FILE_ISSUER;
    verdict = issuer ? judge_issuer(path, certificate, finding) : TLS_FILE_GOOD;
    if (verdict == TLS_FILE_GOOD) {
        expect(finding, "a certificate that is valid now and for 7 more days");
        verdict = judge_dates(path, certificate, finding);
    }
    if (verdict == TLS_FILE_GOOD && !issuer)
        verdict = judge_purpose(path, certificate, use, finding);
    X509_free(certificate);
    ERR_clear_error();
    return verdict;
}

static enum tls_file_verdict judge_mode(const char *path, const struct file *file,
                                        enum tls_file_readers readers, struct tls_file_finding *finding)
{
    expect(finding, "0600 or 0640");
    if (file->mode & 0007)
        return judge(finding, readers == TLS_FILE_WORLD ? TLS_FILE_DOUBTFUL : TLS_FILE_BAD,
                     "mode %04o on \"%.200s\" (open to everybody)", file->mode, path);
    if ((file->mode & 0070) && readers == TLS_FILE_OWNER) {
        expect(finding, "0600, or keyGroupReadable: true");
        return judge(finding, TLS_FILE_DOUBTFUL, "mode %04o on \"%.200s\" (open to its group)", file->mode,
                     path);
    }
    return TLS_FILE_GOOD;
}

static EVP_PKEY *private_key(const struct file *file)
{
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static bool key_belongs(EVP_PKEY *key, const char *certificate_path)
{
    struct file file = {0};
    if (file_read(certificate_path, PEM_BYTES_MAX, &file) != 0)
        return false;
    X509 *certificate = first_certificate(&file);
    bool same = certificate && X509_check_private_key(certificate, key) == 1;
    X509_free(certificate);
    file_fini(&file);
    return same;
}

enum tls_file_verdict tls_file_check_key(const char *path, const char *certificate_path,
                                         enum tls_file_readers readers, struct tls_file_finding *ret_finding)
{
    struct file file = {0};
    struct tls_file_finding *finding = ret_finding;
    *finding = (struct tls_file_finding){0};
    expect(finding, "a PEM file with a private key");
    enum tls_file_verdict verdict = read_file(path, PEM_BYTES_MAX, &file, finding);
    if (verdict != TLS_FILE_GOOD)
        return verdict;
    verdict = judge_mode(path, &file, readers, finding);
    EVP_PKEY *key = verdict == TLS_FILE_BAD ? NULL : private_key(&file);
    if (verdict != TLS_FILE_BAD && !key) {
        bool locked = strstr(file.bytes, "ENCRYPTED") != NULL;
        expect(finding, locked ? "a private key without passphrase" : "a PEM file with a private key");
        verdict = judge(finding, TLS_FILE_BAD, "\"%.200s\" (%s)", path,
                        locked ? "an encrypted key" : "no private key in it");
    }
    file_fini(&file);
    if (key && !key_belongs(key, certificate_path)) {
        expect(finding, "the private key of that certificate");
        verdict = judge(finding, TLS_FILE_BAD, "\"%.160s\" (not the key of \"%.160s\")", path,
                        certificate_path);
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return verdict;
}

struct ca_count {
    unsigned certificates, authorities, valid;
    int64_t first_end;
};

static void count_authorities(const struct file *file, struct ca_count *count)
{
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->len);
    int64_t now = (int64_t)time(NULL);
    X509 *certificate;
    while (bio && (certificate = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL)) != NULL) {
        int64_t end = unix_time(X509_get0_notAfter(certificate));
        count->certificates++;
        if (X509_check_ca(certificate) > 0) {
            count->authorities++;
            count->valid += end >= now && unix_time(X509_get0_notBefore(certificate)) <= now;
            if (end >= now && (count->first_end == 0 || end < count->first_end))
                count->first_end = end;
        }
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error();
}

enum tls_file_verdict tls_file_check_ca(const char *path, struct tls_file_finding *ret_finding)
{
    struct file file = {0};
    struct ca_count count = {0};
    struct tls_file_finding *finding = ret_finding;
    char text[32];
    *finding = (struct tls_file_finding){0};
    expect(finding, "a PEM file with CA certificates");
    enum tls_file_verdict verdict = read_file(path, PEM_BYTES_MAX, &file, finding);
    if (verdict != TLS_FILE_GOOD)
        return verdict;
    count_authorities(&file, &count);
    file_fini(&file);
    finding->not_after = count.first_end;
    if (count.authorities == 0)
        return judge(finding, TLS_FILE_BAD, "\"%.200s\" (%u certificates in it, none of a CA)", path,
                     count.certificates);
    expect(finding, "a CA certificate that is valid now and for 7 more days");
    if (count.valid == 0)
        return judge(finding, TLS_FILE_BAD, "\"%.200s\" (%u CA certificates in it, none valid now)", path,
                     count.authorities);
    if (count.first_end - (int64_t)time(NULL) < (int64_t)TLS_FILE_WARN_DAYS * SECONDS_A_DAY)
        return judge(finding, TLS_FILE_DOUBTFUL, "\"%.200s\" (one in it expires %s)", path,
                     date_text(count.first_end, text));
    if (count.valid < count.authorities)
        return judge(finding, TLS_FILE_DOUBTFUL, "\"%.200s\" (%u of %u CA certificates not valid now)", path,
                     count.authorities - count.valid, count.authorities);
    return TLS_FILE_GOOD;
}

static bool is_token(const struct file *file)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
    size_t len = file->len;
    if (len > 0 && file->bytes[len - 1] == '\n')
        len--;
    return len > 0 && strspn(file->bytes, allowed) == len;
}

enum tls_file_verdict tls_file_check_token(const char *path, enum tls_file_readers readers,
                                           struct tls_file_finding *ret_finding)
{
    struct file file = {0};
    struct tls_file_finding *finding = ret_finding;
    *finding = (struct tls_file_finding){0};
    expect(finding, "a file with a bearer token");
    enum tls_file_verdict verdict = read_file(path, TOKEN_BYTES_MAX, &file, finding);
    if (verdict != TLS_FILE_GOOD)
        return verdict;
    verdict = judge_mode(path, &file, readers, finding);
    if (verdict != TLS_FILE_BAD && !is_token(&file)) {
        expect(finding, "one line of letters, digits and -._~+/=");
        verdict = judge(finding, TLS_FILE_BAD, "\"%.200s\" (no bearer token in it)", path);
    }
    file_fini(&file);
    return verdict;
}
