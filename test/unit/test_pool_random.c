/* test/unit/test_pool_random.c — a hundred thousand steps at random, the whole pool checked after each:
 * leases come, go and are given up, streams open, fail, speak and end at any time, the clock jumps,
 * generations change. Every lease is answered exactly once and by its deadline, or was cancelled. HAWSER_SEED
 * repeats a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/pool_fixture.h"

enum { CLIENTS = 24, HOSTS = 10, STEPS = 100000, LATE_NS = 20000000 /* two ticks of the timing wheel */ };

struct run {
    struct pool_fixture f;
    uint64_t random;
    struct client clients[CLIENTS];
    bool pending[CLIENTS];
    struct pool_profile generations[4], single_use[2], shared[2]; /* the last two: without TLS, with it */
    unsigned generation;
    unsigned granted, failed, cancelled, reused, resumed, shares;
};

static uint32_t pick(struct run *r, uint32_t below)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(r->random >> 33) % below;
}

static struct endpoint_key any_key(struct run *r)
{
    char host[32];
    uint32_t n = pick(r, HOSTS);
    snprintf(host, sizeof(host), "10.0.0.%u", n);
    bool tls = n % 2;
    if (n % 5 == 4) /* 10.0.0.4 is plain, 10.0.0.9 has TLS */
        return fixture_key(&r->single_use[tls], host);
    if (n % 5 == 3) /* 10.0.0.3 has TLS, 10.0.0.8 is plain */
        return fixture_key(&r->shared[tls], host);
    unsigned generation = r->generation - (r->generation > 0 && pick(r, 8) == 0);
    return fixture_key(tls ? &r->generations[generation] : &r->f.plain, host);
}

static struct client *any_client(struct run *r, bool pending, bool holding)
{
    uint32_t start = pick(r, CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint32_t n = (start + i) % CLIENTS;
        if (r->pending[n] == pending && (r->clients[n].conn != NULL) == holding)
            return &r->clients[n];
    }
    return NULL;
}

static struct script_stream *any_stream(struct run *r, bool opened)
{
    struct script_stream *found = NULL;
    unsigned seen = 0;
    for (struct list *n = r->f.engine.streams.next; n != &r->f.engine.streams; n = n->next) {
        struct script_stream *s = list_entry(n, struct script_stream, node);
        if (!s->covered && !s->closing && s->opened == opened && pick(r, ++seen) == 0)
            found = s;
    }
    return found;
}

static enum ending any_failure(struct run *r)
{
    static const enum ending failures[] = {ENDING_REFUSED, ENDING_UNREACHABLE, ENDING_PEER_RESET,
                                           ENDING_LIMIT,   ENDING_TLS_ALERT,   ENDING_TLS_UNTRUSTED};
    return failures[pick(r, ARRAY_SIZE(failures))];
}

static void ask(struct run *r)
{
    struct client *c = any_client(r, false, false);
    if (!c)
        return;
    struct endpoint_key key = any_key(r);
    if (pick(r, 8) == 0)
        client_ask_fresh(c, &r->f, &key, pick(r, 8000));
    else if (pick(r, 2))
        client_ask_at_once(c, &r->f, &key, pick(r, 8000));
    else
        client_ask(c, &r->f, &key, pick(r, 8000));
    r->pending[c - r->clients] = true;
}

static void cancel(struct run *r)
{
    struct client *c = any_client(r, true, false);
    if (!c)
        return;
    pool_cancel(r->f.pool, &c->lease);
    r->pending[c - r->clients] = false;
    r->cancelled++;
}

static void hand_in(struct run *r, struct client *c)
{
    if (conn_session(c->conn)) {
        list_remove(&c->node);
        if (pick(r, 2))
            pool_give_back(r->f.pool, &c->conn);
        else
            pool_discard(r->f.pool, &c->conn, any_failure(r));
    } else if (c->closed)
        pool_lost(r->f.pool, &c->conn, c->closed_with);
    else if (c->ended || pick(r, 8) == 0)
        pool_discard(r->f.pool, &c->conn, pick(r, 2) ? ENDING_DONE : any_failure(r));
    else {
        conn_set_credit(c->conn, client_stream(c)->credit);
        pool_give_back(r->f.pool, &c->conn);
    }
}

static void stir_stream(struct run *r)
{
    struct script_stream *s = any_stream(r, true);
    if (!s)
        return;
    switch (pick(r, 6)) {
    case 0:
        if (s->credit > 0 && !s->peer_ended)
            script_data(s, "x");
        break;
    case 1:
        if (!s->peer_ended)
            script_end(s);
        break;
    case 2: script_close(s, any_failure(r)); break;
    default:
        if (s->on_ticket)
            script_ticket(s, "ticket");
    }
}

static void stir_session(struct run *r)
{
    struct list *sessions = &r->f.sessions;
    r->f.shares = pick(r, 20) ? (int)pick(r, 5) : -12;
    if (pick(r, 4) == 0 && !list_empty(sessions))
        conn_set_shares(list_entry(sessions->next, struct session, node)->conn, pick(r, 5));
}

