/* io/host.h — what this machine has and whom it knows: CPUs, users, groups. At start only. Any thread. */
#pragma once

#include <stdint.h>

#include "io/attributes.h"

uint32_t host_cpus(void);
/* CPUs this process may run on; at least 1. */
uint32_t host_uid(void);
/* The effective user. */
MUST_USE int host_user_id(const char *name, uint32_t *ret_uid);
MUST_USE int host_group_id(const char *name, uint32_t *ret_gid);
/* Of a name in the user database, or of a decimal number. 0, or -ENOENT. */
