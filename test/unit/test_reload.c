/* test/unit/test_reload.c — files change below a broker: what is noticed, read, refused and published, and
 * when what was replaced is freed. Time is the test's. The last one has workers in threads of their own, and
 * is run under ThreadSanitizer too. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/broker_worker.h"
#include "broker/credentials.h"
#include "broker/front.h"
#include "broker/kube/kube.h"
#include "broker/reload.h"
#include "io/tls/tls.h"
#include "io/tls/tls_mint.h"
#include "pool/endpoint.h"
#include "test/support/poll_engine.h"
#include "test/support/renewal_rig.h"

enum { WORKERS_OF_THREADS = 3, TOKENS_OF_THREADS = 12 };

/* -- facts --------------------------------------------------------------------------------------------------
 */

static void what_does_not_change_is_left_alone(void **state)
{
    (void)state;
    renewal_start(2);
    struct credentials *first = renewal.broker->credentials;
    for (int i = 0; i < 3; i++)
        assert_int_equal(renewal_look_after(RENEWAL_INTERVAL_MS), RENEWAL_INTERVAL_MS);
    assert_int_equal(reload_look(renewal.broker->reload, renewal.now_ms, true),
                     renewal.now_ms + RELOAD_SETTLE_MS);
    assert_int_equal(renewal_look_after(RELOAD_SETTLE_MS), RENEWAL_INTERVAL_MS);
    assert_ptr_equal(renewal.broker->credentials, first);
    assert_int_equal(renewal_lines("event=reloaded"), 0);
    assert_int_equal(renewal_lines("asked: 0 changed, 0 refused, 6 as they were"), 1);
    renewal_assert_metric("hawser_reloads_total{result=\"done\"} 0\n");
    renewal_assert_metric(
        "hawser_certificate_not_after_seconds{listener=\"mtls\",file=\"certificateFile\"} ");
    renewal_assert_metric(
        "hawser_certificate_not_after_seconds{route=\"b\",file=\"issuerCertificateFile\"} ");
    renewal_stop();
}

static void a_pair_is_read_when_it_has_settled(void **state)
{
    (void)state;
    renewal_start(2);
    struct tls_context *before = renewal.broker->states[0].listeners[0].tls;
    const struct pool_profile *other = renewal_profile(0, 0);
    renewal_write_identity("server", "renewed", CERTIFICATE);
    assert_int_equal(renewal_look_after(RENEWAL_INTERVAL_MS), RELOAD_SETTLE_MS);
    renewal_write_identity("server", "renewed", KEY); /* so the first look saw half of it */
    assert_int_equal(renewal_look_after(RELOAD_SETTLE_MS), RELOAD_SETTLE_MS);
    assert_ptr_equal(renewal.broker->states[0].credentials, renewal.broker->credentials);
    (void)renewal_look_after(RELOAD_SETTLE_MS);
    assert_ptr_not_equal(renewal.broker->states[0].credentials, renewal.broker->credentials);
    assert_int_equal(renewal_lines("event=reloaded"), 0); /* not before all workers have it in force */
    renewal_turn_all();
    (void)renewal_look_after(100);
    assert_int_equal(renewal_lines("event=reloaded message=\"listener mtls: certificateFile (until "), 1);
    assert_int_equal(renewal_lines("reload_failed"), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_ptr_equal(renewal.broker->states[i].credentials, renewal.broker->credentials);
        assert_ptr_not_equal(renewal.broker->states[i].listeners[0].tls, before);
        assert_ptr_equal(renewal_profile(i, 0), other);
    }
    renewal_assert_metric("hawser_reloads_total{result=\"done\"} 1\n");
    renewal_stop();
}

