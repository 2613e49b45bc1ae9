/* test/unit/test_tls_verify.c — who is let in: every certificate that must be refused, on both versions, and
 * the reason that is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/tls/tls_certificate.h"
#include "io/tls/tls_verify.h"
#include "test/support/pki.h"
#include "test/support/tls_rig.h"

struct verdict {
    enum ending reason; /* DONE: let in */
    char detail[TLS_NAME_MAX];
    size_t leaked;  /* plaintext the peer saw */
    bool peer_told; /* it got an alert */
};

/* Connects with a client that verifies to a server that shows `chain`. A byte is sent before `open`. */
static struct verdict connect_to(const struct cert *chain, int count, const struct rig_connect *how,
                                 int version)
{
    struct tls_rig r;
    struct verdict v = {0};
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, chain, count, NULL, version);
    struct rig_connect h = *how;
    h.context = c;
    h.peer = peer;
    rig_init(&r, NULL);
    rig_connect(&r, &h);
    r.owner.credit = 100;
    stream_grant(r.owner.stream, 100);
    assert_true(rig_send(&r, "secret", 6));
    for (int i = 0; i < 200 && !r.owner.opened && !r.owner.closed; i++)
        rig_step(&r);
    assert_true(r.owner.opened != r.owner.closed);
    v.reason = r.owner.opened ? ENDING_DONE : r.owner.reason;
    memcpy(v.detail, r.owner.info.detail, sizeof(v.detail));
    rig_settle(&r, 4);
    v.leaked = r.peer.received.len;
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
    if (v.reason == ENDING_DONE)
        assert_int_equal(v.leaked, 6);
    else
        assert_int_equal(v.leaked, 0);
    return v;
}

static void expect_verdict(const char *what, const struct cert_spec *spec, const struct cert *issuer,
                           const struct rig_connect *how, enum ending reason, const char *says)
{
    struct cert leaf = cert_make(spec, issuer);
    for (int i = 0; i < 2; i++) {
        struct verdict v = connect_to(&leaf, 1, how, i ? TLS1_2_VERSION : 0);
        if (v.reason != reason || !strstr(v.detail, says))
            fail_msg("%s: %s \"%s\", expected %s \"%s\"", what, ending_name(v.reason), v.detail,
                     ending_name(reason), says);
    }
    cert_free(&leaf);
}

static const struct rig_connect by_ip = {.ip = "10.1.2.3"}, by_dns = {.dns = "n1.example"};

static void good_names_are_let_in(void **state)
{
    (void)state;
    static const struct rig_connect v6 = {.ip = "fd00::5"}, mapped = {.ip = "::ffff:10.1.2.3"};
    static const struct rig_connect dot = {.dns = "n1.example."}, upper = {.dns = "N1.Example"};
    static const struct rig_connect node = {.ip = "10.1.2.3", .node = "n1"};
    static const struct rig_connect any = {.ip = "10.1.2.3", .node = TLS_ANY_NODE};
    struct cert_spec s = {
        .cn = "system:node:n1", .org = "system:nodes", .san = "DNS:n1.example,IP:10.1.2.3,IP:fd00::5"};
    expect_verdict("v4", &s, &pki.root, &by_ip, ENDING_DONE, "");
    expect_verdict("v6", &s, &pki.root, &v6, ENDING_DONE, "");
    expect_verdict("mapped", &s, &pki.root, &mapped, ENDING_DONE, "");
    expect_verdict("dns", &s, &pki.root, &by_dns, ENDING_DONE, "");
    expect_verdict("dot", &s, &pki.root, &dot, ENDING_DONE, "");
    expect_verdict("case", &s, &pki.root, &upper, ENDING_DONE, "");
    expect_verdict("node", &s, &pki.root, &node, ENDING_DONE, "");
    expect_verdict("any node", &s, &pki.root, &any, ENDING_DONE, "");
    s.san = "DNS:*.example";
    expect_verdict("wildcard", &s, &pki.root, &by_dns, ENDING_DONE, "");
}

