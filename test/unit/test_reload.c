/* test/unit/test_reload.c — files change below a broker: what is noticed, read, refused and published, and
 * when what was replaced is freed. Time is the test's. The last one has workers in threads of their own, and
 * is run under ThreadSanitizer too. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/front.h"
#include "broker/reload.h"
#include "io/engine.h"
#include "io/log.h"
#include "io/tls/tls.h"
#include "io/tls/tls_mint.h"
#include "pool/endpoint.h"
#include "test/support/certs.h"
#include "test/support/poll_engine.h"

enum { INTERVAL_MS = 5000, WORKERS_OF_THREADS = 3, TOKENS_OF_THREADS = 12 };

struct fixture {
    const char *dir;
    struct cert ca;
    struct broker *broker;
    uint64_t now_ms;
    int log_fd;
};

static struct fixture f;

/* In the middle of a load, once. */
static void (*while_loading)(void);

int __real_tls_context_new(const struct tls_context_options *, struct tls_context **, char *, size_t);
int __wrap_tls_context_new(const struct tls_context_options *, struct tls_context **, char *, size_t);

int __wrap_tls_context_new(const struct tls_context_options *o, struct tls_context **ret, char *detail,
                           size_t size)
{
    void (*meanwhile)(void) = while_loading;
    while_loading = NULL;
    if (meanwhile)
        meanwhile();
    return __real_tls_context_new(o, ret, detail, size);
}

/* Waits are over at once: that for a time because it has come, that without one because somebody woke it. */
static unsigned waits_for_time, waits;

int __wrap_sem_clockwait(sem_t *, clockid_t, const struct timespec *);
int __wrap_sem_wait(sem_t *);

int __wrap_sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until)
{
    (void)sem;
    (void)clock;
    (void)until;
    waits_for_time++;
    errno = ETIMEDOUT;
    return -1;
}

int __wrap_sem_wait(sem_t *sem)
{
    (void)sem;
    waits++;
    return 0;
}

/* -- files --------------------------------------------------------------------------------------------------
 */

/* By rename, as whoever renews certificates with care does it. */
static void write_token(const char *token)
{
    char path[128], next[128];
    snprintf(path, sizeof(path), "%s/token", f.dir);
    snprintf(next, sizeof(next), "%s/token.next", f.dir);
    FILE *out = fopen(next, "w");
    assert_non_null(out);
    assert_int_equal(fchmod(fileno(out), 0600), 0);
    fprintf(out, "%s\n", token);
    fclose(out);
    assert_int_equal(rename(next, path), 0);
}

enum { CERTIFICATE = 1, KEY = 2, PAIR = 3 };

static void write_identity(const char *name, const char *cn, unsigned which)
{
    static struct cert c;
    char file[64];
    if (which & CERTIFICATE) { /* the key that is written alone belongs to the certificate before */
        cert_free(&c);
        c = cert_make(&(struct cert_spec){.cn = cn, .san = "IP:127.0.0.1"}, &f.ca);
        snprintf(file, sizeof(file), "%s.crt", name);
        (void)cert_write(f.dir, file, &c, 1);
    }
    snprintf(file, sizeof(file), "%s.key", name);
    if (which & KEY)
        (void)cert_write_key(f.dir, file, &c);
}

static void write_ca(const char *name, const char *cn)
{
    char file[64];
    struct cert ca = cert_make(&(struct cert_spec){.cn = cn, .ca = true}, NULL);
    snprintf(file, sizeof(file), "%s.crt", name);
    (void)cert_write(f.dir, file, &ca, 1);
    snprintf(file, sizeof(file), "%s.key", name);
    (void)cert_write_key(f.dir, file, &ca);
    cert_free(&ca);
}

/* -- a broker -----------------------------------------------------------------------------------------------
 */

