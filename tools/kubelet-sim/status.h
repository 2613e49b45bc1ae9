/* tools/kubelet-sim/status.h — the fleet seen from outside: counters and ledger as JSON, and a few levers.
 * Main thread. */
#pragma once
#include <stdbool.h>

#include "tools/must_use.h"

struct sim;

struct status {
    struct sim *sim;
    int fd;                /* -1: not asked for */
    const char *unix_path; /* removed at the end */
};

MUST_USE bool status_init(struct status *, struct sim *, const char *where);
/* where: ADDRESS:PORT, a path with a slash, or NULL. False: a line has been printed. */
void status_serve_one(struct status *);
/* Accepts a connection, answers one request and closes; bounded by two seconds. */
void status_fini(struct status *);
