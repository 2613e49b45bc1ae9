/* test/unit/test_tls_mint_threads.c — workers in threads of their own share an issuer, client roots and a
 * client context: each makes certificates and has them verified at the same time as the others. Run under
 * ThreadSanitizer as well, which sees our code and the locks of the libraries. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/tls/tls_issuer.h"
#include "io/tls/tls_mint.h"
#include "io/tls/tls_roots.h"
#include "test/support/pki.h"
#include "test/support/tls_rig.h"

enum { THREADS = 4, DESTINATIONS = 12 };

struct shared {
    struct tls_issuer *issuer;
    struct tls_roots *roots;
    struct tls_context *client; /* trusts the issuer; used by all */
};

struct thread {
    pthread_t id;
    const struct shared *shared;
    unsigned made, opened;
};

struct end {
    struct stream *stream;
    unsigned opened, closed;
};

static void end_open(struct stream *s)
{
    ((struct end *)s->owner)->opened++;
}

static void end_seg(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void end_end(struct stream *s)
{
    (void)s;
}

static void end_closed(struct stream *s, enum ending reason)
{
    struct end *e = s->owner;
    (void)reason;
    e->closed++;
    e->stream = NULL;
    stream_free(s);
}

static const struct stream_events end_events = {end_open, end_seg, end_seg, end_end, end_closed};

/* Our client and our server, over a pipe in this thread's world. True when both were opened. */
static bool meet(struct world *w, struct tls_context *client, struct tls_context *server, const char *host)
{
    struct net_address ip;
    struct pipe *a = pipe_new(w), *b = pipe_new(w);
    struct stream *below[2] = {&a->stream, &b->stream};
    struct end ends[2] = {0};
    pipe_link(a, b);
    if (!net_address_parse(host, strlen(host), 443, &ip))
        abort();
    ends[0].stream = tls_connect(&w->worker, &below[0], client, &(struct tls_expect){.ip = &ip}, NULL, 0,
                                 NULL);
    ends[1].stream = tls_accept(&w->worker, &below[1], server);
    for (int i = 0; i < 2; i++)
        stream_bind(ends[i].stream, &end_events, &ends[i]);
    for (int i = 0; i < 50 && !(ends[0].opened && ends[1].opened); i++)
        world_turn(w);
    bool ok = ends[0].opened && ends[1].opened;
    for (int i = 0; i < 2; i++)
        if (ends[i].stream)
            stream_abort(ends[i].stream, ENDING_CANCELLED);
    for (int i = 0; i < 50 && !(ends[0].closed && ends[1].closed); i++)
        world_turn(w);
    return ok;
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct world w;
    struct tls_mint *m = NULL;
    char host[32], detail[256];
    world_init(&w, NULL);
    struct tls_mint_options o = {
        .issuer = t->shared->issuer, .client_roots = t->shared->roots, .entries_max = DESTINATIONS / 2};
    if (tls_mint_new(&w.worker, &o, &m) != 0)
        abort();
    for (int i = 0; i < DESTINATIONS; i++) {
        snprintf(host, sizeof(host), "10.1.2.%d", i + 1);
        struct tls_context *c = tls_mint_get(m, host, detail, sizeof(detail));
        t->made += c != NULL;
        t->opened += c && meet(&w, t->shared->client, c, host);
    }
    tls_mint_free(&m);
    world_fini(&w);
    tls_thread_fini();
    return NULL;
}

static void threads_share_issuer_roots_and_contexts(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct cert ca = cert_make(&(struct cert_spec){.cn = "bridge-ca", .ca = true, .rsa = kind == 1},
                                   NULL);
        struct shared s = {0};
        struct thread threads[THREADS] = {0};
        char detail[256];
        const char *file = cert_write(pki.dir, "bridge.pem", &ca, 1);
        assert_int_equal(tls_issuer_new(file, cert_write_key(pki.dir, "bridge.key", &ca), &s.issuer, detail,
                                        sizeof(detail)),
                         0);
        assert_int_equal(tls_roots_new(pki.root_file, &s.roots, detail, sizeof(detail)), 0);
        s.client = rig_context(&(struct tls_context_options){.role = TLS_CLIENT,
                                                             .ca_file = file,
                                                             .certificate_file = pki.client_file[kind],
                                                             .key_file = pki.client_key[kind]});
        for (int i = 0; i < THREADS; i++) {
            threads[i].shared = &s;
            assert_int_equal(pthread_create(&threads[i].id, NULL, run, &threads[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i].id, NULL);
            assert_int_equal(threads[i].made, DESTINATIONS);
            assert_int_equal(threads[i].opened, DESTINATIONS);
        }
        tls_context_unref(&s.client);
        tls_issuer_unref(&s.issuer);
        tls_roots_unref(&s.roots);
        cert_free(&ca);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_issuer_roots_and_contexts)};
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
