/* test/unit/test_tls_context.c — contexts: every wrong file is named, with what was found and what was
 * expected. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/tls/tls_roots.h"
#include "test/support/pki.h"
#include "test/support/tls_rig.h"

static const char *write_text(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", pki.dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void expect_refusal(const struct tls_context_options *o, int err, const char *file, const char *says)
{
    struct tls_context *c = NULL;
    char detail[256] = "";
    assert_int_equal(tls_context_new(o, &c, detail, sizeof(detail)), err);
    assert_null(c);
    if (!strstr(detail, says) || (file && !strstr(detail, file)) || strchr(detail, '\n'))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", detail, says, file ? file : "");
    /* A small place for the detail is respected. */
    char small[8];
    memset(small, 'x', sizeof(small));
    assert_int_equal(tls_context_new(o, &c, small, 4), err);
    assert_int_equal(small[3], '\0');
    assert_int_equal(small[4], 'x');
}

static void wrong_files_are_named(void **state)
{
    (void)state;
    struct tls_context_options o = {.role = TLS_CLIENT, .ca_file = "/nonexistent/ca.pem"};
    expect_refusal(&o, -ENOENT, "/nonexistent/ca.pem", "No such file");
    o.ca_file = "/";
    expect_refusal(&o, -EINVAL, "/", "regular file");
    o.ca_file = write_text("empty.pem", "");
    expect_refusal(&o, -EINVAL, "empty.pem", "no readable certificate");
    o.ca_file = write_text("text.pem", "hello\n");
    expect_refusal(&o, -EINVAL, "text.pem", "BEGIN CERTIFICATE");
    o.ca_file = pki.leaf_key[0];
    expect_refusal(&o, -EINVAL, "leaf-ec.key", "no readable certificate");

    o.ca_file = pki.root_file;
    o.certificate_file = pki.client_file[0];
    expect_refusal(&o, -EINVAL, "client-ec.pem", "and its key");
    o.key_file = pki.client_key[1];
    expect_refusal(&o, -EINVAL, "client-rsa.key", "not that of the first certificate in");
    o.key_file = pki.leaf_key[0];
    expect_refusal(&o, -EINVAL, "leaf-ec.key", "client-ec.pem");
    o.key_file = pki.client_file[0];
    expect_refusal(&o, -EINVAL, "client-ec.pem", "no readable private key");
    o.key_file = "/nonexistent/key.pem";
    expect_refusal(&o, -ENOENT, "/nonexistent/key.pem", "cannot be opened");
    o.key_file = write_text("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                          "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg=\n"
                                          "-----END ENCRYPTED PRIVATE KEY-----\n");
    expect_refusal(&o, -EINVAL, "locked.key", "private key");
}

