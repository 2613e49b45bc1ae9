/* test/unit/test_tls_mint.c — contexts by destination: OpenSSL clients verify what they are shown, prove
 * themselves and choose a protocol; what is kept, renewed and let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/x509v3.h>

#include "io/tls/tls_issuer.h"
#include "io/tls/tls_mint.h"
#include "io/tls/tls_roots.h"
#include "test/support/pki.h"
#include "test/support/tls_rig.h"

enum { HOUR = 3600, DAY = 86400 };

struct fixture {
    struct tls_rig r;
    struct tls_mint *mint;
    struct cert root;
    char detail[256];
};

struct setup {
    struct cert_spec issuer;
    uint32_t life_s, entries_max;
};

static void fixture_init(struct fixture *f, const struct setup *s)
{
    struct tls_issuer *issuer = NULL;
    struct tls_roots *roots = NULL;
    struct cert_spec spec = s->issuer;
    spec.ca = true;
    spec.cn = "bridge-ca";
    if (!spec.until_s) {
        spec.from_s = -30 * DAY;
        spec.until_s = 300 * DAY;
    }
    memset(f, 0, sizeof(*f));
    f->root = cert_make(&spec, NULL);
    assert_int_equal(tls_issuer_new(cert_write(pki.dir, "bridge.pem", &f->root, 1),
                                    cert_write_key(pki.dir, "bridge.key", &f->root), &issuer, f->detail,
                                    sizeof(f->detail)),
                     0);
    assert_int_equal(tls_roots_new(pki.root_file, &roots, f->detail, sizeof(f->detail)), 0);
    rig_init(&f->r, NULL);
    assert_int_equal(tls_mint_new(&f->r.world.worker,
                                  &(struct tls_mint_options){.issuer = issuer,
                                                             .client_roots = roots,
                                                             .alpn = "h2,http/1.1",
                                                             .allow_tls12 = true,
                                                             .life_s = s->life_s,
                                                             .entries_max = s->entries_max},
                                  &f->mint),
                     0);
    tls_issuer_unref(&issuer); /* the mint has its own */
    tls_roots_unref(&roots);
}

static void fixture_fini(struct fixture *f)
{
    tls_mint_free(&f->mint);
    assert_null(f->mint);
    assert_int_equal(f->r.world.worker.counters.values[COUNTER_minted_kept], 0);
    rig_fini(&f->r);
    cert_free(&f->root);
}

static struct tls_context *get(struct fixture *f, const char *host)
{
    struct tls_context *c = tls_mint_get(f->mint, host, f->detail, sizeof(f->detail));
    if (!c)
        fail_msg("%s: %s", host, f->detail);
    return c;
}

static uint64_t minted(const struct fixture *f)
{
    return f->r.world.worker.counters.values[COUNTER_minted];
}

/* ---- clients ---- */

struct client {
    const char *expects; /* an address or a name */
    int version;
    const struct cert *identity;
};

static SSL_CTX *client_context(const struct fixture *f, const struct client *x)
{
    SSL_CTX *peer = ssl_peer_context(false, x->identity, x->identity != NULL, &f->root, x->version);
    X509_VERIFY_PARAM *p = SSL_CTX_get0_param(peer);
    if (X509_VERIFY_PARAM_set1_ip_asc(p, x->expects) != 1)
        assert_int_equal(X509_VERIFY_PARAM_set1_host(p, x->expects, 0), 1);
    assert_int_equal(SSL_CTX_set_alpn_protos(peer, (const unsigned char *)"\x08http/1.1\x02h2", 12), 0);
    return peer;
}

/* Connects; the connection stays when it was opened on both sides. */
static bool connects(struct fixture *f, struct tls_context *c, const struct client *x)
{
    SSL_CTX *peer = client_context(f, x);
    rig_connect(&f->r, &(struct rig_connect){.context = c, .peer = peer, .server = true});
    SSL_CTX_free(peer);
    f->r.owner.regrant = 1;
    f->r.owner.credit = 1000;
    stream_grant(f->r.owner.stream, 1000);
    for (int i = 0; i < 200 && !f->r.owner.opened && !f->r.owner.closed; i++)
        rig_step(&f->r);
    rig_settle(&f->r, 3);
    if (f->r.owner.opened && f->r.peer.up && !f->r.peer.failed)
        return true;
    rig_disconnect(&f->r);
    return false;
}

static bool is_alpha(const char *name, void *arg)
{
    (void)arg;
    return strcmp(name, "alpha") == 0;
}

