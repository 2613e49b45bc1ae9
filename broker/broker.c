/* broker/broker.c — building a broker from a configuration, and taking it apart. broker_run.c runs it. */
#include "broker/broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "broker/broker_build.h"
#include "broker/broker_worker.h"
#include "broker/callers.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/egress.h"
#include "broker/front_bridge.h"
#include "broker/front_http2.h"
#include "broker/http2_client.h"
#include "broker/konnectivity/proxy.h"
#include "broker/kube/kube.h"
#include "broker/kube/token_review.h"
#include "broker/reload.h"
#include "broker/route.h"
#include "io/engine.h"
#include "io/resolve.h"
#include "io/stream_pair.h"
#include "io/tls/tls.h"
#include "io/tls/tls_mint.h"
#include "io/worker.h"

enum {
    MAILBOX_ENTRIES = 1024,
    MAILBOX_ENTRIES_MANY = 256, /* with many workers the pairs' rings add up */
    FRONTS_MAX = 65536,
    LINGER_MS = 2000,
    HALF_CLOSED_MS = 10000, /* guess: few clients half-close at all, and those do it for short answers */
    SMALL_BUFFERS_MAX = 65536,
    BIG_BUFFERS_MAX = 4096,
    HUGE_BUFFERS = 32,
};

_Static_assert((int)CONFIG_WORKERS_MAX <= (int)WORKERS_MAX, "every configured worker can be made");

/* -- workers ------------------------------------------------------------------------------------------------
 */

static int make_callers(struct builder *b)
{
    const struct config *config = b->broker->config;
    const uint32_t limits[CALLER_USES] = {[CALLER_REQUEST] = config->limits.requests_in_flight_max,
                                          [CALLER_TUNNEL] = config->limits.tunnels_max,
                                          [CALLER_DIAL] = config->pool.dials_in_flight_max,
                                          [CALLER_AGENT_DIAL] = config->agents.pending_dials_max};
    return callers_new(b->broker->count, limits, &b->broker->callers) < 0 ? build_fail(b, -ENOMEM, "callers")
                                                                          : 0;
}

static int pick_engine(struct worker *w, void *arg, struct engine **ret)
{
    return engine_uring_new(w, arg, ret);
}

static struct buf_limits buffer_limits(const struct broker *b)
{
    uint64_t bytes = b->config->limits.memory_bytes_max;
    if (bytes == 0)
        bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE) / 4;
    bytes /= b->count;
    uint64_t small = bytes / 4 / BUF_SMALL_BYTES, big = bytes / 2 / BUF_BIG_BYTES;
    struct buf_limits limits = {
        {small < SMALL_BUFFERS_MAX ? (uint32_t)small : SMALL_BUFFERS_MAX,
         big < BIG_BUFFERS_MAX ? (uint32_t)big : BIG_BUFFERS_MAX, HUGE_BUFFERS}
    };
    return limits;
}

static int make_listeners(struct builder *b, struct broker_worker *bw)
{
    const struct config *config = b->broker->config;
    const bool pages[PAGES_COUNT] = {
        [PAGES_ADMIN] = config->admin.port != 0, [PAGES_HEALTH] = config->health.port != 0};
    bw->listeners = calloc(config->listener_count + (unsigned)PAGES_COUNT, sizeof(*bw->listeners));
    if (!bw->listeners)
        return build_fail(b, -ENOMEM, "listeners");
    bw->listener_count = config->listener_count;
    for (unsigned i = 0; i < PAGES_COUNT; i++)
        if (pages[i])
            bw->listeners[bw->listener_count++].pages = (enum front_pages)i;
    for (unsigned i = 0; i < bw->listener_count; i++) {
        struct front_listener *l = &bw->listeners[i];
        l->bw = bw;
        l->config = i < config->listener_count ? &config->listeners[i] : NULL;
        if (l->config && bw->credentials->listeners[i])
            l->tls = tls_context_ref(bw->credentials->listeners[i]);
    }
    return 0;
}

