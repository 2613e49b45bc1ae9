/* bench/tls_bytes.c — CPU of our side of TLS: full and resumed handshakes, records of 16 KiB both ways, and
 * certificates made for destinations, on one worker over pipes in memory with OpenSSL as the peer. Only turns
 * of the worker and calls into it are counted, not the peer and no system call. Prints its parameters and one
 * line per measurement.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/tls/tls_issuer.h"
#include "io/tls/tls_mint.h"
#include "io/tls/tls_roots.h"
#include "test/support/pki.h"
#include "test/support/tls_rig.h"

enum { HANDSHAKES = 400, LEAVES = 64, BULK_SEGMENTS = 4096, DESTINATIONS = 1000 };

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double spent_us;

static void step(struct tls_rig *r)
{
    double from = cpu_us();
    world_turn(&r->world);
    spent_us += cpu_us() - from;
    if (!r->owner.stream)
        r->pipe = r->peer.pipe = NULL;
    ssl_peer_pump(&r->peer);
}

static void handshakes(const char *what, int version, bool mutual, bool resume)
{
    static struct cert leaves[LEAVES];
    SSL_CTX *peers[LEAVES];
    struct tls_rig r;
    struct tls_context *c = pki_client_context(mutual ? PKI_EC : -1);
    uint8_t ticket[TLS_TICKET_BYTES_MAX];
    size_t ticket_len = 0;
    int resumed = 0;
    rig_init(&r, NULL);
    for (int i = 0; i < LEAVES; i++) { /* as many kubelets: no cache of one key flatters */
        if (!leaves[i].x)
            leaves[i] = cert_make(&(struct cert_spec){.cn = "n1", .san = "IP:10.1.2.3"}, &pki.root);
        peers[i] = ssl_peer_context(true, &leaves[i], 1, mutual ? &pki.root : NULL, version);
    }
    spent_us = 0;
    for (int i = -10; i < HANDSHAKES; i++) {
        struct rig_connect how = {
            .context = c, .peer = peers[resume ? 0 : (i + 10) % LEAVES], .ip = "10.1.2.3"};
        if (resume && ticket_len) {
            how.ticket = ticket;
            how.ticket_len = ticket_len;
        }
        if (i == 0)
            spent_us = 0;
        double from = cpu_us();
        rig_connect(&r, &how);
        stream_grant(r.owner.stream, 100);
        r.owner.credit = 100;
        spent_us += cpu_us() - from;
        fifo_put(&r.peer.to_send, "!", 1);
        while (r.owner.received.len == 0 && !r.owner.closed)
            step(&r);
        resumed += i >= 0 && r.owner.info.resumed;
        if (r.owner.tickets > 0) {
            memcpy(ticket, r.owner.ticket, r.owner.ticket_len);
            ticket_len = r.owner.ticket_len;
        }
        stream_abort(r.owner.stream, ENDING_CANCELLED);
        while (!r.owner.closed)
            step(&r);
        rig_disconnect(&r);
    }
    printf("%-44s %8.1f us   (%d of %d resumed)\n", what, spent_us / HANDSHAKES, resumed, HANDSHAKES);
    for (int i = 0; i < LEAVES; i++)
        SSL_CTX_free(peers[i]);
    rig_fini(&r);
    tls_context_unref(&c);
}