static void wrong_names_are_refused(void **state)
{
    (void)state;
    const enum ending bad = ENDING_TLS_NAME_MISMATCH;
    struct cert_spec s = {.cn = "10.1.2.3"};
    expect_verdict("CN only, ip", &s, &pki.root, &by_ip, bad, "iPAddress SAN 10.1.2.3");
    s.cn = "n1.example";
    expect_verdict("CN only, dns", &s, &pki.root, &by_dns, bad, "no SAN");
    s = (struct cert_spec){.cn = "x", .san = "IP:10.1.2.4"};
    expect_verdict("other ip", &s, &pki.root, &by_ip, bad, "IP:10.1.2.4");
    s.san = "DNS:10.1.2.3";
    expect_verdict("dns SAN that spells the ip", &s, &pki.root, &by_ip, bad, "DNS:10.1.2.3");
    s.san = "DNS:*.1.2.3";
    expect_verdict("wildcard over the ip", &s, &pki.root, &by_ip, bad, "DNS:*.1.2.3");
    s.san = "IP:10.1.2.3";
    expect_verdict("ip instead of dns", &s, &pki.root, &by_dns, bad, "dNSName SAN n1.example");
    s.san = "DNS:a.n1.example,DNS:example";
    expect_verdict("other dns", &s, &pki.root, &by_dns, bad, "dNSName");
    s.san = "DNS:*.n1.example";
    expect_verdict("wildcard too deep", &s, &pki.root, &by_dns, bad, "dNSName");
    s.san = "DNS:n*.example";
    expect_verdict("partial wildcard", &s, &pki.root, &by_dns, bad, "dNSName");
}

static void wrong_nodes_are_refused(void **state)
{
    (void)state;
    const enum ending bad = ENDING_TLS_NAME_MISMATCH;
    static const struct rig_connect node = {.ip = "10.1.2.3", .node = "n1"};
    static const struct rig_connect any = {.ip = "10.1.2.3", .node = TLS_ANY_NODE};
    struct cert_spec s = {.cn = "system:node:n2", .org = "system:nodes", .san = "IP:10.1.2.3"};
    expect_verdict("other node", &s, &pki.root, &node, bad, "system:node:n2");
    s.cn = "system:node:n1";
    s.org = "system:masters";
    expect_verdict("other group", &s, &pki.root, &node, bad, "O system:nodes");
    s.org = NULL;
    expect_verdict("no group", &s, &pki.root, &node, bad, "O system:nodes");
    s.cn = "system:node:n10";
    s.org = "system:nodes";
    expect_verdict("prefix", &s, &pki.root, &node, bad, "system:node:n10");
    s.cn = "system:node:";
    expect_verdict("node without name", &s, &pki.root, &any, bad, "system:node:");
    s.cn = "apiserver";
    expect_verdict("no node", &s, &pki.root, &any, bad, "apiserver");
}

static void untrusted_and_expired_are_refused(void **state)
{
    (void)state;
    struct cert other = cert_make(&(struct cert_spec){.cn = "other-root", .ca = true}, NULL);
    struct cert same_name = cert_make(&(struct cert_spec){.cn = "test-root", .ca = true}, NULL);
    struct cert_spec s = {.cn = "n1", .san = "IP:10.1.2.3"};
    expect_verdict("other CA", &s, &other, &by_ip, ENDING_TLS_UNTRUSTED, "issuer CN:other-root");
    expect_verdict("self-signed", &s, NULL, &by_ip, ENDING_TLS_UNTRUSTED, "CN:n1");
    s.from_s = -7200;
    s.until_s = -3600;
    expect_verdict("expired", &s, &pki.root, &by_ip, ENDING_TLS_EXPIRED, "");
    s.from_s = 7200;
    s.until_s = 10000;
    expect_verdict("not yet valid", &s, &pki.root, &by_ip, ENDING_TLS_EXPIRED, "");
    s = (struct cert_spec){.cn = "n1", .san = "IP:10.1.2.3", .client_only = true};
    expect_verdict("client certificate", &s, &pki.root, &by_ip, ENDING_TLS_UNTRUSTED, "");

    /* The same CA name with another key. */
    struct cert leaf = cert_make(&(struct cert_spec){.cn = "n1", .san = "IP:10.1.2.3"}, &same_name);
    assert_int_equal(connect_to(&leaf, 1, &by_ip, 0).reason, ENDING_TLS_UNTRUSTED);
    cert_free(&leaf);
    cert_free(&other);
    cert_free(&same_name);
}

