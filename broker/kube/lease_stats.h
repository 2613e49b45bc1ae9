/* broker/kube/lease_stats.h — what is counted of Leases, as the proxy-server's metrics have it: written by
 * the API's home worker, read by any thread. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum {
    LEASE_ROWS_MAX = 24, /* of status and reason; what comes beyond goes into the last */
    LEASE_CODES_MAX = 16,
    LEASE_REASON_MAX = 48,
    LEASE_BUCKETS = 11, /* Prometheus' default ones, without +Inf, which is the count */
};

extern const double lease_bucket_bounds_s[LEASE_BUCKETS];

/* Rows below the count are complete and never change but for their numbers. */
struct lease_calls {
    struct {
        uint16_t code;
        char reason[LEASE_REASON_MAX]; /* a StatusReason; "" of success */
        _Atomic uint64_t count;
    } rows[LEASE_ROWS_MAX];
    struct {
        uint16_t code;
        _Atomic uint64_t buckets[LEASE_BUCKETS]; /* each with those below */
        _Atomic uint64_t count, sum_ns;
    } latencies[LEASE_CODES_MAX];
    _Atomic unsigned row_count, latency_count;
};

struct lease_stats {
    struct lease_calls lists,
        deletes; /* konnectivity_network_proxy_server_lease_{list,delete}_{total,latency_seconds} */
    _Atomic uint64_t culled; /* culled_leases_count */
    _Atomic int32_t valid;   /* with the label, at the last list; -1: not known yet */
};

void lease_calls_note(struct lease_calls *, uint16_t code, const char *reason, uint64_t duration_ns);
/* By the home worker alone. */
