/* broker/kube/lease_time.h — MicroTime of meta/v1: RFC 3339 with six digits of a second, in UTC. Pure; any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"

enum { LEASE_TIME_BYTES = 32 };

const char *lease_time_format(int64_t unix_us, char ret[LEASE_TIME_BYTES]);
/* "2026-11-28T04:15:10.000123Z". Returns ret. */
MUST_USE bool lease_time_parse(const char *text, int64_t *ret_unix_us);
/* Any RFC 3339 time, as Go's decoder takes it: with any number of digits or none behind the second, and with
 * an offset. Digits beyond the sixth are cut off. False: it is none. */