static void clients_verify_and_are_verified(void **state)
{
    (void)state;
    static const struct setup kinds[] = {
        {.issuer = {.curve = "P-256"}}, {.issuer = {.curve = "P-384"}}, {.issuer = {.rsa = true}}};
    static const char *const hosts[] = {"10.1.2.3", "fd00::5", "n1.example"};
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct fixture f;
        fixture_init(&f, &kinds[k]);
        for (size_t h = 0; h < 2 * ARRAY_SIZE(hosts); h++) {
            int version = h % 2 ? TLS1_2_VERSION : 0;
            const char *host = hosts[h / 2];
            struct client good = {host, version, &pki.client[h % 2]};
            if (!connects(&f, get(&f, host), &good))
                fail_msg("issuer %zu, %s: %s %s", k, host, ending_name(f.r.owner.reason),
                         f.r.owner.info.detail);
            assert_string_equal(f.r.owner.info.version, version ? "TLSv1.2" : "TLSv1.3");
            assert_string_equal(f.r.owner.info.alpn, "h2");
            assert_string_equal(f.r.owner.info.peer_cn, "apiserver");
            assert_true(tls_peer_has_name(f.r.owner.stream, is_alpha, NULL));
            assert_false(SSL_SESSION_has_ticket(SSL_get0_session(f.r.peer.ssl)));
            fifo_put(&f.r.peer.to_send, "ping", 4);
            assert_true(rig_send(&f.r, "pong!", 5));
            rig_settle(&f.r, 3);
            assert_int_equal(f.r.owner.received.len, 4);
            assert_int_equal(f.r.peer.received.len, 5);
            rig_disconnect(&f.r);
            /* Another name than the one it was made for; nobody; somebody else's client. */
            assert_false(connects(&f, get(&f, "10.1.2.4"), &good));
            assert_false(connects(&f, get(&f, host), &(struct client){host, version, NULL}));
            assert_int_equal(f.r.owner.reason, ENDING_TLS_UNTRUSTED);
            struct cert stranger = cert_make(&(struct cert_spec){.cn = "apiserver", .client_only = true},
                                             &f.root);
            assert_false(connects(&f, get(&f, host), &(struct client){host, version, &stranger}));
            assert_int_equal(f.r.owner.reason,
                             ENDING_TLS_UNTRUSTED); /* the issuer vouches for servers alone */
            cert_free(&stranger);
        }
        fixture_fini(&f);
    }
}

/* ---- what is kept ---- */

static void a_second_client_gets_the_same(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct setup){0});
    struct tls_context *first = get(&f, "10.1.2.3"), *other = get(&f, "10.1.2.4");
    assert_ptr_not_equal(first, other);
    assert_ptr_equal(get(&f, "10.1.2.3"), first);
    assert_ptr_equal(get(&f, "::ffff:10.1.2.3"), first);
    assert_ptr_equal(get(&f, "n1.example."), get(&f, "n1.example"));
    assert_int_equal(minted(&f), 3);
    assert_int_equal(f.r.world.worker.counters.values[COUNTER_minted_kept], 3);
    fixture_fini(&f);
}

static void the_longest_unused_leaves_and_its_streams_stay(void **state)
{
    (void)state;
    enum { ENTRIES = 20 };
    struct fixture f;
    char host[32];
    fixture_init(&f, &(struct setup){.entries_max = ENTRIES});
    struct client x = {"10.0.0.0", 0, pki.client};
    assert_true(connects(&f, get(&f, "10.0.0.0"), &x));
    for (int i = 1; i < 100; i++) {
        snprintf(host, sizeof(host), "10.0.0.%d", i);
        get(&f, host);
        get(&f, "10.0.0.1"); /* asked for again and again: stays */
        assert_true(f.r.world.worker.counters.values[COUNTER_minted_kept] <= ENTRIES);
    }
    assert_int_equal(minted(&f), 100);
    for (int i = 99; i > 99 - (ENTRIES - 1); i--) {
        snprintf(host, sizeof(host), "10.0.0.%d", i);
        get(&f, host);
    }
    assert_int_equal(minted(&f), 100);
    get(&f, "10.0.0.0");
    assert_int_equal(minted(&f), 101);
    fifo_put(&f.r.peer.to_send, "still here", 10);
    rig_settle(&f.r, 3);
    assert_int_equal(f.r.owner.received.len, 10);
    tls_mint_free(&f.mint); /* and after the mint itself is gone */
    fifo_put(&f.r.peer.to_send, "still here", 10);
    rig_settle(&f.r, 3);
    assert_int_equal(f.r.owner.received.len, 20);
    rig_disconnect(&f.r);
    fixture_fini(&f);
}

