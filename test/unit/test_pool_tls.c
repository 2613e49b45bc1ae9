/* test/unit/test_pool_tls.c — the pool with the real TLS client, against OpenSSL servers: resumption over
 * many connections, tickets that arrive on idle ones, servers that lie about who they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/tls/tls.h"
#include "pool/pool.h"
#include "test/support/certs.h"
#include "test/support/ssl_peer.h"
#include "test/support/world.h"

enum { PEERS_MAX = 64 };

static struct {
    struct world world;
    struct engine_ops ops; /* the world's, and dialling */
    struct pool *pool;
    struct pool_profile profile;
    SSL_CTX *server;
    struct ssl_peer peers[PEERS_MAX];
    unsigned peers_count;
} t;

static const char *dir, *root_file;
static struct cert root, leaf;

struct lessee {
    struct lease lease;
    struct conn *conn;
    enum lease_how how;
    enum ending ending;
    char detail[POOL_DETAIL_MAX];
    unsigned answers, bytes;
};

/* -- the world ----------------------------------------------------------------------------------------------
 */

static struct stream *dial(struct engine *e, const struct net_address *address)
{
    (void)e;
    (void)address;
    assert_true(t.peers_count < PEERS_MAX);
    struct pipe *pipe = pipe_new(&t.world);
    for (unsigned i = 0; i < t.peers_count; i++) /* one that was freed this turn may have left its address */
        if (t.peers[i].pipe == pipe)
            t.peers[i].pipe = NULL;
    pipe->says_open = true;
    ssl_peer_init(&t.peers[t.peers_count++], t.server, true, pipe);
    return &pipe->stream;
}

static bool is_alive(const struct pipe *pipe)
{
    for (const struct list *n = t.world.pipes.next; n != &t.world.pipes; n = n->next)
        if (list_entry(n, struct pipe, node) == pipe)
            return true;
    return false;
}

static void turns(int count)
{
    while (count-- > 0) {
        world_turn(&t.world);
        pool_check(t.pool);
        for (unsigned i = 0; i < t.peers_count; i++) {
            if (!is_alive(t.peers[i].pipe))
                t.peers[i].pipe = NULL;
            ssl_peer_pump(&t.peers[i]);
        }
    }
}

static void start(int version)
{
    char detail[256];
    struct tls_context_options options = {
        .role = TLS_CLIENT, .ca_file = root_file, .allow_tls12 = true, .resumption = true};
    struct pool_options pool_options = {
        .limits = {.endpoints_max = 8,
                   .conns_per_endpoint_max = 4,
                   .waiters_per_endpoint_max = 8,
                   .dials_in_flight_max = 4,
                   .tickets_per_endpoint_max = 4,
                   .wait_ms = 2000,
                   .idle_ms = 80000,
                   .age_max_ms = 1800000,
                   .resolve_ms = 2000,
                   .connect_ms = 3000,
                   .tls_ms = 5000,
                   .breaker_failures = 5,
                   .backoff_min_ms = 500,
                   .backoff_max_ms = 30000}
    };
    static const struct log_options quiet = {.fd = -1, .level = LOG_ERROR};
    log_configure(&quiet);
    memset(&t, 0, sizeof(t));
    world_init(&t.world, NULL);
    t.ops = *t.world.engine.ops;
    t.ops.dial = dial;
    t.world.engine.ops = &t.ops;
    t.profile = (struct pool_profile){.id = 1, .tls = true, .resumption = true};
    assert_int_equal(tls_context_new(&options, &t.profile.context, detail, sizeof(detail)), 0);
    t.server = ssl_peer_context(true, &leaf, 1, NULL, version);
    assert_int_equal(pool_new(&t.world.worker, &pool_options, &t.pool), 0);
}

static void stop(void)
{
    pool_drain(t.pool);
    turns(1200); /* a turn is a millisecond: beyond the linger */
    assert_true(pool_is_empty(t.pool));
    pool_free(&t.pool);
    for (unsigned i = 0; i < t.peers_count; i++)
        ssl_peer_fini(&t.peers[i]);
    SSL_CTX_free(t.server);
    tls_context_unref(&t.profile.context);
    world_fini(&t.world);
}

