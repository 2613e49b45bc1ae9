/* pool/lease.h — where a lease stands: among the waiters of its endpoint, or among the answers to be given at
 * the end of the turn. These functions alone move it. Owner worker only. */
#pragma once

#include <stdbool.h>

#include "pool/pool.h"

bool lease_is_pending(const struct lease *);
void lease_begin(struct pool *, struct lease *, struct endpoint *, uint64_t deadline_ns);
/* Pending from now on, on no list yet. endpoint: pinned by the lease, or NULL when there is none. */
void lease_wait(struct pool *, struct lease *, bool first);
/* Behind the waiters, or before them: one whose promised connection went bad. */
void lease_promise(struct pool *, struct lease *, struct conn *);
/* From the waiters, or new: this connection will be granted. */
struct conn *lease_take_back(struct pool *, struct lease *);
/* Undoes a promise; on no list afterwards. The connection is still leased. */
void lease_fail(struct pool *, struct lease *, enum ending, const char *detail);
void lease_fail_all(struct endpoint *, enum ending, const char *detail);
/* All waiters of an endpoint. */
void lease_forget(struct pool *, struct lease *);
/* No callback comes. Not while it holds a promise. */
void lease_answer_all(struct pool *);
/* Calls granted and failed of those which stood there when it was called. */
struct lease *lease_promised(const struct pool *, const struct conn *);
/* One that this connection was promised to; NULL. Walks all answers. */
struct lease *lease_oldest(const struct endpoint *, bool fresh_too);
/* NULL when nobody waits. */
