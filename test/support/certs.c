/* test/support/certs.c — see certs.h. */
#include "test/support/certs.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/attributes.h"

static long next_serial = 1000;

static void add_name(X509_NAME *name, const char *field, const char *value)
{
    if (value)
        ASSERT(
            X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0));
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ASSERT(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static EVP_PKEY *key_make(const struct cert_spec *spec)
{
    if (spec->rsa)
        return EVP_RSA_gen(spec->rsa_bits ? spec->rsa_bits : 2048);
    return EVP_EC_gen(spec->curve ? spec->curve : "P-256");
}

static void add_usages(X509 *x, X509 *by, const struct cert_spec *spec)
{
    const char *usage = spec->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature";
    const char *extended = spec->ca ? NULL : spec->client_only ? "clientAuth" : "serverAuth,clientAuth";
    add_extension(x, by, NID_key_usage, spec->usage ? spec->usage : usage);
    if (spec->extended_usage || extended)
        add_extension(x, by, NID_ext_key_usage, spec->extended_usage ? spec->extended_usage : extended);
}

struct cert cert_make(const struct cert_spec *spec, const struct cert *issuer)
{
    struct cert c = {X509_new(), key_make(spec)};
    ASSERT(c.x && c.key);
    X509_set_version(c.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x), next_serial++);
    bool dated = spec->from_s || spec->until_s;
    X509_gmtime_adj(X509_getm_notBefore(c.x), dated ? spec->from_s : -3600);
    X509_gmtime_adj(X509_getm_notAfter(c.x), dated ? spec->until_s : 86400);
    X509_set_pubkey(c.x, c.key);
    add_name(X509_get_subject_name(c.x), "O", spec->org);
    add_name(X509_get_subject_name(c.x), "CN", spec->cn);
    X509_set_issuer_name(c.x, X509_get_subject_name(issuer ? issuer->x : c.x));
    X509 *by = issuer ? issuer->x : c.x;
    add_extension(c.x, by, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_usages(c.x, by, spec);
    add_extension(c.x, by, NID_subject_key_identifier, "hash");
    if (issuer)
        add_extension(c.x, by, NID_authority_key_identifier, "keyid");
    if (spec->san)
        add_extension(c.x, by, NID_subject_alt_name, spec->san);
    ASSERT(X509_sign(c.x, issuer ? issuer->key : c.key, EVP_sha256()) > 0);
    return c;
}

void cert_free(struct cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
    *c = (struct cert){0};
}

static const char *path_of(const char *dir, const char *name)
{
    static char paths[64][512];
    static unsigned next;
    char *path = paths[next++ % 64];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

const char *cert_write(const char *dir, const char *name, const struct cert *chain, int count)
{
    const char *path = path_of(dir, name);
    FILE *f = fopen(path, "w");
    ASSERT(f);
    for (int i = 0; i < count; i++)
        ASSERT(PEM_write_X509(f, chain[i].x) == 1);
    fclose(f);
    return path;
}

const char *cert_write_key(const char *dir, const char *name, const struct cert *c)
{
    const char *path = path_of(dir, name);
    FILE *f = fopen(path, "w");
    ASSERT(f);
    ASSERT(fchmod(fileno(f), 0600) == 0);
    ASSERT(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
    return path;
}

const char *certs_dir_new(void)
{
    static char dir[64];
    snprintf(dir, sizeof(dir), "/tmp/hawser-certs-XXXXXX");
    ASSERT(mkdtemp(dir));
    return dir;
}

void certs_dir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.')
            unlink(path_of(dir, e->d_name));
    if (d)
        closedir(d);
    rmdir(dir);
}
