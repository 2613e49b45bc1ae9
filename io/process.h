/* io/process.h — what the kernel counts of this process: for metrics, not for decisions. Any thread. */
#pragma once

#include <stdint.h>

struct process_usage {
    double cpu_seconds, start_time;                            /* the latter in unix time */
    uint64_t resident_bytes, virtual_bytes, virtual_max_bytes; /* the last: UINT64_MAX without a limit */
    uint64_t open_fds, max_fds;
};

void process_usage(struct process_usage *ret_usage);
/* What cannot be found is 0. Reads /proc; on kernels before 6.2 that takes a look at each descriptor. */
