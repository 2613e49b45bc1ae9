/* io/limits.h — what the process may hold: descriptors and locked memory, raised as far as the system lets.
 * At start. */
#pragma once

#include <stdint.h>

struct process_limits {
    uint64_t descriptors, descriptors_wanted;
    uint64_t locked_bytes; /* UINT64_MAX: no limit */
};

void limits_raise(uint64_t descriptors_wanted, struct process_limits *ret);
/* Soft limits to hard limits; the hard limit of descriptors to what is wanted where the process may. Never
 * fails: the caller compares and says what is missing. */
