/* test/sim/sim_broker.c — the whole broker as a case's application: its own workers, on simulated engines,
 * turned by the world. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "io/mailbox.h"
#include "io/tls/tls.h"
#include "sim_case.h"
#include "sim_walk.h"

enum { DRAIN_MS = 5000, LEASE_MS = 8000, FIRST_BYTE_MS = 60000 };

enum { AGENT_BYTES_MAX = 17 * 1024 * 1024 }; /* agents.connectionBytesMax, and a buffer of an agent's own */

/* What stands before a packet in a connection's own queues and in the network. */
static const uint64_t mux_slack_ns = 5000000000u;

struct broker_case {
    struct broker *broker;
};

static struct broker *broker_of(const struct sim_case *c)
{
    return ((const struct broker_case *)c->app_state)->broker;
}

static int engine_new(struct worker *w, void *world, struct engine **ret)
{
    return engine_sim_new(world, w, ret);
}

static void turn(struct worker *w, uint64_t wait_limit_ns)
{
    broker_turn(broker_worker_of(w)->broker, w->number, wait_limit_ns);
}

static void put_tls_listener(const struct sim_plan *p, char *text, size_t size)
{
    text[0] = '\0';
    if (p->tls_clients)
        snprintf(text, size,
                 "  - name: clients-tls\n"
                 "    tcp: {address: 127.0.0.1, port: 8443}\n"
                 "    tls: {certificateFile: %s, keyFile: %s, clientCaFile: %s, allowedNames: [hawser]}\n",
                 sim_tls_front_certificate_file(), sim_tls_front_key_file(), sim_tls_ca_file());
}

static void put_agents_listener(const struct sim_plan *p, char *text, size_t size)
{
    text[0] = '\0';
    if (p->agents > 0)
        snprintf(text, size,
                 "  - name: agents\n"
                 "    serves: agents\n"
                 "    tcp: {address: 127.0.0.1, port: 8132}\n"
                 "    tls: {certificateFile: %s, keyFile: %s}\n",
                 sim_tls_front_certificate_file(), sim_tls_front_key_file());
}

static void put_agents(const struct sim_plan *p, char *text, size_t size)
{
    static const char *const strategies[] = {"default", "destHost, default", "defaultRoute, default",
                                             "destHost, defaultRoute, default"};
    text[0] = '\0';
    if (p->agents > 0)
        snprintf(
            text, size,
            "agents: {anonymous: true, serverId: simulated, serverCount: 1, strategies: [%s], dialMs: %u, "
            "pendingDialsMax: %u, keepaliveMs: %u, keepaliveTimeoutMs: 2000}\n",
            strategies[p->seed / 5 % ARRAY_SIZE(strategies)], p->dial_ms, p->pending_dials_max,
            1000 + (unsigned)(p->seed * 7919 % 9000));
}

/* A configuration has no such listener without TLS, whose worlds are not repeatable. */
static void make_agents_plain(struct broker *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        for (unsigned k = 0; k < b->states[i].listener_count; k++) {
            struct front_listener *l = &b->states[i].listeners[k];
            if (l->tls && l->config && l->config->serves == CONFIG_SERVES_AGENTS)
                tls_context_unref(&l->tls);
        }
    }
}