static void a_damaged_certificate_in_a_bundle_is_counted(void **state)
{
    (void)state;
    char bundle[8192] = "";
    FILE *f = fopen(pki.root_file, "r");
    assert_non_null(f);
    size_t n = fread(bundle, 1, 6000, f);
    fclose(f);
    snprintf(bundle + n, sizeof(bundle) - n,
             "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    struct tls_context_options o = {.role = TLS_CLIENT, .ca_file = write_text("bundle.pem", bundle)};
    expect_refusal(&o, -EINVAL, "bundle.pem", "certificate 2 of the file is damaged");
}

static void missing_parts_are_asked_for(void **state)
{
    (void)state;
    struct tls_context_options o = {.role = TLS_SERVER};
    expect_refusal(&o, -EINVAL, NULL, "server needs a certificate");
    o.role = TLS_CLIENT;
    expect_refusal(&o, -EINVAL, NULL, "trust roots");
}

static void roots_out_of_date_are_not_trusted(void **state)
{
    (void)state;
    struct cert old = cert_make(&(struct cert_spec){.cn = "old", .ca = true, .from_s = -200, .until_s = -100},
                                NULL);
    struct cert bundle[2] = {old, pki.root};
    struct tls_context_options o = {.role = TLS_CLIENT, .ca_file = cert_write(pki.dir, "old.pem", &old, 1)};
    expect_refusal(&o, -EINVAL, "old.pem", "none valid now");
    o.ca_file = cert_write(pki.dir, "both.pem", bundle, 2);
    struct tls_context *c = NULL;
    char detail[256];
    assert_int_equal(tls_context_new(&o, &c, detail, sizeof(detail)), 0);
    struct cert leaf = cert_make(&(struct cert_spec){.cn = "n1", .san = "IP:10.1.2.3"}, &old);
    SSL_CTX *peer = ssl_peer_context(true, &leaf, 1, NULL, 0);
    struct tls_rig r;
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    assert_true(rig_until(&r, &r.owner.closed, 1, 200));
    assert_int_equal(r.owner.reason, ENDING_TLS_UNTRUSTED);
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
    cert_free(&leaf);
    cert_free(&old);
}

static void identities_in_memory_are_judged_by_name(void **state)
{
    (void)state;
    static const uint8_t garbage[] = "\x30\x03\x02\x01\x01 not a certificate";
    uint8_t *chain = NULL, *key = NULL;
    int chain_len = i2d_X509(pki.leaf[PKI_RSA].x, &chain),
        key_len = i2d_PrivateKey(pki.leaf[PKI_RSA].key, &key);
    struct tls_own_identity good = {chain, (size_t)chain_len, key, (size_t)key_len}, bad = good;
    struct tls_context_options o = {.role = TLS_SERVER, .own = &bad};
    bad.chain = garbage;
    bad.chain_len = sizeof(garbage);
    expect_refusal(&o, -EINVAL, "identity in memory", "not usable as a certificate chain");
    o.certificate_file = "the certificate of nobody";
    expect_refusal(&o, -EINVAL, "the certificate of nobody: not", "expected the leaf first");
    bad = good;
    bad.key = garbage;
    bad.key_len = sizeof(garbage);
    o.key_file = "the key of nobody";
    expect_refusal(&o, -EINVAL, "the key of nobody: not", "expected RSA (2048 bits or more) or EC");
    o.own = &good;
    struct tls_context *c = NULL;
    char detail[256];
    assert_int_equal(tls_context_new(&o, &c, detail, sizeof(detail)), 0);
    tls_context_unref(&c);
    OPENSSL_free(chain);
    OPENSSL_clear_free(key, (size_t)key_len);
}

static void roots_are_read_once_for_many(void **state)
{
    (void)state;
    struct tls_roots *roots = NULL;
    char detail[256] = "";
    assert_int_equal(tls_roots_new("/nonexistent/ca.pem", &roots, detail, sizeof(detail)), -ENOENT);
    assert_non_null(strstr(detail, "/nonexistent/ca.pem"));
    assert_int_equal(tls_roots_new(pki.leaf_key[0], &roots, detail, sizeof(detail)), -EINVAL);
    assert_null(roots);
    const char *file = write_text("copy.pem", "");
    struct cert other = cert_make(&(struct cert_spec){.cn = "other-root", .ca = true}, NULL);
    cert_write(pki.dir, "copy.pem", &pki.root, 1);
    assert_int_equal(tls_roots_new(file, &roots, detail, sizeof(detail)), 0);
    cert_write(pki.dir, "copy.pem", &other, 1); /* does not matter any more */
    struct tls_context *c[2];
    for (int i = 0; i < 2; i++)
        c[i] = rig_context(&(struct tls_context_options){.role = TLS_CLIENT, .roots = roots});
    tls_roots_unref(&roots); /* the contexts keep them */
    assert_null(roots);
    struct cert stranger = cert_make(&(struct cert_spec){.cn = "n1", .san = "IP:10.1.2.3"}, &other);
    for (int i = 0; i < 4; i++) {
        SSL_CTX *peer = ssl_peer_context(true, i / 2 ? &stranger : pki.leaf, 1, NULL, 0);
        struct tls_rig r;
        rig_init(&r, NULL);
        rig_connect(&r, &(struct rig_connect){.context = c[i % 2], .peer = peer, .ip = "10.1.2.3"});
        assert_true(rig_until(&r, i / 2 ? &r.owner.closed : &r.owner.opened, 1, 200));
        if (i / 2)
            assert_int_equal(r.owner.reason, ENDING_TLS_UNTRUSTED);
        rig_disconnect(&r);
        rig_fini(&r);
        SSL_CTX_free(peer);
        if (i == 2)
            tls_context_unref(&c[0]);
    }
    tls_context_unref(&c[1]);
    cert_free(&stranger);
    cert_free(&other);
}

static void references_are_counted(void **state)
{
    (void)state;
    struct tls_context *c = pki_client_context(PKI_RSA), *again = tls_context_ref(c);
    tls_context_unref(&c);
    assert_null(c);
    tls_context_unref(&again);
    tls_context_unref(&again); /* harmless */
    struct tls_context *s = pki_server_context(PKI_RSA, true);
    tls_context_unref(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(a_damaged_certificate_in_a_bundle_is_counted),
        cmocka_unit_test(missing_parts_are_asked_for),
        cmocka_unit_test(roots_out_of_date_are_not_trusted),
        cmocka_unit_test(identities_in_memory_are_judged_by_name),
        cmocka_unit_test(roots_are_read_once_for_many),
        cmocka_unit_test(references_are_counted),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