static int make_state(struct builder *b, struct broker_worker *bw, struct worker *w)
{
    const struct config *config = b->broker->config;
    uint32_t exchanges = config->limits.requests_in_flight_max + config->limits.tunnels_max;
    uint32_t slots = exchanges + KUBE_CALLS_MAX; /* its calls have slots and no exchanges */
    bw->broker = b->broker;
    bw->worker = w;
    bw->budget = config->limits.body_buffer_bytes;
    w->app = bw;
    list_init(&bw->fronts);
    list_init(&bw->agent_fronts);
    list_init(&bw->exchanges_open);
    drain_init(bw);
    credentials_begin(bw, b->broker->credentials);
    slab_init(&bw->conns, "clients", sizeof(struct front_conn), FRONTS_MAX);
    slab_init(&bw->http2_fronts, "HTTP/2 clients", sizeof(struct front_http2), FRONTS_MAX);
    slab_init(&bw->http2_streams, "HTTP/2 streams", sizeof(struct http2_stream), exchanges + FRONTS_MAX);
    slab_init(&bw->proxy_streams, "Konnectivity streams", sizeof(struct proxy_stream),
              exchanges + FRONTS_MAX);
    slab_init(&bw->proxy_tunnels, "Konnectivity tunnels", sizeof(struct proxy_tunnel),
              exchanges + FRONTS_MAX);
    slab_init(&bw->exchanges, "exchanges", sizeof(struct exchange), exchanges);
    slab_init(&bw->texts, "texts of exchanges", ACCESS_TEXT_MAX, 2 * exchanges); /* path and detail */
    slab_init(&bw->egresses, "egresses", sizeof(struct egress),
              exchanges * b->broker->count + KUBE_CALLS_MAX);
    slab_init(&bw->bridges, "bridges", sizeof(struct front_bridge), FRONTS_MAX);
    slab_init(&bw->stream_pairs, "bridged streams", sizeof(struct stream_pair), FRONTS_MAX);
    slab_init(&bw->http2_clients, "http2 sessions", sizeof(struct http2_client),
              UINT32_MAX); /* the pool bounds them */
    slab_init(&bw->seg_nodes, "segments", sizeof(struct segq_node), 1u << 20);
    token_asks_init(bw);
    bw->by_sender = calloc(b->broker->count, sizeof(*bw->by_sender));
    bw->free_slots = calloc(slots, sizeof(*bw->free_slots));
    bw->mints = calloc(b->broker->route_count + 1u, sizeof(struct tls_mint *));
    if (!bw->by_sender || !bw->free_slots || !bw->mints)
        return build_fail(b, -ENOMEM, "worker");
    while (bw->free_count < slots) { /* low numbers are used first, so that tables stay small */
        bw->free_slots[bw->free_count] = slots - 1 - bw->free_count;
        bw->free_count++;
    }
    int rc = resolver_new(w, NULL, &bw->resolver);
    if (rc < 0)
        return build_fail(b, rc, "name resolution");
    struct transport *agents = NULL;
    rc = build_agents(b, bw, exchanges * b->broker->count, &agents);
    if (rc < 0)
        return rc;
    const struct config_pool *p = &config->pool;
    struct pool_options options = {
        .limits = {.endpoints_max = p->endpoints_max,
                   .conns_per_endpoint_max = p->connections_per_endpoint_max,
                   .waiters_per_endpoint_max = p->waiters_per_endpoint_max,
                   .dials_in_flight_max = p->dials_in_flight_max,
                   .tickets_per_endpoint_max = p->tickets_per_endpoint_max,
                   .warm_spares = p->warm_spares,
                   .wait_ms = p->wait_timeout_ms,
                   .idle_ms = p->idle_timeout_ms,
                   .age_max_ms = p->age_max_ms,
                   .age_jitter_percent = p->age_jitter_percent,
                   .resolve_ms = config->timeouts.resolve_ms,
                   .connect_ms = config->timeouts.connect_ms,
                   .tls_ms = config->timeouts.tls_ms,
                   .dial_ms = config->timeouts.dial_ms,
                   .breaker_failures = p->breaker.failures,
                   .backoff_min_ms = p->breaker.backoff_min_ms,
                   .backoff_max_ms = p->breaker.backoff_max_ms},
        .resolver = bw->resolver,
        .address_allowed = broker_address_allowed,
        .policy = b->broker,
        .agents = agents,
        .sharing = {http2_client_begin, http2_client_end,                             bw                          },
    };
    rc = pool_new(w, &options, &bw->pool);
    return rc < 0 ? build_fail(b, rc, "pool") : 0;
}