static struct config *config_of(unsigned workers)
{
    static const char format[] =
        "apiVersion: hawser.dev/v1alpha1\n"
        "kind: BrokerConfiguration\n"
        "workers: %1$u\n"
        "reloadMs: %2$d\n"
        "admin: {port: 0}\n"
        "listeners:\n"
        "  - name: mtls\n"
        "    tcp: {address: 127.0.0.1, port: 1}\n"
        "    tls: {certificateFile: %3$s/server.crt, keyFile: %3$s/server.key, clientCaFile: %3$s/ca.crt, "
        "allowedNames: [a]}\n"
        "tlsProfiles:\n"
        "  - {name: k, caFile: %3$s/ca.crt, clientCertificateFile: %3$s/client.crt, clientKeyFile: "
        "%3$s/client.key}\n"
        "  - {name: t, caFile: %3$s/ca.crt, bearerTokenFile: %3$s/token}\n"
        "routes:\n"
        "  - {name: k, tlsProfile: k, match: {cidrs: [10.0.0.0/8]}}\n"
        "  - {name: t, tlsProfile: t, match: {cidrs: [11.0.0.0/8]}}\n"
        "  - name: b\n"
        "    tlsProfile: k\n"
        "    match: {cidrs: [10.0.0.0/8], schemes: [tunnel]}\n"
        "    bridge: {issuerCertificateFile: %3$s/issuer.crt, issuerKeyFile: %3$s/issuer.key, clientCaFile: "
        "%3$s/ca.crt, allowedNames: [a]}\n";
    char text[2048];
    struct config *config = NULL;
    struct config_error error;
    int len = snprintf(text, sizeof(text), format, workers, INTERVAL_MS, f.dir);
    if (config_load_buffer("f", text, (size_t)len, CONFIG_DEFAULT, &config, &error) != CONFIG_OK)
        fail_msg("%s", error.text);
    return config;
}

static int engine_of_poll(struct worker *w, void *arg, struct engine **ret)
{
    (void)arg;
    return poll_engine_new(w, ret);
}

static void start(unsigned workers)
{
    char detail[1000];
    f.dir = certs_dir_new();
    f.ca = cert_make(&(struct cert_spec){.cn = "ca", .ca = true}, NULL);
    (void)cert_write(f.dir, "ca.crt", &f.ca, 1);
    write_identity("server", "server", PAIR);
    write_identity("client", "client", PAIR);
    write_ca("issuer", "issuer");
    write_token("first");
    f.now_ms = 1000000;
    f.log_fd = memfd_create("log", 0);
    log_configure(&(struct log_options){.fd = f.log_fd, .level = LOG_INFO});
    struct broker_options options = {.config = config_of(workers), .engine_new = engine_of_poll};
    if (broker_new(&options, &f.broker, detail, sizeof(detail)) < 0)
        fail_msg("%s", detail);
}

static void turn_all(void)
{
    for (unsigned i = 0; i < f.broker->count; i++)
        broker_turn(f.broker, i, 0);
}

static void stop(void)
{
    broker_drain_any_thread(f.broker);
    while (!broker_is_drained_any_thread(f.broker))
        turn_all();
    broker_free(&f.broker);
    close(f.log_fd);
    cert_free(&f.ca);
    certs_dir_remove(f.dir);
}

/* Looks after so many milliseconds; when the next look is due. */
static uint64_t look_after(uint64_t ms)
{
    f.now_ms += ms;
    uint64_t next = reload_look(f.broker->reload, f.now_ms, false);
    assert_true(next > f.now_ms);
    return next - f.now_ms;
}

/* A change is seen, has settled, is read, adopted and told. */
static void renew(void)
{
    (void)look_after(INTERVAL_MS);
    (void)look_after(RELOAD_SETTLE_MS);
    turn_all();
    (void)look_after(100);
}

static const struct pool_profile *profile(unsigned worker, unsigned route)
{
    const struct credentials *c = f.broker->states[worker].credentials;
    return credentials_profile(c, f.broker->route_table[route].identity);
}

static const char *token(unsigned worker)
{
    return f.broker->states[worker].credentials->authorizations[1].text;
}