static void bulk(const char *what, int version, bool write)
{
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, pki.leaf, 1, NULL, version);
    static uint8_t bytes[BUF_BIG_BYTES];
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    r.owner.regrant = 1;
    r.owner.credit = 1 << 20;
    stream_grant(r.owner.stream, 1 << 20);
    while (!r.owner.opened)
        step(&r);
    size_t total = 0, wanted = (size_t)BULK_SEGMENTS * BUF_BIG_BYTES;
    double copies_us = 0;
    spent_us = 0;
    while (total < wanted) {
        if (write)
            rig_send(&r, bytes, sizeof(bytes));
        else
            fifo_put(&r.peer.to_send, bytes, sizeof(bytes));
        step(&r);
        struct bytes_fifo *got = write ? &r.peer.received : &r.owner.received;
        total += got->len;
        got->len = 0;
    }
    /* The rig copies each byte of ciphertext once and each byte of plaintext read once more: taken off. */
    static uint8_t to[BUF_BIG_BYTES];
    double from = cpu_us();
    for (size_t i = 0; i < total; i += sizeof(bytes)) {
        memcpy(to, bytes, sizeof(bytes));
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    copies_us = (cpu_us() - from) * (write ? 1 : 2);
    printf("%-44s %8.2f us per 16 KiB (%.2f with the rig's copies)\n", what,
           (spent_us - copies_us) / (double)(total / 16384), spent_us / (double)(total / 16384));
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

/* Memory of the process in bytes. */
static long resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static void mint(const char *what, const struct cert *ca)
{
    struct tls_rig r;
    struct tls_issuer *issuer = NULL;
    struct tls_roots *roots = NULL;
    struct tls_mint *m = NULL;
    char detail[256], host[32];
    const char *file = cert_write(pki.dir, "issuer.pem", ca, 1);
    const char *key = cert_write_key(pki.dir, "issuer.key", ca);
    ASSERT(tls_issuer_new(file, key, &issuer, detail, sizeof(detail)) == 0);
    ASSERT(tls_roots_new(pki.root_file, &roots, detail, sizeof(detail)) == 0);
    rig_init(&r, NULL);
    struct tls_mint_options o = {.issuer = issuer, .client_roots = roots, .alpn = "h2,http/1.1"};
    ASSERT(tls_mint_new(&r.world.worker, &o, &m) == 0);
    ASSERT(tls_mint_get(m, "10.9.9.9", detail, sizeof(detail))); /* what is made once */
    double us[3];
    long bytes = 0;
    for (int round = 0; round < 3; round++) { /* the certificate alone, with its context, and found again */
        double from = cpu_us();
        long before = resident();
        for (int i = 0; i < DESTINATIONS; i++) {
            struct tls_host h;
            struct tls_minted minted;
            snprintf(host, sizeof(host), "10.1.%d.%d", i / 250, i % 250);
            if (round > 0) {
                ASSERT(tls_mint_get(m, host, detail, sizeof(detail)));
                continue;
            }
            ASSERT(tls_host_parse(host, &h, (struct tls_detail){0}));
            ASSERT(tls_issuer_mint(issuer, &h, time(NULL), 3600, &minted, (struct tls_detail){0}));
            tls_minted_drop(&minted);
        }
        us[round] = (cpu_us() - from) / DESTINATIONS;
        if (round == 1)
            bytes = (resident() - before) / DESTINATIONS;
    }
    printf("%-44s %8.1f us   (%.1f us of it the certificate; found again %.2f us; %ld bytes each)\n", what,
           us[1], us[0], us[2], bytes);
    tls_mint_free(&m);
    tls_issuer_unref(&issuer);
    tls_roots_unref(&roots);
    rig_fini(&r);
}

static void mints(void)
{
    struct cert rsa = cert_make(&(struct cert_spec){.cn = "issuer", .ca = true, .rsa = true}, NULL);
    mint("minted, EC issuer", &pki.root);
    mint("minted, RSA issuer", &rsa);
    cert_free(&rsa);
}

int main(void)
{
    pki_make(NULL);
    printf("provider: %s\nhandshakes: %d over %d leaf keys; bulk: %d segments of 64 KiB; destinations: %d\n",
           tls_provider_text(), HANDSHAKES, LEAVES, BULK_SEGMENTS, DESTINATIONS);
    handshakes("full, TLS 1.3", 0, false, false);
    handshakes("full, TLS 1.3, mutual", 0, true, false);
    handshakes("resumed, TLS 1.3, mutual", 0, true, true);
    handshakes("full, TLS 1.2, mutual", TLS1_2_VERSION, true, false);
    handshakes("resumed, TLS 1.2, mutual", TLS1_2_VERSION, true, true);
    bulk("write, TLS 1.3", 0, true);
    bulk("read, TLS 1.3", 0, false);
    bulk("write, TLS 1.2", TLS1_2_VERSION, true);
    bulk("read, TLS 1.2", TLS1_2_VERSION, false);
    mints();
    pki_drop(NULL);
    return 0;
}
