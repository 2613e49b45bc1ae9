/* test/unit/test_tls_issuer.c — certificates made for destinations, judged by OpenSSL; issuers that cannot be
 * one, and the line that says so; destinations that no certificate can name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/x509v3.h>

#include "io/tls/tls_issuer.h"
#include "test/support/pki.h"

enum { HOUR = 3600, SERIALS = 200 };

static const struct tls_detail no_detail;

static struct tls_issuer *load(const struct cert *chain, int count)
{
    struct tls_issuer *i = NULL;
    char detail[256] = "";
    int err = tls_issuer_new(cert_write(pki.dir, "issuer.pem", chain, count),
                             cert_write_key(pki.dir, "issuer.key", chain), &i, detail, sizeof(detail));
    if (err)
        fail_msg("%d %s", err, detail);
    return i;
}

static struct tls_minted mint(const struct tls_issuer *i, const char *name, uint32_t life_s)
{
    struct tls_host host;
    struct tls_minted m;
    assert_true(tls_host_parse(name, &host, no_detail));
    assert_true(tls_issuer_mint(i, &host, (int64_t)time(NULL), life_s, &m, no_detail));
    return m;
}

/* The certificates of a chain, leaf first. */
static STACK_OF(X509) * parse(const struct tls_minted *m)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    for (const uint8_t *at = m->chain; at < m->chain + m->chain_len;) {
        X509 *x = d2i_X509(NULL, &at, m->chain + m->chain_len - at);
        assert_non_null(x);
        sk_X509_push(chain, x);
    }
    return chain;
}

/* X509_V_OK or what OpenSSL has against it. `name` is an address or a DNS name. */
static int verdict(STACK_OF(X509) * chain, const struct cert *root, const char *name)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, root->x), 1);
    assert_int_equal(X509_STORE_CTX_init(c, store, sk_X509_value(chain, 0), chain), 1);
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(c);
    X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT);
    if (X509_VERIFY_PARAM_set1_ip_asc(p, name) != 1)
        assert_int_equal(X509_VERIFY_PARAM_set1_host(p, name, 0), 1);
    int result = X509_verify_cert(c) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(c);
    X509_STORE_CTX_free(c);
    X509_STORE_free(store);
    return result;
}

static void expect_verified(const struct tls_issuer *i, const struct cert *root, const char *name, int count)
{
    struct tls_minted m = mint(i, name, HOUR);
    STACK_OF(X509) *chain = parse(&m);
    const uint8_t *key_at = m.key;
    EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_EC, NULL, &key_at, sizeof(m.key));
    assert_non_null(key);
    assert_int_equal(key_at - m.key, sizeof(m.key));
    assert_int_equal(X509_check_private_key(sk_X509_value(chain, 0), key), 1);
    assert_int_equal(sk_X509_num(chain), count);
    int result = verdict(chain, root, name);
    if (result != X509_V_OK)
        fail_msg("%s: %s", name, X509_verify_cert_error_string(result));
    /* And for no other. */
    assert_int_equal(verdict(chain, root, "10.9.9.9"), X509_V_ERR_IP_ADDRESS_MISMATCH);
    assert_int_equal(verdict(chain, root, "fd00::99"), X509_V_ERR_IP_ADDRESS_MISMATCH);
    assert_int_equal(verdict(chain, root, "other.example"), X509_V_ERR_HOSTNAME_MISMATCH);
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    tls_minted_drop(&m);
    static const struct tls_minted empty;
    assert_memory_equal(&m, &empty, sizeof(m));
}

static const char long_name[] = "a-rather-long-label-of-a-pod.and-another-long-label-of-its-namespace."
                                "svc.cluster-with-a-name.example";

static void certificates_verify_for_their_destination_only(void **state)
{
    (void)state;
    static const char *const names[] = {"10.1.2.3",
                                        "fd00::5",
                                        "::1",
                                        "n1.example",
                                        "localhost",
                                        "ip-10-0-0-1.eu_west.compute.internal",
                                        "xn--bcher-kva.example",
                                        long_name};
    struct cert root[3] = {cert_make(&(struct cert_spec){.cn = "ec", .ca = true}, NULL),
                           cert_make(&(struct cert_spec){.cn = "rsa", .ca = true, .rsa = true}, NULL),
                           cert_make(&(struct cert_spec){.cn = "p384", .ca = true, .curve = "P-384"}, NULL)};
    static const int digests[3] = {NID_ecdsa_with_SHA256, NID_sha256WithRSAEncryption, NID_ecdsa_with_SHA384};
    for (int r = 0; r < 3; r++) {
        struct cert middle = cert_make(&(struct cert_spec){.cn = "middle", .ca = true}, &root[r]);
        struct cert lower = cert_make(&(struct cert_spec){.cn = "lower", .ca = true}, &middle);
        struct cert two[2] = {middle, root[r]}, three[3] = {lower, middle, root[r]};
        struct tls_issuer *alone = load(&root[r], 1), *below = load(two, 2), *far_below = load(three, 3);
        for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
            expect_verified(alone, &root[r], names[n], 1); /* a self-signed one is not shown */
            expect_verified(below, &root[r], names[n], 2);
            expect_verified(far_below, &root[r], names[n], 3);
        }
        struct tls_minted m = mint(alone, names[0], HOUR);
        STACK_OF(X509) *chain = parse(&m);
        assert_int_equal(X509_get_signature_nid(sk_X509_value(chain, 0)), digests[r]);
        sk_X509_pop_free(chain, X509_free);
        tls_minted_drop(&m);
        tls_issuer_unref(&alone);
        tls_issuer_unref(&below);
        tls_issuer_unref(&far_below);
        cert_free(&lower);
        cert_free(&middle);
        cert_free(&root[r]);
    }
}

