/* test/integration/tls_end.c — hawser-tls-end: one end of a TLS connection as the broker has it, on the
 * broker's engine and without the broker, for peers that nobody here wrote.
 *
 *   hawser-tls-end bridge ADDRESS PORT ISSUER.crt ISSUER.key CLIENT-CA.crt
 *       takes CONNECT host:port, answers 200 and ends the TLS that follows with a certificate made for the
 * host; answers the first bytes inside with one HTTP/1.1 response that says what was found hawser-tls-end
 * connect ADDRESS PORT CA.crt NAME ALPN verifies the server as NAME (an address or a DNS name) and prints
 * version and protocol
 *
 * ALPN "-": none. Ends on SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "io/tls/tls.h"
#include "io/tls/tls_issuer.h"
#include "io/tls/tls_mint.h"
#include "io/tls/tls_roots.h"
#include "io/worker.h"

enum { CREDIT = 64 * 1024, HEAD_MAX = 1024 };

struct client {
    struct stream *stream; /* TCP, then TLS over it */
    char head[HEAD_MAX];
    uint32_t head_len, credit;
    bool answered;
};

static struct worker worker;
static struct tls_mint *mint;
static volatile sig_atomic_t stopping;
static int exit_code = 1; /* of connect */

static void say(struct stream *s, const char *text)
{
    struct buf *b = buf_get_bytes(&worker.bufs, (uint32_t)strlen(text));
    ASSERT(b);
    memcpy(b->mem, text, strlen(text));
    stream_send(s, (struct seg){.buf = b, .data = b->mem, .len = (uint32_t)strlen(text)});
}

static void on_sent(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void on_end(struct stream *s)
{
    stream_finish(s);
}

static void client_closed(struct stream *s, enum ending reason)
{
    (void)reason;
    free(s->owner);
    stream_free(s);
}

/* ---- inside ---- */

static void inner_open(struct stream *s)
{
    stream_grant(s, CREDIT);
}

static void inner_data(struct stream *s, struct seg seg)
{
    struct client *c = s->owner;
    const struct tls_info *info = tls_stream_info(s);
    char body[512], text[640];
    worker_release_seg(s->worker, seg);
    if (c->answered)
        return;
    c->answered = true;
    snprintf(body, sizeof(body), "client=%s alpn=%s version=%s\n", info->peer_cn, info->alpn, info->version);
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             strlen(body), body);
    say(s, text);
    stream_finish(s);
}

static void inner_closed(struct stream *s, enum ending reason)
{
    struct client *c = s->owner;
    const struct tls_info *info = tls_stream_info(s);
    printf("%.200s: %s %s\n", c->head, ending_name(reason), info->detail);
    fflush(stdout);
    client_closed(s, reason);
}

static const struct stream_events inner_events = {inner_open, inner_data, on_sent, on_end, inner_closed};

/* ---- the head ---- */

/* "CONNECT host:port ...": the host, or NULL. */
static char *host_of(char *head)
{
    char *host = head + strlen("CONNECT "), *end = strchr(host, ' ');
    if (strncmp(head, "CONNECT ", strlen("CONNECT ")) != 0 || !end)
        return NULL;
    *end = '\0';
    char *colon = strrchr(host, ':');
    if (!colon)
        return NULL;
    *colon = '\0';
    if (host[0] != '[' || colon[-1] != ']')
        return host;
    colon[-1] = '\0';
    return host + 1;
}

static void begin_tls(struct client *c, struct seg rest)
{
    char detail[256];
    char *host = host_of(c->head);
    struct tls_context *context = host ? tls_mint_get(mint, host, detail, sizeof(detail)) : NULL;
    if (!context) {
        worker_release_seg(&worker, rest);
        say(c->stream, "HTTP/1.1 502 no certificate for that\r\n\r\n");
        stream_finish(c->stream);
        return;
    }
    say(c->stream, "HTTP/1.1 200 OK\r\n\r\n");
    memmove(c->head, host, strlen(host) + 1);
    c->stream = tls_accept(&worker, &c->stream, context);
    ASSERT(c->stream);
    tls_accept_early(c->stream, rest);
    tls_accept_credit(c->stream, c->credit);
    stream_bind(c->stream, &inner_events, c);
}

static void head_data(struct stream *s, struct seg seg)
{
    struct client *c = s->owner;
    c->credit -= seg.len;
    uint32_t before = c->head_len, n = seg.len;
    if (n > HEAD_MAX - 1 - c->head_len)
        n = HEAD_MAX - 1 - c->head_len;
    memcpy(c->head + before, seg.data, n);
    c->head_len += n;
    char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
    if (!end || c->head_len == HEAD_MAX - 1) {
        worker_release_seg(&worker, seg);
        if (c->head_len == HEAD_MAX - 1)
            stream_abort(s, ENDING_BAD_REQUEST);
        return;
    }
    uint32_t taken = (uint32_t)(end + 4 - c->head) - before;
    *end = '\0';
    seg.data += taken;
    seg.len -= taken;
    begin_tls(c, seg);
}

