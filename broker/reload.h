/* broker/reload.h — certificates, keys, CAs, tokens and names of nodes that change while the broker runs:
 * noticed by a look at their files now and then, or at once when asked; read, judged and published.
 *
 * Works on one thread of its own, the one that called broker_run(); the data path only adopts what was
 * published (credentials.h). What is refused leaves in force what was there before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "io/attributes.h"

struct broker;
struct reload;

enum {
    RELOAD_SETTLE_MS = 1000, /* files must stay as they are for so long: a certificate is written before its
                                key, and a clock of files ticks every few milliseconds; a guess */
    RELOAD_RETRY_MS = 60000, /* refused files are read again so often though nobody touched them: a
                                certificate becomes valid, descriptors become free; a guess */
};

MUST_USE int reload_new(struct broker *, struct reload **ret, char *ret_detail, size_t detail_size);
/* Reads everything for the first time and publishes it in broker.credentials. 0; -EINVAL or -ENOMEM with one
 * line. */
void reload_free(struct reload **);
/* After the workers have stopped. */
uint64_t reload_look(struct reload *, uint64_t now_ms, bool asked);
/* One look at all files. asked: everything is read, whether or not it looks changed. Returns when the next
 * look is due, UINT64_MAX: when asked. */
void reload_wait(struct reload *);
/* Until the next look is due, and has it; or until reload_wake_any_thread(), which alone ends it while the
 * broker drains. */
void reload_ask_any_thread(struct reload *);
void reload_wake_any_thread(struct reload *);
/* Both async-signal-safe. */
unsigned reload_identities_left(const struct reload *);
/* Replaced ones that some worker's pool may still refer to. */
void reload_print_metrics(const struct reload *, FILE *);
/* Any thread. */