static void half_a_pair_is_refused_once_and_taken_when_it_is_whole(void **state)
{
    (void)state;
    renewal_start(1);
    const struct pool_profile *before = renewal_profile(0, 0);
    renewal_write_identity("client", "renewed", CERTIFICATE);
    renewal_settle();
    assert_ptr_equal(renewal_profile(0, 0), before);
    assert_int_equal(renewal_lines("event=reload_failed message=\"tlsProfile k: clientKeyFile: found "), 1);
    renewal_assert_metric("hawser_reloads_total{result=\"failed\"} 1\n");
    renewal_assert_metric("hawser_reloads_refused 1\n");
    for (int i = 0; i < 30; i++) /* it is read again meanwhile, and nothing is said */
        (void)renewal_look_after(RENEWAL_INTERVAL_MS);
    assert_int_equal(renewal_lines("reload_failed"), 1);
    renewal_write_identity("client", "renewed", KEY);
    renewal_settle();
    assert_int_equal(renewal_profile(0, 0)->generation, 2);
    assert_int_equal(renewal_profile(0, 0)->id, renewal.broker->route_table[0].identity);
    renewal_assert_metric("hawser_reloads_refused 0\n");
    renewal_assert_metric("hawser_reloads_total{result=\"done\"} 1\n");
    renewal_stop();
}

static void a_broken_set_keeps_no_other_from_being_renewed(void **state)
{
    char path[128];
    (void)state;
    renewal_start(1);
    snprintf(path, sizeof(path), "%s/client.key", renewal.dir);
    assert_int_equal(unlink(path), 0);
    renewal_write_token("second");
    renewal_settle();
    assert_string_equal(renewal_token(0), "Bearer second");
    assert_int_equal(renewal_lines("tlsProfile k: clientKeyFile: found"), 1);
    assert_int_equal(renewal_lines("no such file"), 1);
    renewal_stop();
}

static void a_token_leaves_connections_alone(void **state)
{
    (void)state;
    renewal_start(1);
    const struct pool_profile *before = renewal_profile(0, 1);
    assert_string_equal(renewal_token(0), "Bearer first");
    renewal_write_token("second");
    renewal_settle();
    assert_string_equal(renewal_token(0), "Bearer second");
    assert_ptr_equal(renewal_profile(0, 1), before);
    char big[AUTHORIZATION_BYTES_MAX + 1];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    renewal_write_token(big);
    renewal_settle();
    assert_string_equal(renewal_token(0), "Bearer second");
    assert_int_equal(renewal_lines("found a token of 4096 bytes, expected at most"), 1);
    big[sizeof(big) - 1 - sizeof("Bearer ")] = '\0';
    renewal_write_token(big);
    renewal_settle();
    assert_int_equal(strlen(renewal_token(0)), AUTHORIZATION_BYTES_MAX - 1);
    assert_int_equal(renewal_lines("xxxxxxxx"), 0);
    assert_int_equal(renewal_lines("second"), 0);
    renewal_stop();
}

static void an_identity_lives_while_a_pool_refers_to_it(void **state)
{
    (void)state;
    renewal_start(2);
    struct pool *pool = renewal.broker->states[1].pool;
    struct endpoint_key key = {.profile = renewal_profile(1, 0), .host = "10.0.0.1", .port = 10250};
    struct endpoint *e = endpoint_get(pool, &key); /* a lease */
    renewal_write_identity("client", "second", PAIR);
    renewal_settle();
    assert_int_equal(reload_identities_left(renewal.broker->reload), 1); /* nobody held that of upgrades */
    for (int i = 0; i < 3; i++) {                                        /* they say so once a second */
        poll_engine_skip(renewal.broker->workers[0].engine, 1100000000u);
        poll_engine_skip(renewal.broker->workers[1].engine, 1100000000u);
        renewal_turn_all();
        (void)renewal_look_after(RENEWAL_INTERVAL_MS);
    }
    assert_int_equal(reload_identities_left(renewal.broker->reload), 1);
    assert_int_equal(e->key.profile->generation, 1); /* AddressSanitizer would know */
    renewal_write_identity("client", "third", PAIR);
    renewal_settle();
    assert_int_equal(renewal_profile(1, 0)->generation, 3);
    assert_int_equal(e->key.profile->generation, 1);
    endpoint_unpin(e);
    poll_engine_skip(renewal.broker->workers[1].engine, 1100000000u);
    renewal_turn_all();
    (void)renewal_look_after(RENEWAL_INTERVAL_MS);
    assert_int_equal(reload_identities_left(renewal.broker->reload), 0);
    renewal_stop();
}

