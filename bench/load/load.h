/* bench/load/load.h — one run of offered load to one proxy: requests over keep-alive connections, or tunnels
 * that are opened, used once and closed. One thread, epoll. */
#pragma once

#include "bench/load/histogram.h"
#include "bench/load/options.h"

#include <stdint.h>

#define LOAD_FAILURES(X)                                                                                     \
    X(FAIL_CONNECT, connect)   /* the proxy's listener refused */                                            \
    X(FAIL_RESET, reset)       /* the connection ended before the answer did */                              \
    X(FAIL_STATUS, status)     /* an answer other than 200 */                                                \
    X(FAIL_LENGTH, length)     /* 200, but not the bytes that were asked for */                              \
    X(FAIL_GARBLED, garbled)   /* not an answer that can be read */                                          \
    X(FAIL_DEADLINE, deadline) /* sent, not answered in time */                                              \
    X(FAIL_UNSENT, unsent)     /* due, but no connection became free before the deadline */

enum load_failure {
#define LOAD_FAILURE_ENUM(symbol, name) symbol,
    LOAD_FAILURES(LOAD_FAILURE_ENUM)
#undef LOAD_FAILURE_ENUM
        LOAD_FAILURES_COUNT
};

struct load_result {
    struct histogram latency; /* from the intended time; failures stand at the deadline */
    struct histogram lag;     /* how late the generator itself was */
    struct histogram setup;   /* tunnels: from the intended time to the 200; failures stand at the deadline */
    struct histogram exchange; /* tunnels: from the 200 to the last byte of the answer */
    uint64_t scheduled;
    uint64_t completed;
    uint64_t failures[LOAD_FAILURES_COUNT];
    uint64_t connections_opened;
    uint64_t body_bytes_in;
    uint64_t body_bytes_out;
    uint64_t elapsed_ns;
    char first_failure[256];
};

int load_run(const struct load_options *, struct load_result *ret_result);
/* 0, or -errno when the generator itself could not work. What the proxy does is in the result. */