static uint64_t count(enum counter c)
{
    return atomic_load_explicit(&t.world.worker.counters.values[c], memory_order_relaxed);
}

/* -- lessees ------------------------------------------------------------------------------------------------
 */

static void on_open(struct stream *s)
{
    (void)s;
}

static void on_data(struct stream *s, struct seg seg)
{
    struct lessee *l = s->owner;
    l->bytes += seg.len;
    conn_set_credit(l->conn, conn_credit(l->conn) - seg.len);
    worker_release_seg(s->worker, seg);
}

static void on_sent(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void on_closed(struct stream *s, enum ending ending)
{
    (void)s;
    (void)ending;
    fail();
}

static const struct stream_events events = {on_open, on_data, on_sent, on_open, on_closed};

static void on_granted(struct lease *lease, struct conn *conn, enum lease_how how)
{
    struct lessee *l = lease->owner;
    l->answers++;
    l->conn = conn;
    l->how = how;
    stream_bind(conn_stream(conn), &events, l);
    stream_grant(conn_stream(conn), 4096);
    conn_set_credit(conn, conn_credit(conn) + 4096);
}

static void on_failed(struct lease *lease, enum ending ending, const char *detail)
{
    struct lessee *l = lease->owner;
    l->answers++;
    l->ending = ending;
    strncpy(l->detail, detail, sizeof(l->detail) - 1);
}

static void lease(struct lessee *l, const char *host)
{
    struct endpoint_key key = {.profile = &t.profile, .port = 10250};
    snprintf(key.host, sizeof(key.host), "%s", host);
    memset(l, 0, sizeof(*l));
    l->lease = (struct lease){.owner = l, .granted = on_granted, .failed = on_failed};
    pool_lease(t.pool, &key, &l->lease, t.world.worker.now_ns + 8000000000u);
    for (int i = 0; i < 300 && l->answers == 0; i++) /* a failed handshake takes its time to say why */
        turns(1);
    assert_int_equal(l->answers, 1);
}

static void exchange(struct lessee *l)
{
    struct ssl_peer *peer = &t.peers[t.peers_count - 1];
    struct buf *b = buf_get(&t.world.worker.bufs, BUF_SMALL);
    memcpy(b->mem, "ping", 4);
    stream_send(conn_stream(l->conn), (struct seg){.buf = b, .data = b->mem, .len = 4});
    fifo_put(&peer->to_send, "pong", 4);
    turns(5);
    assert_int_equal(l->bytes, 4);
    assert_int_equal(peer->received.len, 4);
}

/* -- tests --------------------------------------------------------------------------------------------------
 */

static void reconnects_resume(int version)
{
    struct lessee l;
    start(version);
    for (int i = 0; i < 40; i++) {
        lease(&l, "10.1.2.3");
        assert_non_null(l.conn);
        assert_int_equal(l.how, i == 0 ? LEASE_NEW : LEASE_RESUMED);
        assert_string_equal(conn_tls_info(l.conn)->peer_cn, "system:node:n1");
        exchange(&l);
        pool_discard(t.pool, &l.conn, i % 2 ? ENDING_DONE : ENDING_CANCELLED);
        turns(5);
    }
    assert_int_equal(count(COUNTER_tls_full), 1);
    assert_int_equal(count(COUNTER_tls_resumed), 39);
    assert_int_equal(count(COUNTER_tls_not_resumed), 0);
    stop();
}

static void reconnects_resume_over_tls13(void **state)
{
    (void)state;
    reconnects_resume(0);
}

static void reconnects_resume_over_tls12(void **state)
{
    (void)state;
    reconnects_resume(TLS1_2_VERSION);
}

static void tickets_arrive_while_idle_and_do_not_retire(void **state)
{
    struct lessee l;
    (void)state;
    start(0);
    lease(&l, "10.1.2.3");
    pool_give_back(t.pool, &l.conn); /* before anything was read: tickets are still on their way */
    turns(20);
    assert_true(count(COUNTER_tickets) > 0);
    assert_int_equal(count(COUNTER_pool_idle), 1);
    lease(&l, "10.1.2.3");
    assert_int_equal(l.how, LEASE_REUSED);
    exchange(&l);
    pool_give_back(t.pool, &l.conn);
    fifo_put(&t.peers[0].to_send, "x", 1);
    turns(5);
    assert_int_equal(count(COUNTER_pool_idle), 0);
    assert_int_equal(count(COUNTER_pool_retired_stale), 1);
    stop();
}

static void close_notify_on_an_idle_connection_retires_it(void **state)
{
    struct lessee l;
    (void)state;
    start(0);
    lease(&l, "10.1.2.3");
    exchange(&l);
    pool_give_back(t.pool, &l.conn);
    ssl_peer_close(&t.peers[0]);
    turns(10);
    assert_int_equal(count(COUNTER_pool_idle), 0);
    assert_int_equal(count(COUNTER_pool_closing), 0);
    assert_int_equal(count(COUNTER_pool_retired_stale), 1);
    stop();
}

static void certificate_of_another_address_is_refused_with_the_reason(void **state)
{
    struct lessee l;
    (void)state;
    start(0);
    lease(&l, "10.9.9.9");
    assert_null(l.conn);
    assert_string_equal(ending_name(l.ending), "tls_name_mismatch");
    assert_non_null(strstr(l.detail, "10.9.9.9"));
    assert_int_equal(count(COUNTER_tls_failed), 1);
    stop();
}

static void new_ticket_keys_cost_one_full_handshake(int version)
{
    struct lessee l;
    start(version);
    for (int i = 0; i < 6; i++) {
        if (i == 3) { /* as after a restart */
            SSL_CTX_free(t.server);
            t.server = ssl_peer_context(true, &leaf, 1, NULL, version);
        }
        lease(&l, "10.1.2.3");
        assert_int_equal(l.how, i == 0 || i == 3 ? LEASE_NEW : LEASE_RESUMED);
        exchange(&l);
        pool_discard(t.pool, &l.conn, ENDING_CANCELLED);
        turns(5);
    }
    assert_int_equal(count(COUNTER_tls_not_resumed), 1);
    assert_int_equal(count(COUNTER_lease_failed), 0);
    stop();
}

static void new_ticket_keys_cost_one_full_handshake_over_tls13(void **state)
{
    (void)state;
    new_ticket_keys_cost_one_full_handshake(0);
}

static void new_ticket_keys_cost_one_full_handshake_over_tls12(void **state)
{
    (void)state;
    new_ticket_keys_cost_one_full_handshake(TLS1_2_VERSION);
}

static int make_certificates(void **state)
{
    (void)state;
    dir = certs_dir_new();
    root = cert_make(&(struct cert_spec){.cn = "test-root", .ca = true}, NULL);
    leaf = cert_make(&(struct cert_spec){.cn = "system:node:n1",
                                         .org = "system:nodes",
                                         .san = "IP:10.1.2.3,DNS:n1.example"},
                     &root);
    root_file = cert_write(dir, "root.pem", &root, 1);
    return tls_global_init();
}

static int drop_certificates(void **state)
{
    (void)state;
    cert_free(&root);
    cert_free(&leaf);
    certs_dir_remove(dir);
    tls_global_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reconnects_resume_over_tls13),
        cmocka_unit_test(reconnects_resume_over_tls12),
        cmocka_unit_test(tickets_arrive_while_idle_and_do_not_retire),
        cmocka_unit_test(close_notify_on_an_idle_connection_retires_it),
        cmocka_unit_test(certificate_of_another_address_is_refused_with_the_reason),
        cmocka_unit_test(new_ticket_keys_cost_one_full_handshake_over_tls13),
        cmocka_unit_test(new_ticket_keys_cost_one_full_handshake_over_tls12),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