static void nothing_is_read_before_all_have_adopted(void **state)
{
    (void)state;
    renewal_start(2);
    renewal_write_token("second");
    (void)renewal_look_after(RENEWAL_INTERVAL_MS);
    (void)renewal_look_after(RELOAD_SETTLE_MS);
    struct credentials *second = renewal.broker->credentials;
    broker_turn(renewal.broker, 0, 0);
    renewal_write_token("third");
    for (int i = 0; i < 5; i++)
        assert_true(renewal_look_after(RENEWAL_INTERVAL_MS) < RELOAD_SETTLE_MS);
    assert_ptr_equal(renewal.broker->credentials, second);
    assert_string_equal(renewal_token(0), "Bearer second");
    assert_string_equal(renewal_token(1), "Bearer first"); /* which is still there to be read */
    broker_turn(renewal.broker, 1, 0);
    renewal_settle();
    assert_string_equal(renewal_token(0), "Bearer third");
    assert_string_equal(renewal_token(1), "Bearer third");
    renewal_stop();
}

static void change_the_key(void)
{
    renewal_write_identity("client", "meanwhile", PAIR);
}

static void files_that_change_while_they_are_read_are_read_again(void **state)
{
    (void)state;
    renewal_start(1);
    renewal_write_identity("client", "second", PAIR);
    (void)renewal_look_after(RENEWAL_INTERVAL_MS);
    renewal.while_loading = change_the_key;
    assert_int_equal(renewal_look_after(RELOAD_SETTLE_MS), RELOAD_SETTLE_MS);
    assert_null(renewal.while_loading);
    renewal_turn_all();
    assert_int_equal(renewal_profile(0, 0)->generation, 1);
    (void)renewal_look_after(RELOAD_SETTLE_MS);
    (void)renewal_look_after(RELOAD_SETTLE_MS);
    renewal_turn_all();
    (void)renewal_look_after(100);
    assert_int_equal(renewal_profile(0, 0)->generation, 2);
    assert_int_equal(renewal_lines("reload_failed"), 0);
    renewal_stop();
}

static void a_touched_file_is_no_change(void **state)
{
    char path[128];
    (void)state;
    renewal_start(1);
    struct credentials *first = renewal.broker->credentials;
    snprintf(path, sizeof(path), "%s/ca.crt", renewal.dir);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    assert_int_equal(renewal_look_after(RENEWAL_INTERVAL_MS), RELOAD_SETTLE_MS);
    assert_int_equal(renewal_look_after(RELOAD_SETTLE_MS), RENEWAL_INTERVAL_MS);
    assert_ptr_equal(renewal.broker->credentials, first);
    renewal_stop();
}

static void a_roots_file_of_three_uses_renews_all_three(void **state)
{
    char detail[300];
    (void)state;
    renewal_start(1);
    struct broker_worker *bw = &renewal.broker->states[0];
    struct tls_context *made = tls_context_ref(
        tls_mint_get(bw->mints[2], "10.0.0.1", detail, sizeof(detail)));
    struct tls_context *listener = tls_context_ref(bw->listeners[0].tls);
    renewal_write_ca("ca", "another");
    renewal_settle();
    assert_int_equal(renewal_lines("level=info event=reloaded"), 4); /* both profiles have it */
    assert_ptr_not_equal(bw->listeners[0].tls, listener);
    assert_ptr_not_equal(tls_mint_get(bw->mints[2], "10.0.0.1", detail, sizeof(detail)), made);
    assert_int_equal(renewal_profile(0, 0)->generation, 2);
    tls_context_unref(&made);
    tls_context_unref(&listener);
    renewal_stop();
}