static void head_open(struct stream *s)
{
    (void)s;
}

static const struct stream_events head_events = {head_open, head_data, on_sent, on_end, client_closed};

static void on_accepted(struct listener *l, int handle, const struct net_peer *peer)
{
    struct client *c = calloc(1, sizeof(*c));
    ASSERT(c);
    c->stream = l->engine->ops->adopt(l->engine, handle, peer);
    ASSERT(c->stream);
    c->credit = CREDIT;
    stream_bind(c->stream, &head_events, c);
    stream_grant(c->stream, c->credit);
}

/* ---- connect ---- */

static void connect_open(struct stream *s)
{
    const struct tls_info *info = tls_stream_info(s);
    printf("version=%s alpn=%s\n", info->version, info->alpn);
    exit_code = 0;
    stream_abort(s, ENDING_DONE);
}

static void connect_closed(struct stream *s, enum ending reason)
{
    if (exit_code)
        printf("%s: %s\n", ending_name(reason), tls_stream_info(s)->detail);
    stream_free(s);
    stopping = 1;
}

static const struct stream_events connect_events = {connect_open, on_sent, on_sent, on_end, connect_closed};

/* ---- main ---- */

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "hawser-tls-end: %s: %s\n", what, detail);
    exit(2);
}

static void bridge(const struct net_address *at, char **files)
{
    static struct listener listener = {.accepted = on_accepted};
    struct listen_options listen = {.address = *at, .backlog = 64};
    struct tls_mint_options o = {.alpn = "h2,http/1.1", .allow_tls12 = true};
    char detail[256];
    if (tls_issuer_new(files[0], files[1], &o.issuer, detail, sizeof(detail)) != 0 ||
        tls_roots_new(files[2], &o.client_roots, detail, sizeof(detail)) != 0)
        fail("bridge", detail);
    if (tls_mint_new(&worker, &o, &mint) != 0)
        fail("bridge", "out of memory");
    tls_issuer_unref(&o.issuer);
    tls_roots_unref(&o.client_roots);
    if (worker.engine->ops->listen(worker.engine, &listener, &listen) < 0)
        fail("listen", "the address is not to be had");
    while (!stopping)
        worker_turn(&worker, worker.now_ns + 50000000u);
    worker.engine->ops->unlisten(&listener);
    tls_mint_free(&mint);
    exit_code = 0;
}

static void connect_to(const struct net_address *at, char **args)
{
    struct net_address ip;
    char detail[256];
    struct tls_expect expect = {0};
    struct tls_context *context = NULL;
    struct tls_context_options o = {.role = TLS_CLIENT,
                                    .ca_file = args[0],
                                    .allow_tls12 = true,
                                    .alpn = strcmp(args[2], "-") ? args[2] : NULL};
    if (tls_context_new(&o, &context, detail, sizeof(detail)) != 0)
        fail("connect", detail);
    if (net_address_parse(args[1], strlen(args[1]), 0, &ip))
        expect.ip = &ip;
    else
        expect.dns_name = args[1];
    struct stream *s = worker.engine->ops->dial(worker.engine, at);
    s = s ? tls_connect(&worker, &s, context, &expect, NULL, 0, NULL) : NULL;
    if (!s)
        fail("connect", "out of memory or descriptors");
    stream_bind(s, &connect_events, NULL);
    while (!stopping)
        worker_turn(&worker, worker.now_ns + 50000000u);
    tls_context_unref(&context);
}

static void on_signal(int sig)
{
    (void)sig;
    stopping = 1;
}

int main(int argc, char **argv)
{
    struct net_address at;
    struct engine_probe probe;
    struct mailboxes *mail;
    static struct worker *peers[1] = {&worker};
    static const struct buf_limits limits = {
        {1024, 128, 2}
    };
    bool bridges = argc == 7 && strcmp(argv[1], "bridge") == 0;
    if ((!bridges && (argc != 7 || strcmp(argv[1], "connect") != 0)) ||
        !net_address_parse(argv[2], strlen(argv[2]), (uint16_t)strtoul(argv[3], NULL, 10), &at))
        fail("usage", "bridge ADDRESS PORT CRT KEY CA | connect ADDRESS PORT CA NAME ALPN");
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    engine_uring_probe(&probe);
    if (!probe.usable || tls_global_init() != 0)
        fail("start", probe.detail);
    if (mailboxes_new(1, 64, &mail) != 0 || worker_init(&worker, 0, 1, mail, &limits) != 0)
        fail("start", "out of memory");
    worker.peers = peers;
    if (engine_uring_new(&worker, &probe, &worker.engine) != 0)
        fail("start", "no ring");
    worker_start_clock(&worker);
    if (bridges)
        bridge(&at, argv + 4);
    else
        connect_to(&at, argv + 4);
    return exit_code;
}