static int make_worker(struct builder *b, unsigned number, const struct broker_options *o, void *engine_arg)
{
    struct broker *broker = b->broker;
    struct worker *w = &broker->workers[number];
    struct buf_limits limits = buffer_limits(broker);
    int rc = worker_init(w, number, broker->count, broker->mail, &limits);
    if (rc < 0)
        return build_fail(b, rc, "worker");
    rc = (o->engine_new ? o->engine_new : pick_engine)(w, engine_arg, &w->engine);
    if (rc == -ENOMEM) {
        snprintf(b->detail, b->detail_size,
                 "the engine is out of memory, most likely of locked memory; raise RLIMIT_MEMLOCK "
                 "(LimitMEMLOCK=64M)");
        return rc;
    }
    if (rc < 0)
        return build_fail(b, rc, "engine");
    w->engine->sockets = (struct socket_options){
        .keepalive_ms = broker->config->timeouts.keepalive_ms,
        .user_timeout_ms = broker->config->timeouts.tcp_user_timeout_ms};
    w->peers = (struct worker *const *)broker->peers;
    broker->peers[number] = w;
    worker_start_clock(w);
    return make_state(b, &broker->states[number], w);
}

static int make_workers(struct builder *b, const struct broker_options *o)
{
    struct broker *broker = b->broker;
    static struct engine_probe probe;
    void *engine_arg = o->engine_arg;
    if (!o->engine_new) {
        engine_uring_probe(&probe);
        snprintf(broker->engine_text, sizeof(broker->engine_text), "uring: %s", probe.detail);
        if (!probe.usable) {
            snprintf(b->detail, b->detail_size, "no engine can run here: %s", probe.detail);
            return -ENOTSUP;
        }
        engine_arg = &probe;
    }
    uint32_t entries = o->mailbox_entries  ? o->mailbox_entries
                       : broker->count > 8 ? MAILBOX_ENTRIES_MANY
                                           : MAILBOX_ENTRIES;
    int rc = mailboxes_new(broker->count, entries, &broker->mail);
    if (rc < 0)
        return build_fail(b, rc, "mailboxes");
    broker->workers = calloc(broker->count, sizeof(*broker->workers));
    broker->peers = calloc(broker->count, sizeof(*broker->peers));
    broker->states = calloc(broker->count, sizeof(*broker->states));
    if (!broker->workers || !broker->peers || !broker->states)
        return build_fail(b, -ENOMEM, "workers");
    for (unsigned i = 0; i < broker->count && rc == 0; i++)
        rc = make_worker(b, i, o, engine_arg);
    return rc;
}

static int make_all_listeners(struct builder *b)
{
    const struct config *config = b->broker->config;
    int rc = 0;
    for (unsigned i = 0; i < config->listener_count; i++)
        if (config_admits_anonymous_agents(config, &config->listeners[i]))
            log_any_thread(LOG_WARN, "insecure_agents",
                           "listener %s takes agents that prove nothing (agents.anonymous: true)",
                           config->listeners[i].name);
    for (unsigned w = 0; rc == 0 && w < b->broker->count; w++)
        rc = make_listeners(b, &b->broker->states[w]);
    return rc;
}