static void nodes_come_and_go(void **state)
{
    (void)state;
    renewal_start(2);
    struct pool *pool = renewal.broker->states[0].pool;
    struct endpoint_key key = {.profile = renewal_profile(0, 1), .host = "11.0.0.1", .port = 10250};
    snprintf(key.node_name, sizeof(key.node_name), "%s", renewal_node(0, "11.0.0.1"));
    assert_string_equal(key.node_name, "one");
    struct endpoint *before = endpoint_get(pool, &key);
    renewal_write_nodes("11.0.0.1 another\n11.0.0.3 three\n");
    (void)renewal_look_after(RENEWAL_INTERVAL_MS);
    (void)renewal_look_after(RELOAD_SETTLE_MS);
    broker_turn(renewal.broker, 1, 0);
    assert_string_equal(renewal_node(0, "11.0.0.1"), "one"); /* each has its own, from one turn to the next */
    assert_string_equal(renewal_node(1, "11.0.0.1"), "another");
    renewal_turn_all();
    (void)renewal_look_after(100);
    assert_int_equal(renewal_lines("event=reloaded message=\"route t: nodeNameFile\""), 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(renewal_node(i, "11.0.0.1"), "another");
        assert_string_equal(renewal_node(i, "11.0.0.2"), "*"); /* as of any that nobody named */
        assert_string_equal(renewal_node(i, "11.0.0.3"), "three");
        assert_string_equal(renewal_node(i, "11.0.0.9"), "nine"); /* what the configuration says stays */
    }
    assert_ptr_equal(renewal_profile(0, 1), key.profile); /* other connections stay, but that of another node
                                                     is lent to nobody who asks for this one */
    snprintf(key.node_name, sizeof(key.node_name), "%s", renewal_node(0, "11.0.0.1"));
    struct endpoint *after = endpoint_get(pool, &key);
    assert_ptr_not_equal(after, before);
    endpoint_unpin(before);
    endpoint_unpin(after);
    renewal_stop();
}

static void a_bad_list_of_nodes_changes_nothing(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"11.0.0.1 another\n11.0.0.2\n",         "nodes:2:9: nodeNameFile: found nothing, expected a node's name"},
        {"11.0.0.1 a\n11.0.0.2 b\n11.0.0.1 c\n", "nodes:3:1: nodeNameFile: found a second node for "             },
        {"11.0.0.9 a\n",                         "nodes:1:1: nodeNameFile: found a second node for "             }, /* the configuration has it */
    };
    (void)state;
    renewal_start(1);
    renewal_write_token("second");
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        renewal_write_nodes(cases[i].text);
        renewal_settle();
        for (int k = 0; k < 30; k++)
            (void)renewal_look_after(RENEWAL_INTERVAL_MS);
        assert_int_equal(renewal_lines("reload_failed message=\"route t: "), i + 1);
        assert_int_equal(renewal_lines(cases[i].said), 1);
        renewal_assert_metric("hawser_reloads_refused 1\n");
        assert_string_equal(renewal_node(0, "11.0.0.1"), "one");
        assert_string_equal(renewal_node(0, "11.0.0.2"), "two");
    }
    assert_string_equal(renewal_token(0), "Bearer second");
    renewal_write_nodes(""); /* nobody is named any more */
    renewal_settle();
    assert_string_equal(renewal_node(0, "11.0.0.1"), "*");
    renewal_assert_metric("hawser_reloads_refused 0\n");
    renewal_stop();
}

/* -- draining -----------------------------------------------------------------------------------------------
 */

static void a_drain_waits_for_no_time(void **state)
{
    (void)state;
    renewal_start(1);
    renewal.waits = renewal.waits_for_time = 0;
    reload_wait(renewal.broker->reload);
    assert_int_equal(renewal.waits_for_time, 1);
    assert_int_equal(renewal.waits, 0);
    broker_drain_any_thread(renewal.broker);
    for (unsigned i = 1; i <= 3; i++) { /* nobody looks, so a time that has come would come again and again */
        reload_wait(renewal.broker->reload);
        assert_int_equal(renewal.waits_for_time, 1);
        assert_int_equal(renewal.waits, i);
    }
    renewal_stop();
}

/* -- threads ------------------------------------------------------------------------------------------------
 */

struct thread {
    pthread_t id;
    unsigned worker;
    _Atomic unsigned turns, tokens; /* of them that were seen */
};

