/* test/unit/test_tls_accept.c — streams that had another owner before TLS began on them, and the choice of
 * the protocol inside (ALPN), as server and as client, against OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/pki.h"
#include "test/support/tls_rig.h"

enum { WINDOW = 128 * 1024, ALERT_NO_PROTOCOL = 120, NO_ALERT = -1 };

/* ---- taken over ---- */

struct takeover {
    int version;
    uint32_t credit, piece;
    int turns;
};

/* Opens, moves bytes both ways and returns the credit that is open below. */
static uint32_t take_over(const struct takeover *t, size_t bytes)
{
    struct tls_rig r;
    struct tls_context *c = pki_server_context(PKI_EC, true);
    SSL_CTX *peer = ssl_peer_context(false, pki.client, 1, &pki.root, t->version);
    uint8_t *body = calloc(1, bytes);
    assert_non_null(body);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c,
                                          .peer = peer,
                                          .server = true,
                                          .former_credit = t->credit,
                                          .former_turns = t->turns,
                                          .piece = t->piece});
    uint32_t most = t->credit > WINDOW ? t->credit : WINDOW;
    r.owner.regrant = 1;
    r.owner.credit = 1 << 20;
    stream_grant(r.owner.stream, 1 << 20);
    fifo_put(&r.peer.to_send, body, bytes);
    assert_true(rig_send(&r, "hello", 5));
    for (int i = 0; i < 4000 && r.owner.received.len < bytes && !r.owner.closed; i++)
        rig_step(&r);
    if (r.owner.closed || r.owner.received.len < bytes)
        fail_msg("credit %u, pieces of %u: %s %s", t->credit, t->piece, ending_name(r.owner.reason),
                 r.owner.info.detail);
    rig_settle(&r, 3);
    assert_int_equal(r.peer.received.len, 5);
    assert_true(r.pipe->credit_max <= most);
    uint32_t open = r.pipe->credit;
    rig_disconnect(&r);
    rig_fini(&r);
    free(body);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
    return open;
}

static void any_part_of_the_hello_may_have_come_before(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        int version = v ? TLS1_2_VERSION : 0;
        for (uint32_t before = 1; before < 600; before += before < 12 ? 1 : 41) {
            assert_int_equal(take_over(&(struct takeover){version, before, 0, 2}, 10), WINDOW);
            assert_int_equal(take_over(&(struct takeover){version, before, 3, 2}, 10), WINDOW);
        }
        assert_int_equal(take_over(&(struct takeover){version, 65536, 1, 2}, 10), WINDOW);
    }
}

static void credit_given_before_counts(void **state)
{
    (void)state;
    static const uint32_t credits[] = {1000, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 1 << 20};
    for (size_t i = 0; i < ARRAY_SIZE(credits); i++) {
        struct takeover t = {0, credits[i], 0, 2};
        uint32_t open = take_over(&t, 10);
        assert_true(open <= (credits[i] > WINDOW ? credits[i] : WINDOW));
        assert_int_equal(take_over(&t, 2 << 20), WINDOW); /* what was too much is used up */
    }
}

