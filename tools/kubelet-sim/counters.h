/* tools/kubelet-sim/counters.h — what one worker has counted. Written by its worker alone, read by the status
 * thread: relaxed atomics, no lock, no locked instruction. */
#pragma once
#include <stdint.h>

#define COUNTERS(X)                                                                                          \
    X(connections)                                                                                           \
    X(connections_closed)                                                                                    \
    X(connections_outside)                                                                                   \
    X(accept_failures)                                                                                       \
    X(handshakes_full)                                                                                       \
    X(handshakes_resumed)                                                                                    \
    X(handshakes_failed)                                                                                     \
    X(handshakes_tls12)                                                                                      \
    X(handshakes_tls13)                                                                                      \
    X(tickets_issued)                                                                                        \
    X(tickets_accepted)                                                                                      \
    X(tickets_refused)                                                                                       \
    X(requests)                                                                                              \
    X(responses)                                                                                             \
    X(unauthorized)                                                                                          \
    X(bad_requests)                                                                                          \
    X(body_bytes_in)                                                                                         \
    X(bytes_out)                                                                                             \
    X(idle_closes)                                                                                           \
    X(faults)

struct counters {
#define X(name) uint64_t name;
    COUNTERS(X)
#undef X
};

static inline void count_n(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void count(uint64_t *counter)
{
    count_n(counter, 1);
}