static struct config *make_config(const struct sim_case *c)
{
    char text[8192], listener[1024], agents_listener[1024], agents[1024];
    struct config *config;
    struct config_error error;
    const struct sim_plan *p = &c->plan;
    put_tls_listener(p, listener, sizeof(listener));
    put_agents_listener(p, agents_listener, sizeof(agents_listener));
    put_agents(p, agents, sizeof(agents));
    int len = snprintf(
        text, sizeof(text),
        "apiVersion: hawser.dev/v1alpha1\n"
        "kind: BrokerConfiguration\n"
        "workers: %u\n"
        "listeners:\n"
        "  - name: clients\n"
        "    tcp: {address: 127.0.0.1, port: 8080}\n"
        "    insecure: true\n"
        "%s"
        "%s"
        "%s"
        "routes:\n"
        "  - name: backends\n"
        "    match: {cidrs: [10.0.0.0/8], schemes: [http, https, tunnel]}\n"
        "    tlsProfile: kubelets\n"
        "    via: [%s]\n"
        "tlsProfiles:\n"
        "  - name: kubelets\n"
        "    caFile: %s\n"
        "    clientCertificateFile: %s\n"
        "    clientKeyFile: %s\n"
        "pool:\n"
        "  connectionsPerEndpointMax: %u\n"
        "  waitersPerEndpointMax: %u\n"
        "  idleTimeoutMs: %u\n"
        "  ageMaxMs: %u\n"
        "  handshakesInFlightMax: %u\n"
        "  warmSpares: %u\n"
        "  breaker: {failures: %u}\n"
        "limits: {memoryBytesMax: 1073741824, bodyBufferBytes: %u, tunnelsMax: %u}\n"
        "timeouts: {drainMs: %u, tunnelAnswerMs: %u, tunnelSpeakFirstMs: %u, tunnelIdleMs: %u}\n"
        "admin: {port: 0}\n"
        "log: {level: error, accessLog: %s}\n",
        p->workers, listener, agents_listener, agents, p->agents > 0 ? "agent" : "direct", sim_tls_ca_file(),
        sim_tls_client_certificate_file(), sim_tls_client_key_file(), p->conns_cap,
        p->calm ? 1000 : 4 + p->conns_cap * 2, p->calm ? 80000 : 100 + (unsigned)(p->seed * 7919 % 20000),
        p->calm ? 1800000 : 21000 + (unsigned)(p->seed * 104729 % 60000),
        p->calm ? 256 : 1 + (unsigned)(p->seed % 9), p->warm_spares, p->calm ? 1000 : 5, p->budget,
        p->tunnels_max ? p->tunnels_max : 1, DRAIN_MS, p->tunnels_max ? p->answer_ms : 5000, p->hold_ms,
        p->idle_ms, c->tracing ? "true" : "false");
    ASSERT(len > 0 && (size_t)len < sizeof(text));
    int rc = config_load_buffer("simulation", text, (size_t)len, CONFIG_SKIP_FILES, &config, &error);
    if (rc != CONFIG_OK)
        fprintf(stderr, "%s\n", error.text);
    ASSERT(rc == CONFIG_OK);
    return config;
}

/* What the broker promises, with what the world may add to it. */
static void make_promises(struct sim_case *c)
{
    const struct sim_faults *f = &c->plan.faults;
    uint64_t slack = 500000000 + 6 * f->delay_max_ns + 6 * f->held_max_ns * (f->worker_held > 0) +
                     2 * f->wake_delay_max_ns;
    /* Who hears nothing more is given up after TCP_USER_TIMEOUT. */
    uint64_t lost = f->conn_blackhole > 0 ? 35000000000u : 0;
    c->promises = (struct sim_tunnel_promises){.answer_ns = c->plan.answer_ms * 1000000ull + slack,
                                               .upgrade_ns = (LEASE_MS + FIRST_BYTE_MS) * 1000000ull + slack,
                                               .hold_ns = c->plan.hold_ms * 1000000ull,
                                               .cancel_ns = 1000000000u + slack + lost,
                                               .reset_told_ns = 1000000000u + slack + lost,
                                               .drained_ns = DRAIN_MS * 1000000ull + 3000000000u + slack +
                                                             lost,
                                               .slack_ns = slack,
                                               .held_max = c->plan.budget};
    struct sim_tunnel_promises *m = &c->mux_promises;
    *m = c->promises;
    m->slack_ns += mux_slack_ns;
    m->answer_ns += mux_slack_ns;
    m->cancel_ns += mux_slack_ns;
    m->reset_told_ns += mux_slack_ns;
    /* Beyond the budget in the stream's window; before the network, and in it. */
    m->held_max = 2 * c->plan.budget + HTTP2_UNSENT_MAX + f->window_max + 2 * SIM_INPUT_MAX;
    if (c->plan.agents == 0)
        return;
    m->held_max += AGENT_BYTES_MAX;
    c->promises = *m;
}

