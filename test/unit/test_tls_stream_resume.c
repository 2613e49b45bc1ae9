/* test/unit/test_tls_stream_resume.c — resumption of the TLS stream against OpenSSL: who resumes, and what is
 * verified again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/pki.h"
#include "test/support/tls_rig.h"

struct resume {
    struct tls_rig r;
    struct tls_context *c;
    SSL_CTX *peer;
    uint8_t ticket[TLS_TICKET_BYTES_MAX];
    size_t ticket_len;
    const char *ip;
};

static void resume_init(struct resume *x, int version, int identity)
{
    memset(x, 0, sizeof(*x));
    x->c = pki_client_context(identity);
    x->peer = ssl_peer_context(true, &pki.leaf[0], 1, identity >= 0 ? &pki.root : NULL, version);
    x->ip = "10.1.2.3";
    rig_init(&x->r, NULL);
}

static void resume_fini(struct resume *x)
{
    rig_fini(&x->r);
    SSL_CTX_free(x->peer);
    tls_context_unref(&x->c);
}

/* One connection with a byte each way; the newest ticket is kept. True when it was opened. */
static bool resume_once(struct resume *x, struct tls_info *ret_info, enum ending *ret_reason)
{
    rig_connect(&x->r, &(struct rig_connect){.context = x->c,
                                             .peer = x->peer,
                                             .ip = x->ip,
                                             .node = "n1",
                                             .ticket = x->ticket_len ? x->ticket : NULL,
                                             .ticket_len = x->ticket_len});
    x->r.owner.credit = 1024;
    stream_grant(x->r.owner.stream, 1024);
    assert_true(rig_send(&x->r, "?", 1));
    fifo_put(&x->r.peer.to_send, "!", 1);
    rig_settle(&x->r, 8);
    bool opened = x->r.owner.opened;
    if (!opened) /* a refused peer is given a moment to hear why */
        rig_until(&x->r, &x->r.owner.closed, 1, 100);
    if (opened) {
        assert_int_equal(x->r.peer.received.len, 1);
        assert_int_equal(x->r.owner.received.len, 1);
    }
    *ret_info = x->r.owner.info;
    *ret_reason = x->r.owner.reason;
    if (x->r.owner.tickets > 0) {
        assert_true(x->r.owner.ticket_len <= sizeof(x->ticket));
        memcpy(x->ticket, x->r.owner.ticket, x->r.owner.ticket_len);
        x->ticket_len = x->r.owner.ticket_len;
    }
    rig_disconnect(&x->r);
    return opened;
}

static void resumes(int version, int identity)
{
    struct resume x;
    struct tls_info info;
    enum ending reason;
    int resumed = 0, offered = 0;
    enum { CONNECTIONS = 200 };
    resume_init(&x, version, identity);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (!resume_once(&x, &info, &reason))
            fail_msg("connection %d: %s %s", i, ending_name(reason), info.detail);
        assert_string_equal(info.peer_cn, "system:node:n1");
        resumed += info.resumed;
        offered += info.ticket_offered;
    }
    assert_int_equal(offered, CONNECTIONS - 1);
    assert_true(resumed * 100 >= CONNECTIONS * 99);
    resume_fini(&x);
}

static void tickets_resume_nearly_always(void **state)
{
    (void)state;
    resumes(0, -1);
    resumes(0, PKI_EC);
    resumes(TLS1_2_VERSION, -1);
    resumes(TLS1_2_VERSION, PKI_EC);
}

static void new_ticket_keys_cost_one_full_handshake(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct resume x;
        struct tls_info info;
        enum ending reason;
        int full = 0;
        resume_init(&x, v ? TLS1_2_VERSION : 0, -1);
        for (int i = 0; i < 30; i++) {
            if (i % 10 == 5) {
                uint8_t keys[80];
                memset(keys, i, sizeof(keys));
                SSL_CTX_set_tlsext_ticket_keys(x.peer, keys, sizeof(keys));
            }
            if (!resume_once(&x, &info, &reason)) {
                if (!info.ticket_refused)
                    fail_msg("version %d connection %d: %s %s", v, i, ending_name(reason), info.detail);
                assert_int_equal(v, 1);
                x.ticket_len = 0; /* what a pool does then */
                assert_true(resume_once(&x, &info, &reason));
            }
            full += !info.resumed;
        }
        assert_int_equal(full, 1 + 3);
        resume_fini(&x);
    }
}

static void a_resumed_peer_is_verified_again(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct resume x;
        struct tls_info info;
        enum ending reason;
        resume_init(&x, v ? TLS1_2_VERSION : 0, -1);
        assert_true(resume_once(&x, &info, &reason));
        assert_true(resume_once(&x, &info, &reason) && info.resumed);
        x.ip = "10.1.2.4";
        assert_false(resume_once(&x, &info, &reason));
        assert_true(info.resumed);
        assert_int_equal(reason, ENDING_TLS_NAME_MISMATCH);
        x.ip = "10.1.2.3";
        x.r.world.wall_offset_s = 2 * 86400;
        assert_false(resume_once(&x, &info, &reason));
        assert_true(info.resumed);
        assert_int_equal(reason, ENDING_TLS_EXPIRED);
        resume_fini(&x);
    }
}

static void a_damaged_ticket_is_a_full_handshake(void **state)
{
    (void)state;
    struct resume x;
    struct tls_info info;
    enum ending reason;
    resume_init(&x, 0, -1);
    assert_true(resume_once(&x, &info, &reason));
    x.ticket_len /= 2;
    assert_true(resume_once(&x, &info, &reason));
    assert_false(info.resumed);
    memset(x.ticket, 0xff, 64);
    assert_true(resume_once(&x, &info, &reason));
    assert_false(info.resumed);
    resume_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_resume_nearly_always),
        cmocka_unit_test(new_ticket_keys_cost_one_full_handshake),
        cmocka_unit_test(a_resumed_peer_is_verified_again),
        cmocka_unit_test(a_damaged_ticket_is_a_full_handshake),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