static char *common_name(X509 *x, char text[128])
{
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, 128) > 0);
    return text;
}

static void certificates_say_what_servers_say(void **state)
{
    (void)state;
    struct tls_issuer *i = load(&pki.root, 1);
    struct tls_minted m = mint(i, "10.1.2.3", HOUR), l = mint(i, long_name, HOUR);
    STACK_OF(X509) *chain = parse(&m), *long_chain = parse(&l);
    X509 *x = sk_X509_value(chain, 0);
    char text[128];
    int critical = 0;
    assert_string_equal(common_name(x, text), "10.1.2.3");
    assert_string_equal(common_name(sk_X509_value(long_chain, 0), text), "a-rather-long-label-of-a-pod");
    assert_int_equal(X509_get_version(x), X509_VERSION_3);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
    BASIC_CONSTRAINTS *bc = X509_get_ext_d2i(x, NID_basic_constraints, &critical, NULL);
    assert_true(bc && critical == 1 && !bc->ca);
    BASIC_CONSTRAINTS_free(bc);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_IPADD);
    GENERAL_NAMES_free(names);
    assert_int_equal(ASN1_STRING_cmp(X509_get0_authority_key_id(x), X509_get0_subject_key_id(pki.root.x)), 0);
    assert_int_equal(ASN1_STRING_length(X509_get0_subject_key_id(x)), 20);
    assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(pki.root.x)), 0);
    sk_X509_pop_free(chain, X509_free);
    sk_X509_pop_free(long_chain, X509_free);
    tls_minted_drop(&m);
    tls_minted_drop(&l);
    tls_issuer_unref(&i);
}

static void serials_and_keys_do_not_repeat(void **state)
{
    (void)state;
    static uint8_t serials[SERIALS][20], keys[SERIALS][TLS_MINT_KEY_BYTES];
    struct tls_issuer *i = load(&pki.root, 1);
    int large = 0;
    for (int n = 0; n < SERIALS; n++) {
        struct tls_minted m = mint(i, "10.1.2.3", HOUR);
        STACK_OF(X509) *chain = parse(&m);
        const ASN1_INTEGER *serial = X509_get0_serialNumber(sk_X509_value(chain, 0));
        BIGNUM *number = ASN1_INTEGER_to_BN(serial, NULL);
        assert_true(BN_num_bytes(number) <= 16 && !BN_is_negative(number) && !BN_is_zero(number));
        large += BN_num_bits(number) == 128;
        BN_bn2binpad(number, serials[n], 20);
        BN_free(number);
        memcpy(keys[n], m.key, sizeof(m.key));
        for (int before = 0; before < n; before++) {
            assert_memory_not_equal(serials[n], serials[before], 20);
            assert_memory_not_equal(keys[n], keys[before], TLS_MINT_KEY_BYTES);
        }
        sk_X509_pop_free(chain, X509_free);
        tls_minted_drop(&m);
    }
    assert_true(large > SERIALS / 4 && large < SERIALS * 3 / 4); /* the first bit is as random as the rest */
    tls_issuer_unref(&i);
}