static uint64_t endings_by_chance(const struct sim_plan *p)
{
    const struct sim_faults *f = &p->faults;
    uint64_t bits = 0;
    if (p->calm)
        return 0;
    bits |= 1ull << ENDING_LIMIT | 1ull << ENDING_BREAKER_OPEN | 1ull << ENDING_QUEUE_TIMEOUT;
    if (f->dial_refused > 0)
        bits |= 1ull << ENDING_REFUSED;
    if (f->dial_unreachable > 0)
        bits |= 1ull << ENDING_UNREACHABLE;
    if (f->dial_hangs > 0)
        bits |= 1ull << ENDING_CONNECT_TIMEOUT;
    if (f->conn_reset > 0)
        bits |= 1ull << ENDING_PEER_RESET | 1ull << ENDING_TRUNCATED;
    if (p->agents > 0)
        bits |= 1ull << ENDING_AGENT_LOST | 1ull << ENDING_NO_AGENT | 1ull << ENDING_DEADLINE |
                1ull << ENDING_CONNECT_TIMEOUT | 1ull << ENDING_BAD_RESPONSE | 1ull << ENDING_UNREACHABLE |
                1ull << ENDING_PEER_LOST | 1ull << ENDING_TRUNCATED | 1ull << ENDING_PEER_RESET;
    if (p->agents > 0 && p->agent_habits.dial_mischiefs > 0)
        bits |= 1ull << ENDING_REFUSED;
    if (p->idle_close > 0) /* by a reset that overtakes the answer before it */
        bits |= 1ull << ENDING_PEER_RESET;
    if (f->conn_blackhole > 0)
        bits |= 1ull << ENDING_PEER_LOST | 1ull << ENDING_TLS_TIMEOUT | 1ull << ENDING_DEADLINE;
    return bits;
}

static void *case_start(struct sim_case *c)
{
    struct broker_case *bc = calloc(1, sizeof(*bc));
    ASSERT(bc != NULL);
    char detail[512] = "";
    struct broker_options options = {.config = make_config(c),
                                     .mailbox_entries = c->plan.mailbox_entries,
                                     .engine_new = engine_new,
                                     .engine_arg = c->world};
    int rc = broker_new(&options, &bc->broker, detail, sizeof(detail));
    for (unsigned i = 0; rc == 0 && i < bc->broker->count; i++)
        sim_world_turn_by(&bc->broker->workers[i], turn);
    if (rc == 0)
        make_agents_plain(bc->broker);
    if (rc == 0)
        rc = broker_open(bc->broker, detail, sizeof(detail));
    if (rc != 0)
        fprintf(stderr, "broker: %s\n", detail);
    ASSERT(rc == 0);
    c->conns_cap = c->plan.conns_cap;
    c->tunnels.endings = endings_by_chance(&c->plan);
    make_promises(c);
    return bc;
}

static void case_drain(struct sim_case *c)
{
    broker_drain_any_thread(broker_of(c));
}

static bool case_is_empty(struct sim_case *c)
{
    return broker_is_drained_any_thread(broker_of(c));
}

static void case_step(struct sim_case *c)
{
    const struct broker *b = broker_of(c);
    sim_walk(c, b);
    for (unsigned i = 0; i < b->count; i++)
        if (b->states[i].pool)
            pool_check(b->states[i].pool);
}

static uint64_t total(const struct broker *b, enum counter counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->count; i++)
        sum += atomic_load(&b->workers[i].counters.values[counter]);
    return sum;
}

static void expect(struct sim_case *c, const char *what, uint64_t found, uint64_t expected)
{
    if (found != expected)
        sim_violation(&c->ledger, 0, "%s: counted %" PRIu64 ", expected %" PRIu64, what, found, expected);
}