/* Uses, in each turn, what a turn may use: as the broker does between two of them. */
static void *run(void *arg)
{
    struct thread *t = arg;
    struct broker_worker *bw = &renewal.broker->states[t->worker];
    char seen[64] = "";
    struct endpoint *held = NULL;
    while (!broker_is_drained_any_thread(renewal.broker)) {
        unsigned turn = atomic_fetch_add(&t->turns, 1);
        struct endpoint_key key = {.profile = renewal_profile(t->worker, 0), .port = (uint16_t)(turn % 7)};
        snprintf(key.host, sizeof(key.host), "10.0.0.%u", turn % 5);
        if (held && turn % 5 == 0)
            endpoint_unpin(held);
        if (turn % 5 == 0)
            held = endpoint_get(bw->pool, &key);
        if (strcmp(seen, renewal_token(t->worker)) != 0) {
            snprintf(seen, sizeof(seen), "%s", renewal_token(t->worker));
            atomic_fetch_add(&t->tokens, 1);
        }
        broker_node_name(bw, &renewal.broker->route_table[1], "11.0.0.1", key.node_name,
                         sizeof(key.node_name));
        const struct kube *kube = renewal.broker->kube;
        if (kube->home == bw) {
            struct endpoint *api = endpoint_get(bw->pool, &kube->key);
            endpoint_unpin(api);
            assert_true(bearer_field(&kube->bearer).len > strlen("Bearer "));
        }
        struct tls_context *c = tls_context_ref(bw->listeners[0].tls);
        tls_context_unref(&c);
        broker_turn(renewal.broker, t->worker, bw->worker->now_ns + 200000);
    }
    if (held)
        endpoint_unpin(held);
    tls_thread_fini();
    return NULL;
}

static void wait_for_adoption(void)
{
    const struct credentials *newest = renewal.broker->credentials;
    for (int i = 0; i < 10000 && atomic_load(&newest->adopted) < renewal.broker->count; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&newest->adopted), renewal.broker->count);
    renewal.now_ms++;
    (void)reload_look(renewal.broker->reload, renewal.now_ms, false);
}

static void workers_pass_from_one_to_the_next(void **state)
{
    struct thread threads[WORKERS_OF_THREADS] = {0};
    char text[32], line[64];
    (void)state;
    renewal_start(WORKERS_OF_THREADS);
    for (unsigned i = 0; i < WORKERS_OF_THREADS; i++) {
        threads[i].worker = i;
        assert_int_equal(pthread_create(&threads[i].id, NULL, run, &threads[i]), 0);
    }
    for (unsigned n = 0; n < TOKENS_OF_THREADS; n++) {
        snprintf(text, sizeof(text), "token-%u", n);
        renewal_write_token(text);
        if (n % 3 == 0)
            renewal_write_identity("client", text, PAIR);
        if (n % 3 == 1)
            renewal_write_identity("server", text, PAIR);
        snprintf(line, sizeof(line), "11.0.0.1 %s\n", text);
        if (n % 3 == 2)
            renewal_write_nodes(line);
        snprintf(line, sizeof(line), "token: %s", text);
        if (n % 2 == 0)
            renewal_write_kubeconfig(RENEWAL_API, line);
        renewal.now_ms++;
        (void)reload_look(renewal.broker->reload, renewal.now_ms, true);
        wait_for_adoption();
    }
    broker_drain_any_thread(renewal.broker);
    for (unsigned i = 0; i < WORKERS_OF_THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        assert_in_range(threads[i].tokens, TOKENS_OF_THREADS, TOKENS_OF_THREADS + 1); /* and the first, if it
                                                                                         was quick */
    }
    assert_int_equal(renewal_lines("reload_failed"), 0);
    renewal_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_change_is_left_alone),
        cmocka_unit_test(a_pair_is_read_when_it_has_settled),
        cmocka_unit_test(half_a_pair_is_refused_once_and_taken_when_it_is_whole),
        cmocka_unit_test(a_broken_set_keeps_no_other_from_being_renewed),
        cmocka_unit_test(a_token_leaves_connections_alone),
        cmocka_unit_test(an_identity_lives_while_a_pool_refers_to_it),
        cmocka_unit_test(nothing_is_read_before_all_have_adopted),
        cmocka_unit_test(files_that_change_while_they_are_read_are_read_again),
        cmocka_unit_test(a_touched_file_is_no_change),
        cmocka_unit_test(a_roots_file_of_three_uses_renews_all_three),
        cmocka_unit_test(nodes_come_and_go),
        cmocka_unit_test(a_bad_list_of_nodes_changes_nothing),
        cmocka_unit_test(a_drain_waits_for_no_time),
        cmocka_unit_test(workers_pass_from_one_to_the_next),
    };
    return cmocka_run_group_tests(tests, renewal_global_init, renewal_global_fini);
}
