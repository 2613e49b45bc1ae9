/* test/support/pool_fixture.c — see pool_fixture.h. */
#include "test/support/pool_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct pool_options fixture_options(void)
{
    return (struct pool_options){
        .limits = {.endpoints_max = 8,
                   .conns_per_endpoint_max = 2,
                   .waiters_per_endpoint_max = 4,
                   .dials_in_flight_max = 3,
                   .tickets_per_endpoint_max = 3,
                   .wait_ms = 2000,
                   .idle_ms = 80000,
                   .age_max_ms = 1800000,
                   .age_jitter_percent = 0,
                   .resolve_ms = 2000,
                   .connect_ms = 3000,
                   .tls_ms = 5000,
                   .breaker_failures = 3,
                   .backoff_min_ms = 500,
                   .backoff_max_ms = 30000}
    };
}

/* -- sessions of shared connections -------------------------------------------------------------------------
 */

static void session_open(struct stream *s)
{
    (void)s;
}

static void session_data(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void session_end(struct stream *s)
{
    stream_finish(s);
}

static void session_free(struct session *session)
{
    ASSERT(list_empty(&session->clients));
    list_remove(&session->node);
    session->f->sessions_ended++;
    free(session);
}

static void session_closed(struct stream *s, enum ending ending)
{
    struct session *session = s->owner;
    struct list *node;
    conn_set_shares(session->conn, 0);
    while ((node = list_pop(&session->clients))) {
        struct client *c = list_entry(node, struct client, node);
        c->closed++;
        c->closed_with = ending;
        pool_discard(session->f->pool, &c->conn, ending);
    }
    pool_lost(session->f->pool, &session->conn, ending);
    session_free(session);
}

static const struct stream_events session_events = {session_open, session_data, session_data, session_end,
                                                    session_closed};

static int sharing_begin(struct conn *conn, void *owner)
{
    struct pool_fixture *f = owner;
    if (f->shares <= 0)
        return f->shares;
    struct session *session = calloc(1, sizeof(*session));
    ASSERT(session);
    session->f = f;
    session->conn = conn;
    list_init(&session->node);
    list_init(&session->clients);
    list_add_head(&f->sessions, &session->node);
    conn_set_session(conn, session);
    stream_bind(conn_stream(conn), &session_events, session);
    stream_grant(conn_stream(conn), 100);
    return f->shares;
}

static void sharing_end(struct conn *conn, enum ending reason, void *owner)
{
    struct session *session = conn_session(conn);
    struct script_stream *s = container_of(conn_stream(conn), struct script_stream, stream);
    (void)reason;
    (void)owner;
    conn_set_credit(conn, s->credit);
    session_free(session);
}

void fixture_start(struct pool_fixture *f, const struct pool_options *options)
{
    static const struct log_options quiet = {.fd = -1, .level = LOG_ERROR};
    memset(f, 0, sizeof(*f));
    log_configure(&quiet);
    script_start(&f->engine, 42);
    f->plain = (struct pool_profile){.id = 1};
    f->single = (struct pool_profile){.id = 3, .single_use = true};
    f->shared = (struct pool_profile){.id = 4, .shared = true};
    f->tls = (struct pool_profile){.id = 2, .generation = 1, .tls = true, .resumption = true};
    f->tls_next = (struct pool_profile){.id = 2, .generation = 2, .tls = true, .resumption = true};
    list_init(&f->sessions);
    struct pool_options with_sharing = *options;
    with_sharing.sharing = (struct pool_sharing){sharing_begin, sharing_end, f};
    ASSERT(pool_new(&f->engine.worker, &with_sharing, &f->pool) == 0);
}

void fixture_settle(struct pool_fixture *f)
{
    script_run(&f->engine);
    pool_check(f->pool);
}

void fixture_stop(struct pool_fixture *f)
{
    pool_drain(f->pool);
    fixture_settle(f);
    script_advance_ms(&f->engine, 20000); /* beyond every linger */
    fixture_settle(f);
    ASSERT(pool_is_empty(f->pool));
    ASSERT(list_empty(&f->sessions));
    pool_free(&f->pool);
    script_stop(&f->engine);
}

struct endpoint_key fixture_key(const struct pool_profile *profile, const char *host)
{
    struct endpoint_key key = {.profile = profile, .port = 10250};
    snprintf(key.host, sizeof(key.host), "%s", host);
    return key;
}

static void ignore_open(struct stream *s)
{
    (void)s;
}

static void lessee_data(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void lessee_end(struct stream *s)
{
    struct client *c = s->owner;
    c->ended++;
}

static void lessee_closed(struct stream *s, enum ending ending)
{
    struct client *c = s->owner;
    c->closed++;
    c->closed_with = ending;
}

static const struct stream_events lessee_events = {ignore_open, lessee_data, lessee_data, lessee_end,
                                                   lessee_closed};

static void on_granted(struct lease *l, struct conn *conn, enum lease_how how)
{
    struct client *c = l->owner;
    c->answers++;
    c->conn = conn;
    c->how = how;
    if (conn_session(conn))
        list_add_tail(&((struct session *)conn_session(conn))->clients, &c->node);
    else
        stream_bind(conn_stream(conn), &lessee_events, c);
}

static void on_failed(struct lease *l, enum ending ending, const char *detail)
{
    struct client *c = l->owner;
    c->answers++;
    c->conn = NULL;
    c->ending = ending;
    snprintf(c->detail, sizeof(c->detail), "%s", detail);
}

static void ask(struct client *c, struct pool_fixture *f, const struct endpoint_key *key,
                uint64_t deadline_ms, bool fresh, bool at_once)
{
    memset(c, 0, sizeof(*c));
    c->f = f;
    list_init(&c->node);
    c->lease.owner = c;
    c->lease.fresh = fresh;
    c->lease.at_once = at_once;
    c->lease.granted = on_granted;
    c->lease.failed = on_failed;
    pool_lease(f->pool, key, &c->lease, f->engine.worker.now_ns + deadline_ms * 1000000u);
    ASSERT(c->answers == 0); /* never from inside the call */
}

void client_ask(struct client *c, struct pool_fixture *f, const struct endpoint_key *key,
                uint64_t deadline_ms)
{
    ask(c, f, key, deadline_ms, false, false);
}

void client_ask_fresh(struct client *c, struct pool_fixture *f, const struct endpoint_key *key,
                      uint64_t deadline_ms)
{
    ask(c, f, key, deadline_ms, true, false);
}

void client_ask_at_once(struct client *c, struct pool_fixture *f, const struct endpoint_key *key,
                        uint64_t deadline_ms)
{
    ask(c, f, key, deadline_ms, false, true);
}

void client_give_back(struct client *c)
{
    list_remove(&c->node);
    pool_give_back(c->f->pool, &c->conn);
    pool_check(c->f->pool);
}

struct conn *client_connect(struct client *c, struct pool_fixture *f, const struct endpoint_key *key)
{
    client_ask(c, f, key, 8000);
    fixture_settle(f);
    if (c->answers == 0) {
        script_open(script_dialling(&f->engine));
        fixture_settle(f);
    }
    ASSERT(c->answers == 1);
    ASSERT(c->conn != NULL);
    return c->conn;
}

struct session *client_session(const struct client *c)
{
    return conn_session(c->conn);
}

struct script_stream *client_stream(const struct client *c)
{
    return container_of(conn_stream(c->conn), struct script_stream, stream);
}

void client_assert_refused(const struct client *c, enum ending ending)
{
    assert_int_equal(c->answers, 1);
    assert_null(c->conn);
    assert_string_equal(ending_name(c->ending), ending_name(ending));
}

uint64_t fixture_count(const struct pool_fixture *f, enum counter counter)
{
    return atomic_load_explicit(&f->engine.worker.counters.values[counter], memory_order_relaxed);
}