static unsigned lines(const char *with)
{
    static char text[256 * 1024];
    unsigned n = 0;
    ssize_t len = pread(f.log_fd, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    for (char *at = text; (at = strstr(at, with)) != NULL; at += strlen(with))
        n++;
    return n;
}

static const char *metrics(void)
{
    static char text[8192];
    memset(text, 0, sizeof(text));
    FILE *out = fmemopen(text, sizeof(text) - 1, "w");
    reload_print_metrics(f.broker->reload, out);
    fclose(out);
    return text;
}

static void assert_metric(const char *line)
{
    if (!strstr(metrics(), line))
        fail_msg("no \"%s\" in\n%s", line, metrics());
}

/* -- facts --------------------------------------------------------------------------------------------------
 */

static void what_does_not_change_is_left_alone(void **state)
{
    (void)state;
    start(2);
    struct credentials *first = f.broker->credentials;
    for (int i = 0; i < 3; i++)
        assert_int_equal(look_after(INTERVAL_MS), INTERVAL_MS);
    assert_int_equal(reload_look(f.broker->reload, f.now_ms, true), f.now_ms + RELOAD_SETTLE_MS);
    assert_int_equal(look_after(RELOAD_SETTLE_MS), INTERVAL_MS);
    assert_ptr_equal(f.broker->credentials, first);
    assert_int_equal(lines("event=reloaded"), 0);
    assert_int_equal(lines("asked: 0 changed, 0 refused, 4 as they were"), 1);
    assert_metric("hawser_reloads_total{result=\"done\"} 0\n");
    assert_metric("hawser_certificate_not_after_seconds{listener=\"mtls\",file=\"certificateFile\"} ");
    assert_metric("hawser_certificate_not_after_seconds{route=\"b\",file=\"issuerCertificateFile\"} ");
    stop();
}

static void a_pair_is_read_when_it_has_settled(void **state)
{
    (void)state;
    start(2);
    struct tls_context *before = f.broker->states[0].listeners[0].tls;
    const struct pool_profile *other = profile(0, 0);
    write_identity("server", "renewed", CERTIFICATE);
    assert_int_equal(look_after(INTERVAL_MS), RELOAD_SETTLE_MS);
    write_identity("server", "renewed", KEY); /* so the first look saw half of it */
    assert_int_equal(look_after(RELOAD_SETTLE_MS), RELOAD_SETTLE_MS);
    assert_ptr_equal(f.broker->states[0].credentials, f.broker->credentials);
    (void)look_after(RELOAD_SETTLE_MS);
    assert_ptr_not_equal(f.broker->states[0].credentials, f.broker->credentials);
    assert_int_equal(lines("event=reloaded"), 0); /* not before all workers have it in force */
    turn_all();
    (void)look_after(100);
    assert_int_equal(lines("event=reloaded message=\"listener mtls: certificateFile (until "), 1);
    assert_int_equal(lines("reload_failed"), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_ptr_equal(f.broker->states[i].credentials, f.broker->credentials);
        assert_ptr_not_equal(f.broker->states[i].listeners[0].tls, before);
        assert_ptr_equal(profile(i, 0), other);
    }
    assert_metric("hawser_reloads_total{result=\"done\"} 1\n");
    stop();
}

static void half_a_pair_is_refused_once_and_taken_when_it_is_whole(void **state)
{
    (void)state;
    start(1);
    const struct pool_profile *before = profile(0, 0);
    write_identity("client", "renewed", CERTIFICATE);
    renew();
    assert_ptr_equal(profile(0, 0), before);
    assert_int_equal(lines("event=reload_failed message=\"tlsProfile k: clientKeyFile: found "), 1);
    assert_metric("hawser_reloads_total{result=\"failed\"} 1\n");
    assert_metric("hawser_reloads_refused 1\n");
    for (int i = 0; i < 30; i++) /* it is read again meanwhile, and nothing is said */
        (void)look_after(INTERVAL_MS);
    assert_int_equal(lines("reload_failed"), 1);
    write_identity("client", "renewed", KEY);
    renew();
    assert_int_equal(profile(0, 0)->generation, 2);
    assert_int_equal(profile(0, 0)->id, f.broker->route_table[0].identity);
    assert_metric("hawser_reloads_refused 0\n");
    assert_metric("hawser_reloads_total{result=\"done\"} 1\n");
    stop();
}

static void a_broken_set_keeps_no_other_from_being_renewed(void **state)
{
    char path[128];
    (void)state;
    start(1);
    snprintf(path, sizeof(path), "%s/client.key", f.dir);
    assert_int_equal(unlink(path), 0);
    write_token("second");
    renew();
    assert_string_equal(token(0), "Bearer second");
    assert_int_equal(lines("tlsProfile k: clientKeyFile: found"), 1);
    assert_int_equal(lines("no such file"), 1);
    stop();
}

static void a_token_leaves_connections_alone(void **state)
{
    (void)state;
    start(1);
    const struct pool_profile *before = profile(0, 1);
    assert_string_equal(token(0), "Bearer first");
    write_token("second");
    renew();
    assert_string_equal(token(0), "Bearer second");
    assert_ptr_equal(profile(0, 1), before);
    char big[AUTHORIZATION_BYTES_MAX + 1];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    write_token(big);
    renew();
    assert_string_equal(token(0), "Bearer second");
    assert_int_equal(lines("found a token of 4096 bytes, expected at most"), 1);
    big[sizeof(big) - 1 - sizeof("Bearer ")] = '\0';
    write_token(big);
    renew();
    assert_int_equal(strlen(token(0)), AUTHORIZATION_BYTES_MAX - 1);
    assert_int_equal(lines("xxxxxxxx"), 0);
    assert_int_equal(lines("second"), 0);
    stop();
}

static void an_identity_lives_while_a_pool_refers_to_it(void **state)
{
    (void)state;
    start(2);
    struct pool *pool = f.broker->states[1].pool;
    struct endpoint_key key = {.profile = profile(1, 0), .host = "10.0.0.1", .port = 10250};
    struct endpoint *e = endpoint_get(pool, &key); /* a lease */
    write_identity("client", "second", PAIR);
    renew();
    assert_int_equal(reload_identities_left(f.broker->reload), 1); /* nobody held that of upgrades */
    for (int i = 0; i < 3; i++) {                                  /* they say so once a second */
        poll_engine_skip(f.broker->workers[0].engine, 1100000000u);
        poll_engine_skip(f.broker->workers[1].engine, 1100000000u);
        turn_all();
        (void)look_after(INTERVAL_MS);
    }
    assert_int_equal(reload_identities_left(f.broker->reload), 1);
    assert_int_equal(e->key.profile->generation, 1); /* AddressSanitizer would know */
    write_identity("client", "third", PAIR);
    renew();
    assert_int_equal(profile(1, 0)->generation, 3);
    assert_int_equal(e->key.profile->generation, 1);
    endpoint_unpin(e);
    poll_engine_skip(f.broker->workers[1].engine, 1100000000u);
    turn_all();
    (void)look_after(INTERVAL_MS);
    assert_int_equal(reload_identities_left(f.broker->reload), 0);
    stop();
}

static void nothing_is_read_before_all_have_adopted(void **state)
{
    (void)state;
    start(2);
    write_token("second");
    (void)look_after(INTERVAL_MS);
    (void)look_after(RELOAD_SETTLE_MS);
    struct credentials *second = f.broker->credentials;
    broker_turn(f.broker, 0, 0);
    write_token("third");
    for (int i = 0; i < 5; i++)
        assert_true(look_after(INTERVAL_MS) < RELOAD_SETTLE_MS);
    assert_ptr_equal(f.broker->credentials, second);
    assert_string_equal(token(0), "Bearer second");
    assert_string_equal(token(1), "Bearer first"); /* which is still there to be read */
    broker_turn(f.broker, 1, 0);
    renew();
    assert_string_equal(token(0), "Bearer third");
    assert_string_equal(token(1), "Bearer third");
    stop();
}

static void change_the_key(void)
{
    write_identity("client", "meanwhile", PAIR);
}

static void files_that_change_while_they_are_read_are_read_again(void **state)
{
    (void)state;
    start(1);
    write_identity("client", "second", PAIR);
    (void)look_after(INTERVAL_MS);
    while_loading = change_the_key;
    assert_int_equal(look_after(RELOAD_SETTLE_MS), RELOAD_SETTLE_MS);
    assert_null(while_loading);
    turn_all();
    assert_int_equal(profile(0, 0)->generation, 1);
    (void)look_after(RELOAD_SETTLE_MS);
    (void)look_after(RELOAD_SETTLE_MS);
    turn_all();
    (void)look_after(100);
    assert_int_equal(profile(0, 0)->generation, 2);
    assert_int_equal(lines("reload_failed"), 0);
    stop();
}

static void a_touched_file_is_no_change(void **state)
{
    char path[128];
    (void)state;
    start(1);
    struct credentials *first = f.broker->credentials;
    snprintf(path, sizeof(path), "%s/ca.crt", f.dir);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    assert_int_equal(look_after(INTERVAL_MS), RELOAD_SETTLE_MS);
    assert_int_equal(look_after(RELOAD_SETTLE_MS), INTERVAL_MS);
    assert_ptr_equal(f.broker->credentials, first);
    stop();
}

static void a_roots_file_of_three_uses_renews_all_three(void **state)
{
    char detail[300];
    (void)state;
    start(1);
    struct broker_worker *bw = &f.broker->states[0];
    struct tls_context *made = tls_context_ref(
        tls_mint_get(bw->mints[2], "10.0.0.1", detail, sizeof(detail)));
    struct tls_context *listener = tls_context_ref(bw->listeners[0].tls);
    write_ca("ca", "another");
    renew();
    assert_int_equal(lines("level=info event=reloaded"), 4); /* both profiles have it */
    assert_ptr_not_equal(bw->listeners[0].tls, listener);
    assert_ptr_not_equal(tls_mint_get(bw->mints[2], "10.0.0.1", detail, sizeof(detail)), made);
    assert_int_equal(profile(0, 0)->generation, 2);
    tls_context_unref(&made);
    tls_context_unref(&listener);
    stop();
}

static void a_drain_waits_for_no_time(void **state)
{
    (void)state;
    start(1);
    waits = waits_for_time = 0;
    reload_wait(f.broker->reload);
    assert_int_equal(waits_for_time, 1);
    assert_int_equal(waits, 0);
    broker_drain_any_thread(f.broker);
    for (unsigned i = 1; i <= 3; i++) { /* nobody looks, so a time that has come would come again and again */
        reload_wait(f.broker->reload);
        assert_int_equal(waits_for_time, 1);
        assert_int_equal(waits, i);
    }
    stop();
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
    struct broker_worker *bw = &f.broker->states[t->worker];
    char seen[64] = "";
    struct endpoint *held = NULL;
    while (!broker_is_drained_any_thread(f.broker)) {
        unsigned turn = atomic_fetch_add(&t->turns, 1);
        struct endpoint_key key = {.profile = profile(t->worker, 0), .port = (uint16_t)(turn % 7)};
        snprintf(key.host, sizeof(key.host), "10.0.0.%u", turn % 5);
        if (held && turn % 5 == 0)
            endpoint_unpin(held);
        if (turn % 5 == 0)
            held = endpoint_get(bw->pool, &key);
        if (strcmp(seen, token(t->worker)) != 0) {
            snprintf(seen, sizeof(seen), "%s", token(t->worker));
            atomic_fetch_add(&t->tokens, 1);
        }
        struct tls_context *c = tls_context_ref(bw->listeners[0].tls);
        tls_context_unref(&c);
        broker_turn(f.broker, t->worker, bw->worker->now_ns + 200000);
    }
    if (held)
        endpoint_unpin(held);
    tls_thread_fini();
    return NULL;
}

static void wait_for_adoption(void)
{
    const struct credentials *newest = f.broker->credentials;
    for (int i = 0; i < 10000 && atomic_load(&newest->adopted) < f.broker->count; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&newest->adopted), f.broker->count);
    f.now_ms++;
    (void)reload_look(f.broker->reload, f.now_ms, false);
}

