/* tools/kubelet-sim/ledger.h — the side effects this fleet has suffered: how often each X-Request-Id arrived
 * with a method that is not idempotent. Any thread; one mutex, as only tests send such requests. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/kubelet-sim/http.h"
#include "tools/kubelet-sim/text.h"

enum { LEDGER_ENTRIES_MAX = 4 << 20 }; /* some 500 MB of ids: past that a test is a leak */

struct ledger_entry;

struct ledger {
    pthread_mutex_t lock;
    struct ledger_entry **slots;
    size_t slots_n, entries, duplicates;
    uint64_t effects, dropped;
};

void ledger_init(struct ledger *);
void ledger_fini(struct ledger *);
void ledger_record(struct ledger *, const struct http_request *, uint32_t node);
void ledger_clear(struct ledger *);
void ledger_report(struct ledger *, struct text *, const char *id, bool all);
/* JSON. id: that entry alone. Without it the totals and the duplicates; all: every entry. */
