/* tools/kubelet-sim/options.h — the command line of kubelet-sim as a struct. Read-only after start; any
 * thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/pki/mint.h"

enum {
    KUBELETS_MAX = 65000, /* one /16 of addresses; node names keep five digits */
    FAULTS_MAX = 64,      /* a node's faults are a 64-bit mask */
    THREADS_MAX = 64,
};

struct options {
    const char *base, *ca_dir, *client_ca, *token_file, *workdir, *write_ca, *write_client;
    const char *ready_file, *pid_file, *status, *key, *mint, *rotate;
    const char *faults[FAULTS_MAX];
    size_t faults_n;
    uint64_t count, port, threads, seed, log_lines, log_interval_ms, idle_timeout_ms, pods;
    bool forget_tickets, anonymous, quiet;
    /* Derived from the words above. */
    enum mint_algorithm algorithm;
    bool mint_lazy;
    uint64_t rotate_handshakes, rotate_ms; /* at most one of them is not 0 */
};

MUST_USE int options_parse(int argc, char **argv, struct options *ret_options);
/* 0: go on. 1: help or version was printed, end with 0. 2: bad usage, one line was printed. */
