/* io/counters.h — every number a worker counts: one table. The owner worker writes, any thread reads.
 *
 * A row: symbol, Prometheus name (labels included), type, help. Rows of one name stand together. Gauges are
 * kept by the functions that move objects between states and are checked against a walk of the lists in
 * tests.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define COUNTERS(X)                                                                                          \
    X(accepted, "hawser_connections_accepted_total", counter, "connections accepted from clients")           \
    X(front_connections, "hawser_front_connections", gauge, "client connections open now")                   \
    X(front_refused, "hawser_connections_refused_total", counter, "client connections refused at accept")    \
    X(front_tls_failed, "hawser_front_tls_failed_total", counter, "client TLS handshakes that failed")       \
    X(front_http2, "hawser_front_http2_total", counter, "client connections that spoke HTTP/2")              \
    X(http2_errors, "hawser_front_http2_errors_total", counter,                                              \
      "HTTP/2 client connections ended for breaking the protocol")                                           \
    X(http2_flood_reset, "hawser_front_http2_floods_total{kind=\"reset\"}", counter,                         \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(http2_flood_continuation, "hawser_front_http2_floods_total{kind=\"continuation\"}", counter,           \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(http2_flood_ping, "hawser_front_http2_floods_total{kind=\"ping\"}", counter,                           \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(http2_flood_settings, "hawser_front_http2_floods_total{kind=\"settings\"}", counter,                   \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(http2_flood_priority, "hawser_front_http2_floods_total{kind=\"priority\"}", counter,                   \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(http2_flood_empty_data, "hawser_front_http2_floods_total{kind=\"empty_data\"}", counter,               \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(http2_flood_window_update, "hawser_front_http2_floods_total{kind=\"window_update\"}", counter,         \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(http2_flood_other, "hawser_front_http2_floods_total{kind=\"other\"}", counter,                         \
      "HTTP/2 client connections ended for a flood")                                                         \
    X(requests, "hawser_requests_total", counter, "requests whose head was read")                            \
    X(requests_active, "hawser_requests_in_flight", gauge, "exchanges open now")                             \
    X(tunnels, "hawser_tunnels_total", counter, "CONNECTs and upgrades asked for")                           \
    X(tunnels_active, "hawser_tunnels_open", gauge, "tunnels open or being opened now")                      \
    X(requests_malformed, "hawser_requests_malformed_total", counter, "requests refused as malformed")       \
    X(requests_insecure, "hawser_requests_insecure_total", counter,                                          \
      "requests on routes with insecure: true")                                                              \
    X(bytes_from_clients, "hawser_client_received_bytes_total", counter, "body bytes read from clients")     \
    X(bytes_to_clients, "hawser_client_sent_bytes_total", counter, "body bytes given to clients")            \
    X(dials, "hawser_dials_total", counter, "connections dialled to endpoints")                              \
    X(dials_failed, "hawser_dials_failed_total", counter, "dials that gave no usable connection")            \
    X(lease_hit, "hawser_pool_leases_total{result=\"hit\"}", counter, "leases answered, by where from")      \
    X(lease_dialled, "hawser_pool_leases_total{result=\"dialled\"}", counter,                                \
      "leases answered, by where from")                                                                      \
    X(lease_failed, "hawser_pool_leases_total{result=\"failed\"}", counter,                                  \
      "leases answered, by where from")                                                                      \
    X(lease_waited, "hawser_pool_leases_waited_total", counter, "leases that stood in a queue")              \
    X(retries, "hawser_retries_total", counter,                                                              \
      "requests sent again after a reused connection proved stale")                                          \
    X(tls_full, "hawser_tls_handshakes_total{kind=\"full\"}", counter, "TLS handshakes with endpoints")      \
    X(tls_resumed, "hawser_tls_handshakes_total{kind=\"resumed\"}", counter,                                 \
      "TLS handshakes with endpoints")                                                                       \
    X(tls_failed, "hawser_tls_handshakes_total{kind=\"failed\"}", counter, "TLS handshakes with endpoints")  \
    X(tls_not_resumed, "hawser_tls_tickets_refused_total", counter,                                          \
      "tickets offered that the endpoint did not take")                                                      \
    X(tickets, "hawser_tls_tickets", gauge, "session tickets kept")                                          \
    X(tickets_stored, "hawser_tls_tickets_stored_total", counter, "session tickets received and kept")       \
    X(minted, "hawser_tls_minted_total", counter, "server certificates made for destinations")               \
    X(minted_kept, "hawser_tls_minted_certificates", gauge, "made certificates kept for the next client")    \
    X(pool_endpoints, "hawser_pool_endpoints", gauge, "endpoints known")                                     \
    X(pool_dialling, "hawser_pool_connections{state=\"dialling\"}", gauge, "pooled connections by state")    \
    X(pool_idle, "hawser_pool_connections{state=\"idle\"}", gauge, "pooled connections by state")            \
    X(pool_leased, "hawser_pool_connections{state=\"leased\"}", gauge, "pooled connections by state")        \
    X(pool_shared, "hawser_pool_connections{state=\"shared\"}", gauge, "pooled connections by state")        \
    X(pool_closing, "hawser_pool_connections{state=\"closing\"}", gauge, "pooled connections by state")      \
    X(pool_shares, "hawser_pool_shared_leases", gauge, "leases on shared connections now")                   \
    X(pool_waiters, "hawser_pool_waiters", gauge, "requests that wait for a connection now")                 \
    X(pool_retired_idle, "hawser_pool_retired_total{reason=\"idle\"}", counter, "connections retired")       \
    X(pool_retired_age, "hawser_pool_retired_total{reason=\"age\"}", counter, "connections retired")         \
    X(pool_retired_stale, "hawser_pool_retired_total{reason=\"stale\"}", counter, "connections retired")     \
    X(http2_client_failed, "hawser_http2_upstream_failed_total", counter,                                    \
      "HTTP/2 sessions with endpoints that ended by an error or by silence")                                 \
    X(breakers_opened, "hawser_breakers_opened_total", counter, "times a breaker opened")                    \
    X(breakers_open, "hawser_breakers_open", gauge, "endpoints whose breaker is open now")                   \
    X(token_checks, "hawser_token_checks_total", counter, "tokens of agents that were checked")              \
    X(token_checks_kept, "hawser_token_checks_kept_total", counter,                                          \
      "checks that a kept answer of the API server decided")                                                 \
    X(token_reviews_good, "hawser_token_reviews_total{result=\"authenticated\"}", counter,                   \
      "TokenReviews asked of the API server")                                                                \
    X(token_reviews_refused, "hawser_token_reviews_total{result=\"refused\"}", counter,                      \
      "TokenReviews asked of the API server")                                                                \
    X(token_reviews_failed, "hawser_token_reviews_total{result=\"failed\"}", counter,                        \
      "TokenReviews asked of the API server")                                                                \
    X(kube_requests, "hawser_kube_requests_total", counter,                                                  \
      "requests sent to the API server, repeated ones included")                                             \
    X(kube_failures, "hawser_kube_failures_total", counter,                                                  \
      "of these, those without an answer, refused, or answered by an error of the server")                   \
    X(mailbox_messages, "hawser_mailbox_messages_total", counter, "messages posted between workers")         \
    X(mailbox_wakes, "hawser_mailbox_wakes_total", counter, "sleeping workers woken")                        \
    X(mailbox_overflows, "hawser_mailbox_overflows_total", counter, "messages that found a full ring")       \
    X(turns, "hawser_worker_turns_total", counter, "turns of the worker's loop")                             \
    X(sockets, "hawser_sockets", gauge, "sockets the engine holds")                                          \
    X(buffers_starved, "hawser_buffers_starved_total", counter,                                              \
      "times receiving paused for lack of buffers")                                                          \
    X(ring_overflows, "hawser_ring_overflows_total", counter, "completion queue overflows")                  \
    X(log_dropped, "hawser_log_lines_dropped_total", counter, "log lines lost because the log was not read") \
    X(audit_dropped, "hawser_audit_lines_dropped_total", counter,                                            \
      "audit lines lost because the audit file did not take them")

enum counter {
#define X(symbol, name, type, help) COUNTER_##symbol,
    COUNTERS(X)
#undef X
        COUNTER_COUNT
};

/* Durations by phase: buckets double from 62.5 us to 64 s, so 21 bounds and one above. */
enum phase {
    PHASE_queue,
    PHASE_dial,
    PHASE_tls_full,
    PHASE_tls_resumed,
    PHASE_first_byte,
    PHASE_total,
    PHASE_COUNT
};
enum { PHASE_BUCKETS = 22 };

struct counters {
    _Atomic uint64_t values[COUNTER_COUNT];
    struct {
        _Atomic uint64_t buckets[PHASE_BUCKETS];
        _Atomic uint64_t sum_ns, count;
    } phases[PHASE_COUNT];
    _Atomic uint64_t endings[64]; /* by enum ending: how exchanges ended */
};

struct worker;

void phase_observe(struct worker *, enum phase, uint64_t duration_ns);
/* Owner worker only. */
uint64_t phase_bucket_bound_ns(unsigned bucket);
/* Upper bound of a bucket; UINT64_MAX for the last. */