static void a_certificate_does_not_outlive_its_issuer(void **state)
{
    (void)state;
    int64_t now = (int64_t)time(NULL);
    struct cert root = cert_make(&(struct cert_spec){.cn = "r", .ca = true, .from_s = -600, .until_s = 1000},
                                 NULL);
    struct cert two[2] = {
        cert_make(&(struct cert_spec){.cn = "i", .ca = true, .from_s = -60, .until_s = 5000}, &root), root};
    struct tls_issuer *i = load(two, 2);
    assert_in_range(tls_issuer_not_after_s(i), now + 998, now + 1000); /* the shortest of the chain */
    struct tls_minted m = mint(i, "10.1.2.3", HOUR);
    assert_int_equal(m.not_after_s, tls_issuer_not_after_s(i));
    assert_in_range(m.not_before_s, now - 61, now - 59);
    STACK_OF(X509) *chain = parse(&m);
    assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(sk_X509_value(chain, 0)), (time_t)m.not_after_s),
                     0);
    assert_int_equal(
        ASN1_TIME_cmp_time_t(X509_get0_notBefore(sk_X509_value(chain, 0)), (time_t)m.not_before_s), 0);
    sk_X509_pop_free(chain, X509_free);
    tls_minted_drop(&m);
    m = mint(i, "10.1.2.3", 100);
    assert_in_range(m.not_after_s, now + 99, now + 103);
    tls_minted_drop(&m);
    struct tls_host host;
    char detail[256] = "";
    assert_true(tls_host_parse("10.1.2.3", &host, no_detail));
    assert_false(
        tls_issuer_mint(i, &host, now + 1000, HOUR, &m, (struct tls_detail){detail, sizeof(detail)}));
    assert_non_null(strstr(detail, "issuer.pem: the issuing CA expired at 2"));
    assert_false(
        tls_issuer_mint(i, &host, now - 1000, HOUR, &m, (struct tls_detail){detail, sizeof(detail)}));
    assert_non_null(strstr(detail, "the issuing CA is not valid before 2"));
    tls_issuer_unref(&i);
    cert_free(&two[0]);
    cert_free(&root);
}

/* ---- who cannot be an issuer ---- */

static void expect_refusal(const char *certificate, const char *key, int err, const char *file,
                           const char *says)
{
    struct tls_issuer *i = NULL;
    char detail[256] = "", small[8] = "xxxxxxx";
    int got = tls_issuer_new(certificate, key, &i, detail, sizeof(detail));
    if (got != err || i || !strstr(detail, says) || !strstr(detail, file) || strchr(detail, '\n'))
        fail_msg("%d \"%s\", expected %d with \"%s\" and \"%s\"", got, detail, err, file, says);
    assert_int_equal(tls_issuer_new(certificate, key, &i, small, 4), err);
    assert_int_equal(small[4], 'x');
}

static void expect_useless(const struct cert_spec *spec, const char *says)
{
    struct cert c = cert_make(spec, NULL);
    expect_refusal(cert_write(pki.dir, "useless.pem", &c, 1), cert_write_key(pki.dir, "useless.key", &c),
                   -EINVAL, "useless.", says);
    cert_free(&c);
}

static void useless_issuers_are_refused_with_the_reason(void **state)
{
    (void)state;
    expect_useless(&(struct cert_spec){.cn = "x"}, "certificate 1 is not that of a CA");
    expect_useless(&(struct cert_spec){.cn = "x", .usage = "keyCertSign"},
                   "certificate 1 is not that of a CA");
    expect_useless(&(struct cert_spec){.cn = "x", .ca = true, .usage = "critical,digitalSignature"},
                   "without keyCertSign");
    expect_useless(&(struct cert_spec){.cn = "x", .ca = true, .extended_usage = "clientAuth"},
                   "without serverAuth");
    expect_useless(&(struct cert_spec){.cn = "x", .ca = true, .from_s = -200, .until_s = -100},
                   "certificate 1 expired at 2");
    expect_useless(&(struct cert_spec){.cn = "x", .ca = true, .from_s = 100, .until_s = 200},
                   "certificate 1 is not valid before 2");
    expect_useless(&(struct cert_spec){.cn = "x", .ca = true, .rsa = true, .rsa_bits = 1024},
                   "found an RSA key of 1024 bits, expected RSA of 2048 bits or more, or EC P-256 or P-384");
    expect_useless(&(struct cert_spec){.cn = "x", .ca = true, .curve = "P-521"},
                   "found an EC key of 521 bits");
    expect_useless(&(struct cert_spec){.cn = "x", .ca = true, .curve = "secp256k1"}, "EC P-256 or P-384");
}

