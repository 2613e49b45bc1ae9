/* test/sim/sim_request.h — what an ordinary client asks for, by chance and by its habits, and how it says so.
 */
#pragma once

#include "sim_client.h"
#include "sim_http.h"

uint32_t sim_request_add(struct sim_net *, struct sim_ledger *, const struct sim_habits *,
                         const struct sim_backend *);
/* Notes an exchange: its number. */
uint32_t sim_request_make(struct sim_net *, struct sim_ledger *, const struct sim_habits *,
                          const struct sim_backend *, uint64_t written, struct sim_bytes *out);
/* Notes an exchange and puts its request behind what `out` holds; `written`: bytes of the connection before
 * that. Its number. */