/* A UUID (RFC 9562, version 4) where the configuration names none: replicas must not share one. */
static int name_server(struct builder *b)
{
    struct broker *broker = b->broker;
    uint8_t r[16];
    if (broker->config->agents.server_id) {
        snprintf(broker->server_id, sizeof(broker->server_id), "%s", broker->config->agents.server_id);
        return 0;
    }
    if (getrandom(r, sizeof(r), 0) != sizeof(r))
        return build_fail(b, -errno, "randomness");
    r[6] = (uint8_t)(0x40 | (r[6] & 0x0f));
    r[8] = (uint8_t)(0x80 | (r[8] & 0x3f));
    snprintf(broker->server_id, sizeof(broker->server_id),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
             r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
    return 0;
}

int broker_new(const struct broker_options *o, struct broker **ret, char *ret_detail, size_t detail_size)
{
    struct config *config = o->config;
    struct broker *broker = calloc(1, sizeof(*broker));
    if (!broker) {
        config_free(&config);
        snprintf(ret_detail, detail_size, "out of memory");
        return -ENOMEM;
    }
    struct builder b = {broker, ret_detail, detail_size};
    broker->config = config;
    broker->count = config->workers;
    broker->access_log = config->log.access_log;
    broker->own_uid = (uint32_t)geteuid();
    broker->times = (struct broker_times){.client_tls_ms = config->timeouts.tls_ms,
                                          .client_idle_ms = config->limits.client_idle_timeout_ms,
                                          .head_ms = config->limits.head_timeout_ms,
                                          .linger_ms = LINGER_MS,
                                          .half_closed_ms = HALF_CLOSED_MS,
                                          .hold_ms = config->timeouts.tunnel_speak_first_ms,
                                          .tunnel_idle_ms = config->timeouts.tunnel_idle_ms};
    broker->request_limits = HTTP1_REQUEST_LIMITS;
    broker->request_limits.head_bytes_max = config->limits.head_bytes_max;
    broker->request_limits.fields_max = config->limits.fields_max;
    broker->connect_limits = HTTP1_CONNECT_LIMITS;
    broker->connect_limits.head_bytes_max = config->limits.connect_head_bytes_max;
    broker->response_limits = HTTP1_RESPONSE_LIMITS;
    broker->response_limits.head_bytes_max = config->limits.response_head_bytes_max;
    broker->response_limits.fields_max = config->limits.fields_max;
    int rc = name_server(&b);
    if (rc == 0)
        rc = build_routes(&b);
    if (rc == 0)
        rc = reload_new(broker, &broker->reload, ret_detail, detail_size);
    if (rc == 0)
        rc = make_callers(&b);
    if (rc == 0)
        rc = make_workers(&b, o);
    if (rc == 0)
        rc = build_kube(&b);
    if (rc == 0)
        rc = build_bridges(&b);
    if (rc == 0)
        rc = make_all_listeners(&b);
    if (rc < 0) {
        broker_free(&broker);
        return rc;
    }
    *ret = broker;
    return 0;
}

static void free_state(struct broker_worker *bw)
{
    if (!bw->worker)
        return;
    worker_disarm(bw->worker, &bw->drain_timer);
    credentials_end(bw);
    pool_free(&bw->pool);
    resolver_free(&bw->resolver);
    free_agents(bw);
    for (unsigned i = 0; i < bw->listener_count; i++)
        if (bw->listeners[i].tls)
            tls_context_unref(&bw->listeners[i].tls);
    for (unsigned i = 0; bw->by_sender && i < bw->broker->count; i++)
        free(bw->by_sender[i].slots);
    for (unsigned i = 0; bw->mints && i < bw->broker->route_count; i++)
        if (bw->mints[i])
            tls_mint_free(&bw->mints[i]);
    free(bw->mints);
    free(bw->by_sender);
    free(bw->free_slots);
    free(bw->listeners);
    slab_fini(&bw->conns);
    slab_fini(&bw->http2_fronts);
    slab_fini(&bw->http2_streams);
    slab_fini(&bw->proxy_streams);
    slab_fini(&bw->proxy_tunnels);
    slab_fini(&bw->exchanges);
    slab_fini(&bw->texts);
    slab_fini(&bw->egresses);
    slab_fini(&bw->bridges);
    slab_fini(&bw->stream_pairs);
    slab_fini(&bw->http2_clients);
    slab_fini(&bw->seg_nodes);
    slab_fini(&bw->token_asks);
}

/* Buffers on their way home when the workers stopped; and a client on its way to another worker, who is
 * refused. */
static void bring_buffers_home(struct broker *b)
{
    unsigned delivered;
    do {
        delivered = 0;
        for (unsigned i = 0; i < b->count; i++)
            if (b->workers[i].engine)
                mailbox_flush(&b->workers[i]);
        for (unsigned i = 0; i < b->count; i++)
            if (b->workers[i].engine)
                delivered += mailbox_drain(&b->workers[i]);
    } while (delivered > 0);
}

void broker_free(struct broker **bp)
{
    struct broker *b = *bp;
    *bp = NULL;
    if (!b)
        return;
    if (b->workers && b->mail)
        bring_buffers_home(b);
    for (unsigned i = 0; b->states && i < b->count; i++)
        free_state(&b->states[i]);
    kube_free(&b->kube);
    for (unsigned i = 0; b->workers && i < b->count; i++)
        if (b->workers[i].engine)
            worker_fini(&b->workers[i]);
    mailboxes_free(&b->mail);
    reload_free(&b->reload);
    if (b->routes)
        routes_free(&b->routes);
    callers_free(&b->callers);
    free(b->route_table);
    free(b->paths);
    free(b->wishes);
    free(b->workers);
    free(b->peers);
    free(b->states);
    config_free(&b->config);
    free(b);
}