static void certificates_are_renewed_in_time(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct setup){.life_s = 3 * HOUR});
    get(&f, "10.1.2.3");
    f.r.world.wall_offset_s = 2 * HOUR - 400; /* it began five minutes early */
    get(&f, "10.1.2.3");
    assert_int_equal(minted(&f), 1);
    f.r.world.wall_offset_s = 2 * HOUR + 10;
    get(&f, "10.1.2.3");
    get(&f, "10.1.2.3");
    assert_int_equal(minted(&f), 2);
    assert_int_equal(f.r.world.worker.counters.values[COUNTER_minted_kept], 1);
    f.r.world.wall_offset_s = 0; /* the clock was wrong: clients would call it not yet valid */
    get(&f, "10.1.2.3");
    assert_int_equal(minted(&f), 3);
    fixture_fini(&f);
}

static void an_issuer_near_its_end_is_used_to_the_end(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct setup){
                         .issuer = {.from_s = -HOUR, .until_s = 2 * HOUR}
    });
    struct tls_context *c = get(&f, "10.1.2.3");
    f.r.world.wall_offset_s = 2 * HOUR - 100;
    assert_ptr_equal(get(&f, "10.1.2.3"), c); /* a new one would end at the same time */
    get(&f, "10.1.2.4");
    assert_int_equal(minted(&f), 2);
    f.r.world.wall_offset_s = 2 * HOUR + 10;
    assert_null(tls_mint_get(f.mint, "10.1.2.3", f.detail, sizeof(f.detail)));
    assert_non_null(strstr(f.detail, "bridge.pem: the issuing CA expired at 2"));
    f.r.world.wall_offset_s = 0;
    get(&f, "10.1.2.3");
    fixture_fini(&f);
}

static void another_issuer_makes_everything_anew(void **state)
{
    (void)state;
    struct fixture f;
    struct tls_issuer *issuer = NULL;
    struct tls_roots *roots = NULL;
    struct client x = {.expects = "10.1.2.3", .identity = &pki.client[PKI_EC]};
    fixture_init(&f, &(struct setup){0});
    struct cert other = cert_make(&(struct cert_spec){.cn = "other-ca", .ca = true}, NULL), first = f.root;
    assert_int_equal(tls_issuer_new(cert_write(pki.dir, "other.pem", &other, 1),
                                    cert_write_key(pki.dir, "other.key", &other), &issuer, f.detail,
                                    sizeof(f.detail)),
                     0);
    assert_int_equal(tls_roots_new(pki.root_file, &roots, f.detail, sizeof(f.detail)), 0);
    assert_true(connects(&f, get(&f, "10.1.2.3"), &x)); /* and stays, with the context it has */
    tls_mint_replace(f.mint, issuer, roots);
    tls_issuer_unref(&issuer);
    tls_roots_unref(&roots);
    assert_int_equal(f.r.world.worker.counters.values[COUNTER_minted_kept], 0);
    assert_true(f.r.owner.opened && !f.r.owner.closed);
    rig_disconnect(&f.r);
    assert_false(connects(&f, get(&f, "10.1.2.3"), &x)); /* a client that trusts the first issuer */
    f.root = other;
    assert_true(connects(&f, get(&f, "10.1.2.3"), &x));
    rig_disconnect(&f.r);
    cert_free(&first);
    fixture_fini(&f);
}

static void what_is_no_destination_gets_a_reason(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct setup){0});
    static const char *const bad[] = {"", "*.example", "N1.example", "10.0.0.256", "a b", "[::1]"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        f.detail[0] = '\0';
        assert_null(tls_mint_get(f.mint, bad[i], f.detail, sizeof(f.detail)));
        assert_non_null(strstr(f.detail, "neither an address nor a DNS name"));
    }
    char small[4] = "xxx";
    assert_null(tls_mint_get(f.mint, "*", small, 2));
    assert_int_equal(small[2], 'x');
    assert_int_equal(minted(&f), 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_verify_and_are_verified),
        cmocka_unit_test(a_second_client_gets_the_same),
        cmocka_unit_test(the_longest_unused_leaves_and_its_streams_stay),
        cmocka_unit_test(certificates_are_renewed_in_time),
        cmocka_unit_test(an_issuer_near_its_end_is_used_to_the_end),
        cmocka_unit_test(another_issuer_makes_everything_anew),
        cmocka_unit_test(what_is_no_destination_gets_a_reason),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