static void workers_pass_from_one_to_the_next(void **state)
{
    struct thread threads[WORKERS_OF_THREADS] = {0};
    char text[32];
    (void)state;
    start(WORKERS_OF_THREADS);
    for (unsigned i = 0; i < WORKERS_OF_THREADS; i++) {
        threads[i].worker = i;
        assert_int_equal(pthread_create(&threads[i].id, NULL, run, &threads[i]), 0);
    }
    for (unsigned n = 0; n < TOKENS_OF_THREADS; n++) {
        snprintf(text, sizeof(text), "token-%u", n);
        write_token(text);
        if (n % 3 == 0)
            write_identity("client", text, PAIR);
        if (n % 3 == 1)
            write_identity("server", text, PAIR);
        f.now_ms++;
        (void)reload_look(f.broker->reload, f.now_ms, true);
        wait_for_adoption();
    }
    broker_drain_any_thread(f.broker);
    for (unsigned i = 0; i < WORKERS_OF_THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        assert_in_range(threads[i].tokens, TOKENS_OF_THREADS, TOKENS_OF_THREADS + 1); /* and the first, if it
                                                                                         was quick */
    }
    assert_int_equal(lines("reload_failed"), 0);
    stop();
}

static int global_init(void **state)
{
    (void)state;
    return tls_global_init();
}

static int global_fini(void **state)
{
    (void)state;
    tls_global_fini();
    return 0;
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
        cmocka_unit_test(a_drain_waits_for_no_time),
        cmocka_unit_test(workers_pass_from_one_to_the_next),
    };
    return cmocka_run_group_tests(tests, global_init, global_fini);
}