static void wrong_files_are_named(void **state)
{
    (void)state;
    struct cert other = cert_make(&(struct cert_spec){.cn = "test-root", .ca = true}, NULL);
    struct cert strangers[2] = {other, pki.root}, old[2];
    const char *root_key = cert_write_key(pki.dir, "root.key", &pki.root);
    const char *other_key = cert_write_key(pki.dir, "other.key", &other);
    expect_refusal("/nonexistent/ca.pem", root_key, -ENOENT, "/nonexistent/ca.pem", "No such file");
    expect_refusal(pki.root_file, "/nonexistent/ca.key", -ENOENT, "/nonexistent/ca.key", "No such file");
    expect_refusal(root_key, root_key, -EINVAL, "root.key", "no readable certificate");
    expect_refusal(pki.root_file, pki.root_file, -EINVAL, "root.pem", "no readable private key");
    expect_refusal(pki.root_file, other_key, -EINVAL, "other.key", "not that of the first certificate in");
    /* The same name, another key: names alone do not make a chain. */
    expect_refusal(cert_write(pki.dir, "strangers.pem", strangers, 2), other_key, -EINVAL, "strangers.pem",
                   "certificate 2 did not sign certificate 1");
    struct cert below_leaf = cert_make(&(struct cert_spec){.cn = "below", .ca = true}, &pki.leaf[0]);
    struct cert false_chain[2] = {below_leaf, pki.leaf[0]};
    expect_refusal(cert_write(pki.dir, "leaf-chain.pem", false_chain, 2),
                   cert_write_key(pki.dir, "below.key", &below_leaf), -EINVAL, "leaf-chain.pem",
                   "certificate 2 is not that of a CA");
    old[1] = cert_make(&(struct cert_spec){.cn = "old", .ca = true, .from_s = -200, .until_s = -100}, NULL);
    old[0] = cert_make(&(struct cert_spec){.cn = "new", .ca = true}, &old[1]);
    expect_refusal(cert_write(pki.dir, "old.pem", old, 2), cert_write_key(pki.dir, "new.key", &old[0]),
                   -EINVAL, "old.pem", "certificate 2 expired at 2");
    cert_free(&other);
    cert_free(&below_leaf);
    cert_free(&old[0]);
    cert_free(&old[1]);
}

/* ---- destinations ---- */

static void hosts_have_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *text, *spelt;
        uint8_t ip_len;
    } hosts[] = {
        {"10.1.2.3",             "10.1.2.3",             4 },
        {"FD00:0:0:0::5",        "fd00::5",              16},
        {"::ffff:10.1.2.3",      "10.1.2.3",             4 },
        {"::ffff:0a01:0203",     "10.1.2.3",             4 },
        {"::",                   "::",                   16},
        {"n1.example",           "n1.example",           0 },
        {"n1.example.",          "n1.example",           0 },
        {"localhost",            "localhost",            0 },
        {"_dns.a-b.c_d",         "_dns.a-b.c_d",         0 },
        {"1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa", 0 },
        {"3com",                 "3com",                 0 },
    };
    struct tls_host h;
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        if (!tls_host_parse(hosts[i].text, &h, no_detail))
            fail_msg("%s", hosts[i].text);
        assert_string_equal(h.text, hosts[i].spelt);
        assert_int_equal(h.ip_len, hosts[i].ip_len);
    }
    assert_true(tls_host_parse("::ffff:10.1.2.3", &h, no_detail));
    assert_memory_equal(h.ip, "\x0a\x01\x02\x03", 4);
}

static void what_is_no_host_is_refused(void **state)
{
    (void)state;
    char label64[80], name254[300] = "";
    memset(label64, 'a', 64);
    memcpy(label64 + 64, ".b", 3);
    for (int i = 0; i < 127; i++)
        memcpy(name254 + 2 * i, "a.", 3);
    memcpy(name254 + 252, "bb", 3); /* 254 octets */
    const char *const bad[] = {"",
                               ".",
                               "..",
                               "a..b",
                               ".a",
                               "-a.b",
                               "a-.b",
                               "N1.example",
                               "a b",
                               "a.b\n",
                               "*.example",
                               "*",
                               "10.0.0.256",
                               "10.0.0",
                               "1",
                               "a.1",
                               "0x7f.1",
                               "a.0x",
                               "a.0x1f",
                               "[::1]",
                               "::1%eth0",
                               "1.2.3.4:5",
                               "a.example:443",
                               "a/b",
                               "a\x80",
                               "caf\xc3\xa9.example",
                               "fd00::5::",
                               label64,
                               name254,
                               "a.b..",
                               "user@a.b"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct tls_host h;
        char detail[160] = "";
        if (tls_host_parse(bad[i], &h, (struct tls_detail){detail, sizeof(detail)}))
            fail_msg("taken: \"%s\" as \"%s\"", bad[i], h.text);
        assert_non_null(strstr(detail, "neither an address nor a DNS name"));
    }
    struct tls_host h;
    name254[252] = '\0';
    memcpy(name254 + 252, "b", 2); /* 253 */
    assert_true(tls_host_parse(name254, &h, no_detail));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_verify_for_their_destination_only),
        cmocka_unit_test(certificates_say_what_servers_say),
        cmocka_unit_test(serials_and_keys_do_not_repeat),
        cmocka_unit_test(a_certificate_does_not_outlive_its_issuer),
        cmocka_unit_test(useless_issuers_are_refused_with_the_reason),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(hosts_have_one_spelling),
        cmocka_unit_test(what_is_no_host_is_refused),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
