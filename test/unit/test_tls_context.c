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
        cmocka_unit_test(references_are_counted),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