static void what_came_before_is_judged_like_the_rest(void **state)
{
    (void)state;
    struct tls_rig r;
    struct tls_context *c = pki_server_context(PKI_EC, true);
    SSL_CTX *peer = ssl_peer_context(false, pki.client, 1, &pki.root, 0);
    rig_init(&r, NULL);
    for (int end = 0; end < 2; end++) { /* 0: it is no TLS; 1: given up before anything was read */
        rig_connect(&r,
                    &(struct rig_connect){
                        .context = c, .peer = peer, .server = true, .former_credit = 5, .former_turns = 2});
        if (end == 0) {
            struct buf *b = buf_get(&r.world.worker.bufs, BUF_SMALL);
            assert_non_null(b);
            memcpy(b->mem, "GET / HTTP/1.1\r\n", 16); /* behind five octets of a hello */
            tls_accept_early(r.owner.stream, (struct seg){.buf = b, .data = b->mem, .len = 16});
        } else {
            stream_abort(r.owner.stream, ENDING_CANCELLED);
        }
        r.peer.hold = true;
        assert_true(rig_until(&r, &r.owner.closed, 1, 200));
        assert_int_equal(r.owner.reason, end == 0 ? ENDING_TLS_PROTOCOL : ENDING_CANCELLED);
        rig_disconnect(&r);
    }
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

/* ---- the protocol, as server ---- */

static int last_alert;

static void note_alert(const SSL *ssl, int where, int value)
{
    (void)ssl;
    if (where & SSL_CB_READ_ALERT)
        last_alert = value & 0xff;
}

struct choice {
    const char *ours, *offered; /* the client's as on the wire; NULL: none */
    const char *chosen;         /* NULL: refused */
};

static void accept_one(const struct choice *x, int version, const char *groups)
{
    struct tls_rig r;
    struct tls_context_options o = {.role = TLS_SERVER,
                                    .certificate_file = pki.leaf_file[0],
                                    .key_file = pki.leaf_key[0],
                                    .allow_tls12 = true,
                                    .alpn = x->ours};
    struct tls_context *c = rig_context(&o);
    SSL_CTX *peer = ssl_peer_context(false, NULL, 0, &pki.root, version);
    SSL_CTX_set_info_callback(peer, note_alert);
    last_alert = NO_ALERT;
    assert_int_equal(SSL_CTX_set1_groups_list(peer, groups), 1);
    if (x->offered)
        assert_int_equal(
            SSL_CTX_set_alpn_protos(peer, (const uint8_t *)x->offered, (unsigned)strlen(x->offered)), 0);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .server = true});
    for (int i = 0; i < 200 && !r.owner.opened && !r.owner.closed; i++)
        rig_step(&r);
    rig_settle(&r, 2);
    if (!r.owner.opened != !x->chosen)
        fail_msg("offered %s to %s: %s %s", x->offered ? x->offered : "none", x->ours ? x->ours : "none",
                 ending_name(r.owner.reason), r.owner.info.detail);
    if (x->chosen) {
        const unsigned char *theirs = NULL;
        unsigned len = 0;
        SSL_get0_alpn_selected(r.peer.ssl, &theirs, &len);
        assert_string_equal(r.owner.info.alpn, x->chosen);
        assert_int_equal(len, strlen(x->chosen));
        assert_memory_equal(theirs ? (const char *)theirs : "", x->chosen, len);
    } else {
        assert_int_equal(r.owner.reason, ENDING_TLS_PROTOCOL);
        assert_non_null(strstr(r.owner.info.detail, x->ours));
        assert_int_equal(last_alert, ALERT_NO_PROTOCOL);
    }
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void our_preference_chooses_or_refuses(void **state)
{
    (void)state;
    static const char both[] = "h2,http/1.1", one[] = "http/1.1";
    static const struct choice choices[] = {
        {both, NULL,                 ""        }, /* as kube-apiserver does to its egress proxy */
        {both, "\x02h2",             "h2"      },
        {both, "\x08http/1.1",       "http/1.1"},
        {both, "\x08http/1.1\x02h2", "h2"      },
        {both, "\x02h3\x08http/1.1", "http/1.1"},
        {both, "\x02h3",             NULL      },
        {both, "\x02H2\x03h22\x01h", NULL      },
        {one,  NULL,                 ""        },
        {one,  "\x02h2\x08http/1.1", "http/1.1"},
        {one,  "\x02h2",             NULL      },
        {NULL, "\x02h2",             ""        },
    };
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
        accept_one(&choices[i], 0, "X25519:P-256");
        accept_one(&choices[i], 0, "P-384:P-256"); /* a hello that must be repeated */
        accept_one(&choices[i], TLS1_2_VERSION, "X25519:P-256");
    }
}

/* ---- as client ---- */

struct answer {
    const char *chosen; /* by the server; NULL: nothing */
    bool taken;
};

static int answer_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg)
{
    (void)ssl;
    const struct answer *a = arg;
    static const uint8_t expected[] = "\x02h2\x08http/1.1"; /* in our order */
    assert_int_equal(in_len, sizeof(expected) - 1);
    assert_memory_equal(in, expected, in_len);
    if (!a->chosen)
        return SSL_TLSEXT_ERR_NOACK;
    *out = (const unsigned char *)a->chosen;
    *out_len = (unsigned char)strlen(a->chosen);
    return SSL_TLSEXT_ERR_OK;
}

static void connect_one(const struct answer *a, int version)
{
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, pki.leaf, 1, NULL, version);
    SSL_CTX_set_alpn_select_cb(peer, answer_alpn, (void *)a);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    for (int i = 0; i < 200 && !r.owner.opened && !r.owner.closed; i++)
        rig_step(&r);
    if ((r.owner.opened > 0) != a->taken)
        fail_msg("%s: %s %s", a->chosen ? a->chosen : "none", ending_name(r.owner.reason),
                 r.owner.info.detail);
    if (a->taken)
        assert_string_equal(r.owner.info.alpn, a->chosen ? a->chosen : "");
    else
        assert_int_equal(r.owner.reason, ENDING_TLS_PROTOCOL);
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void a_server_chooses_what_was_offered_or_nothing(void **state)
{
    (void)state;
    static const struct answer answers[] = {
        {"h2",       true },
        {"http/1.1", true },
        {NULL,       true },
        {"h3",       false},
        {"http/1.",  false},
        {"x",        false}
    };
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        connect_one(&answers[i], 0);
        connect_one(&answers[i], TLS1_2_VERSION);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_part_of_the_hello_may_have_come_before),
        cmocka_unit_test(credit_given_before_counts),
        cmocka_unit_test(what_came_before_is_judged_like_the_rest),
        cmocka_unit_test(our_preference_chooses_or_refuses),
        cmocka_unit_test(a_server_chooses_what_was_offered_or_nothing),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