static void chains_are_followed(void **state)
{
    (void)state;
    struct cert middle = cert_make(&(struct cert_spec){.cn = "middle", .ca = true}, &pki.root);
    struct cert chain[2] = {cert_make(&(struct cert_spec){.cn = "n1", .san = "IP:10.1.2.3"}, &middle),
                            middle};
    assert_int_equal(connect_to(chain, 2, &by_ip, 0).reason, ENDING_DONE);
    assert_int_equal(connect_to(chain, 1, &by_ip, 0).reason, ENDING_TLS_UNTRUSTED);
    /* A leaf is no CA. */
    struct cert false_chain[2] = {cert_make(&(struct cert_spec){.cn = "n1", .san = "IP:10.1.2.3"}, &chain[0]),
                                  chain[0]};
    assert_int_equal(connect_to(false_chain, 2, &by_ip, 0).reason, ENDING_TLS_UNTRUSTED);
    cert_free(&false_chain[0]);
    cert_free(&chain[0]);
    cert_free(&middle);
}

/* ---- the server's side ---- */

static struct verdict accept_from(const struct cert *chain, int count, int version)
{
    struct tls_rig r;
    struct verdict v = {0};
    struct tls_context *c = pki_server_context(PKI_EC, true);
    SSL_CTX *peer = ssl_peer_context(false, chain, count, &pki.root, version);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .server = true});
    r.owner.credit = 100;
    stream_grant(r.owner.stream, 100);
    fifo_put(&r.peer.to_send, "GET", 3);
    for (int i = 0; i < 200 && !r.owner.opened && !r.owner.closed; i++)
        rig_step(&r);
    v.reason = r.owner.opened ? ENDING_DONE : r.owner.reason;
    memcpy(v.detail, r.owner.info.detail, sizeof(v.detail));
    rig_settle(&r, 4);
    assert_int_equal(r.owner.received.len, v.reason == ENDING_DONE ? 3 : 0);
    v.peer_told = r.peer.failed;
    assert_false(v.peer_told && v.reason == ENDING_DONE);
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
    return v;
}

static void clients_prove_themselves(void **state)
{
    (void)state;
    struct cert other = cert_make(&(struct cert_spec){.cn = "other-root", .ca = true}, NULL);
    struct cert strange = cert_make(&(struct cert_spec){.cn = "apiserver", .client_only = true}, &other);
    struct cert old = cert_make(
        &(struct cert_spec){.cn = "apiserver", .client_only = true, .from_s = -100, .until_s = -50},
        &pki.root);
    for (int i = 0; i < 2; i++) {
        int version = i ? TLS1_2_VERSION : 0;
        assert_int_equal(accept_from(pki.client, 1, version).reason, ENDING_DONE);
        struct verdict v = accept_from(NULL, 0, version);
        if (v.reason != ENDING_TLS_UNTRUSTED) /* wolfSSL 5.5 has no alert for this one in TLS 1.3 */
            fail_msg("no certificate: %s %s", ending_name(v.reason), v.detail);
        v = accept_from(&strange, 1, version);
        if (v.reason != ENDING_TLS_UNTRUSTED || !v.peer_told)
            fail_msg("other CA: %s %s", ending_name(v.reason), v.detail);
        v = accept_from(&old, 1, version);
        if (v.reason != ENDING_TLS_EXPIRED || !v.peer_told)
            fail_msg("expired: %s %s", ending_name(v.reason), v.detail);
    }
    cert_free(&strange);
    cert_free(&old);
    cert_free(&other);
}