/* Counters against the ledger. In a world with faults only bounds are known. */
static void compare_counters(struct sim_case *c)
{
    const struct broker *b = broker_of(c);
    static const enum counter gauges[] = {
        COUNTER_front_connections, COUNTER_requests_active, COUNTER_tunnels_active,
        COUNTER_pool_dialling,     COUNTER_pool_idle,       COUNTER_pool_leased,
        COUNTER_pool_closing,      COUNTER_pool_waiters,    COUNTER_sockets};
    for (size_t i = 0; i < ARRAY_SIZE(gauges); i++)
        expect(c, "a gauge after drain", total(b, gauges[i]), 0);
    uint64_t seen = 0, accepted = sim_doors_accepted(c->doors);
    for (unsigned i = 0; i < c->plan.backends; i++) {
        seen += sim_backend_requests(c->backends[i]);
        accepted += sim_backend_accepted(c->backends[i]);
    }
    uint64_t requests = total(b, COUNTER_requests), dials = total(b, COUNTER_dials);
    uint64_t leases = total(b, COUNTER_lease_hit) + total(b, COUNTER_lease_dialled);
    bool dialled_again = c->plan.agents > 0 && !c->plan.calm; /* by another agent, for the same dial */
    if (requests > c->ledger.count || total(b, COUNTER_tunnels) > c->tunnels.count || seen > leases ||
        (accepted > dials && !dialled_again))
        sim_violation(&c->ledger, 0,
                      "%" PRIu64 " requests of %u asked, %" PRIu64 " seen by backends in %" PRIu64
                      " leases, %" PRIu64 " connections accepted of %" PRIu64 " dialled",
                      requests, c->ledger.count, seen, leases, accepted, dials);
    if (!c->plan.calm)
        return;
    uint64_t unread = 0; /* stood behind one whose connection ended, or was given up before it had gone */
    for (uint32_t id = 1; id <= c->ledger.count; id++) {
        const struct sim_exchange *x = sim_ledger_find(&c->ledger, id);
        unread += (x->outcome == OUTCOME_LOST && (x->behind || x->disturbed)) ||
                  (x->outcome == OUTCOME_ABANDONED && x->seen == 0);
    }
    if (requests + unread < c->ledger.count)
        expect(c, "requests", requests, c->ledger.count);
    /* Who is forbidden, or leaves, gets none. */
    uint64_t tunnels = total(b, COUNTER_tunnels), answered = leases + total(b, COUNTER_lease_failed);
    uint64_t owed = requests + total(b, COUNTER_retries);
    expect(c, "leases", answered,
           answered < owed             ? owed
           : answered > owed + tunnels ? owed + tunnels
                                       : answered);
    /* Who left may have done so before it was read; so may who was lost by its own doing. */
    if (tunnels + c->tunnels.outcomes[TUNNEL_LEFT] + c->tunnels.outcomes[TUNNEL_LOST] < c->tunnels.count)
        expect(c, "tunnels", tunnels, c->tunnels.count);
}

static void case_free(struct sim_case *c)
{
    struct broker_case *bc = c->app_state;
    compare_counters(c);
    sim_walk_nothing_left(c, bc->broker);
    for (unsigned i = 0; i < bc->broker->count; i++)
        sim_check_worker(c, &bc->broker->workers[i], 1); /* the drain's own timer is disarmed by free */
    sim_give_up_if_bad(c);
    broker_free(&bc->broker);
    free(bc);
}

#define BROKER_APP(symbol, text, kind)                                                                       \
    const struct sim_app symbol = {.name = text,                                                             \
                                   .profile = kind,                                                          \
                                   .start = case_start,                                                      \
                                   .drain = case_drain,                                                      \
                                   .is_empty = case_is_empty,                                                \
                                   .step = case_step,                                                        \
                                   .free = case_free}

BROKER_APP(sim_broker_app, "broker", PROFILE_EXCHANGES);
BROKER_APP(sim_tunnels_app, "tunnels", PROFILE_TUNNELS);
BROKER_APP(sim_http2_app, "http2", PROFILE_HTTP2);
BROKER_APP(sim_konnectivity_app, "konnectivity", PROFILE_FRONTENDS);
BROKER_APP(sim_agents_app, "agents", PROFILE_AGENTS);