static void settle_dial(struct run *r)
{
    struct script_stream *s = any_stream(r, false);
    if (!s)
        return;
    if (pick(r, 10) == 0)
        script_close(s, any_failure(r));
    else if (s->lower)
        script_open_tls(s, s->ticket_len > 0 && pick(r, 4), pick(r, 4) ? "TLSv1.3" : "TLSv1.2");
    else
        script_open(s);
}

static void next_generation(struct run *r)
{
    if (r->generation + 1 == ARRAY_SIZE(r->generations) || pick(r, 500))
        return;
    r->generation++;
    pool_retire_generation(r->f.pool, 2, r->generation);
}

static void step(struct run *r)
{
    struct client *holder;
    switch (pick(r, 16)) {
    case 0:
    case 1:
    case 2:
    case 3: ask(r); break;
    case 4: cancel(r); break;
    case 5:
    case 6:
    case 7:
        if ((holder = any_client(r, false, true)))
            hand_in(r, holder);
        break;
    case 8:
    case 9:
    case 10:
    case 11: settle_dial(r); break;
    case 12: stir_stream(r); break;
    case 13: r->f.engine.now_ns += pick(r, 300) * 1000000ull; break;
    case 14:
        if (pick(r, 50) == 0)
            r->f.engine.now_ns += pick(r, 100000) * 1000000ull;
        break;
    case 15:
        r->f.engine.refuse_dials = pick(r, 10) == 0;
        next_generation(r);
        stir_session(r);
        break;
    }
}

static void reckon(struct run *r)
{
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct client *c = &r->clients[i];
        if (!r->pending[i])
            continue;
        if (c->answers == 0) {
            assert_true(r->f.engine.worker.now_ns <= c->lease.deadline_ns + LATE_NS);
            continue;
        }
        assert_int_equal(c->answers, 1);
        assert_null(c->lease.endpoint);
        r->pending[i] = false;
        bool granted = c->conn || c->closed; /* and lost again by its session */
        r->granted += granted;
        r->failed += !granted;
        r->reused += c->conn && c->how == LEASE_REUSED;
        r->resumed += c->conn && c->how == LEASE_RESUMED;
        r->shares += c->conn && conn_session(c->conn);
        if (c->conn) { /* never another endpoint's */
            char text[NET_TEXT_MAX];
            assert_string_equal(conn_address_text(c->conn),
                                net_address_text(&client_stream(c)->address, text));
        }
    }
}

static void go(uint64_t seed)
{
    struct run *r = calloc(1, sizeof(*r));
    struct pool_options options = fixture_options();
    assert_non_null(r);
    printf("seed %llu\n", (unsigned long long)seed);
    options.limits.age_jitter_percent = 10;
    options.limits.warm_spares = 2;
    fixture_start(&r->f, &options);
    r->random = seed;
    for (unsigned i = 0; i < ARRAY_SIZE(r->generations); i++)
        r->generations[i] = (struct pool_profile){.id = 2, .generation = i, .tls = true, .resumption = true};
    r->shared[0] = (struct pool_profile){.id = 5, .shared = true};
    r->shared[1] = (struct pool_profile){.id = 6, .shared = true, .tls = true, .resumption = true};
    r->single_use[0] = (struct pool_profile){.id = 3, .single_use = true};
    r->single_use[1] = (struct pool_profile){.id = 4, .single_use = true, .tls = true, .resumption = true};
    for (int i = 0; i < STEPS; i++) {
        step(r);
        pool_check(r->f.pool);
        if (pick(r, 4)) {
            script_run(&r->f.engine);
            pool_check(r->f.pool);
            reckon(r);
        }
    }
    script_run(&r->f.engine);
    reckon(r);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (r->pending[i])
            pool_cancel(r->f.pool, &r->clients[i].lease);
        if (r->clients[i].conn)
            hand_in(r, &r->clients[i]);
    }
    printf("granted %u (reused %u, resumed %u, shared %u), failed %u, cancelled %u, dialled %u\n", r->granted,
           r->reused, r->resumed, r->shares, r->failed, r->cancelled, r->f.engine.dialled);
    assert_true(r->reused > 1000 && r->resumed > 100 && r->failed > 1000 &&
                r->shares > 1000); /* the dice reach all of it */
    assert_int_equal(r->granted,
                     fixture_count(&r->f, COUNTER_lease_hit) + fixture_count(&r->f, COUNTER_lease_dialled));
    assert_int_equal(r->failed, fixture_count(&r->f, COUNTER_lease_failed));
    fixture_stop(&r->f);
    free(r);
}

static void every_lease_is_answered_once_and_every_invariant_holds(void **state)
{
    const char *seed = getenv("HAWSER_SEED");
    (void)state;
    go(seed ? strtoull(seed, NULL, 0) : 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_lease_is_answered_once_and_every_invariant_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