/* ---- what the peer makes of us ---- */

static void alerts_are_reported_with_their_meaning(void **state)
{
    (void)state;
    struct cert other = cert_make(&(struct cert_spec){.cn = "other-root", .ca = true}, NULL);
    static const char *const says[2] = {"certificate_required", "unknown_ca"};
    for (int known = 0; known < 2; known++) /* 0: we show none; 1: one the peer does not trust */
        for (int i = 0; i < 2; i++) {
            struct tls_rig r;
            struct tls_context *c = pki_client_context(known ? PKI_EC : -1);
            SSL_CTX *peer = ssl_peer_context(true, pki.leaf, 1, &other, i ? TLS1_2_VERSION : 0);
            rig_init(&r, NULL);
            rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
            r.owner.credit = 1;
            stream_grant(r.owner.stream, 1);
            assert_true(rig_until(&r, &r.owner.closed, 1, 200));
            if (r.owner.reason != ENDING_TLS_ALERT || (!i && !strstr(r.owner.info.detail, says[known])))
                fail_msg("%d %d: %s %s", known, i, ending_name(r.owner.reason), r.owner.info.detail);
            rig_disconnect(&r);
            rig_fini(&r);
            SSL_CTX_free(peer);
            tls_context_unref(&c);
        }
    cert_free(&other);
}

static void a_kubelet_without_certificate_is_recognised(void **state)
{
    (void)state;
    static const uint8_t internal_error[] = {21, 3, 3, 0, 2, 2, 80};
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, pki.leaf, 1, NULL, 0);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    r.peer.hold = true;
    rig_settle(&r, 2);
    pipe_give(r.pipe, internal_error, sizeof(internal_error));
    assert_true(rig_until(&r, &r.owner.closed, 1, 200));
    assert_int_equal(r.owner.reason, ENDING_TLS_ALERT);
    assert_non_null(strstr(r.owner.info.detail, "kubelet has no serving certificate yet"));
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

/* ---- parts ---- */

static bool matches(const char *pattern, const char *name)
{
    return tls_dns_name_matches(pattern, strlen(pattern), name);
}

static void dns_names_match_as_rfc_6125_says(void **state)
{
    (void)state;
    assert_true(matches("a.b", "a.b"));
    assert_true(matches("A.b", "a.B"));
    assert_true(matches("*.b.c", "a.b.c"));
    assert_false(matches("*.b.c", "b.c"));
    assert_false(matches("*.b.c", ".b.c"));
    assert_false(matches("*.b.c", "a.a.b.c"));
    assert_false(matches("*", "a"));
    assert_false(matches("*.", "a."));
    assert_false(matches("a*.b", "aa.b"));
    assert_false(matches("a.*.b", "a.x.b"));
    assert_false(matches("*.*.b", "a.x.b"));
    assert_false(matches("", ""));
    assert_false(matches("a.b.", "a.b"));
    assert_false(tls_dns_name_matches("a.b\0.evil", 9, "a.b"));
    assert_false(tls_dns_name_matches("a.b\0", 4, "a.b"));
}

static bool time_is(const char *text, bool generalized, int64_t expected)
{
    int64_t s = -1;
    return tls_time_parse((const uint8_t *)text, strlen(text), generalized, &s) && s == expected;
}

static void certificate_times_are_read_exactly(void **state)
{
    (void)state;
    int64_t s;
    assert_true(time_is("700101000000Z", false, 0));
    assert_true(time_is("491231235959Z", false, 2524607999));
    assert_true(time_is("500101000000Z", false, -631152000));
    assert_true(time_is("20500101000000Z", true, 2524608000));
    assert_false(tls_time_parse((const uint8_t *)"7001010000Z", 11, false, &s));
    assert_false(tls_time_parse((const uint8_t *)"700101000000+", 13, false, &s));
    assert_false(tls_time_parse((const uint8_t *)"70x101000000Z", 13, false, &s));
    assert_false(tls_time_parse((const uint8_t *)"700101000000Z", 13, true, &s));
    assert_false(tls_time_parse((const uint8_t *)"701301000000Z", 13, false, &s)); /* a 13th month */
    assert_false(tls_time_parse((const uint8_t *)"700001000000Z", 13, false, &s));
    assert_false(tls_time_parse((const uint8_t *)"710229000000Z", 13, false, &s)); /* no leap year */
    assert_false(tls_time_parse((const uint8_t *)"700101240000Z", 13, false, &s));
    assert_false(tls_time_parse((const uint8_t *)"700101006000Z", 13, false, &s));
}

static void damaged_certificates_are_never_overread(void **state)
{
    (void)state;
    uint8_t *der = NULL;
    int len = i2d_X509(pki.leaf[0].x, &der);
    struct tls_certificate c;
    assert_true(len > 0 && tls_certificate_parse((struct bytes){der, (size_t)len}, &c));
    unsigned seed = 11;
    for (int round = 0; round < 20000; round++) {
        seed = seed * 1103515245u + 12345u;
        size_t cut = round < len ? (size_t)round : (size_t)len;
        uint8_t *copy = malloc(cut + 1); /* exact, so that the sanitizer sees every step too far */
        memcpy(copy, der, cut);
        if (round >= len)
            copy[(seed >> 8) % cut] = (uint8_t)(seed >> 24);
        bool ok = tls_certificate_parse((struct bytes){copy, cut}, &c);
        assert_false(ok && round < len);
        struct bytes value;
        enum tls_subject_part part;
        enum tls_name_kind kind;
        while (ok && tls_subject_next(&c.subject, &part, &value))
            assert_true(value.data >= copy && value.data + value.len <= copy + cut);
        while (ok && tls_name_next(&c.names, &kind, &value))
            assert_true(value.data >= copy && value.data + value.len <= copy + cut);
        free(copy);
    }
    OPENSSL_free(der);
}

static void a_leaf_too_large_to_be_kept_gives_no_ticket(void **state)
{
    (void)state;
    static char sans[3000] = "IP:10.1.2.3";
    for (int i = 0; i < 60; i++)
        snprintf(sans + strlen(sans), sizeof(sans) - strlen(sans), ",DNS:a-rather-long-name-%d.example.com",
                 i);
    struct cert leaf = cert_make(&(struct cert_spec){.cn = "n1", .san = sans}, &pki.root);
    struct cert chain[2] = {leaf, pki.root};
    for (int i = 0; i < 2; i++) {
        struct tls_rig r;
        struct tls_context *c = pki_client_context(-1);
        SSL_CTX *peer = ssl_peer_context(true, chain, 2, NULL, i ? TLS1_2_VERSION : 0);
        rig_init(&r, NULL);
        rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
        r.owner.credit = 10;
        stream_grant(r.owner.stream, 10);
        fifo_put(&r.peer.to_send, "!", 1);
        rig_settle(&r, 10);
        assert_int_equal(r.owner.opened, 1);
        assert_int_equal(r.owner.received.len, 1);
        assert_int_equal(r.owner.tickets, 0);
        rig_disconnect(&r);
        rig_fini(&r);
        SSL_CTX_free(peer);
        tls_context_unref(&c);
    }
    cert_free(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names_are_let_in),
        cmocka_unit_test(wrong_names_are_refused),
        cmocka_unit_test(wrong_nodes_are_refused),
        cmocka_unit_test(untrusted_and_expired_are_refused),
        cmocka_unit_test(chains_are_followed),
        cmocka_unit_test(clients_prove_themselves),
        cmocka_unit_test(alerts_are_reported_with_their_meaning),
        cmocka_unit_test(a_kubelet_without_certificate_is_recognised),
        cmocka_unit_test(dns_names_match_as_rfc_6125_says),
        cmocka_unit_test(certificate_times_are_read_exactly),
        cmocka_unit_test(damaged_certificates_are_never_overread),
        cmocka_unit_test(a_leaf_too_large_to_be_kept_gives_no_ticket),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
