/* pool/tickets.h — TLS sessions of one endpoint, as serialised blobs, newest first. Owner worker only.
 *
 * The endpoint's key holds everything a session depends on (names, roots, client identity and their
 * generation), so a ticket can never be offered under another identity: it lives and dies with its endpoint.
 * Blobs are secret.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/list.h"
#include "io/slab.h"

struct worker;

enum {
    TICKET_CLASSES = 3,
    TICKET_REFUSALS_MAX = 3, /* in a row, then the peer is left in peace; a guess */
    TICKET_QUIET_MS = 10 * 60 *
                      1000, /* for so long; a guess: a full handshake each way costs little meanwhile */
    TICKET_AGE_MAX_S = 7 * 24 * 3600, /* RFC 8446 4.6.1: no client keeps a ticket longer */
};

/* Memory of all endpoints of a pool. */
struct ticket_store {
    struct worker *worker;
    struct slab classes[TICKET_CLASSES];
};

struct ticket {
    struct list node;
    uint64_t stored_ns;
    uint16_t len;
    uint8_t class;
    bool single_use; /* TLS 1.3 */
    uint8_t bytes[];
};

struct tickets {
    struct list list; /* newest first */
    uint32_t count;
    uint32_t refusals; /* in a row */
    uint64_t quiet_until_ns;
};

void ticket_store_init(struct ticket_store *, struct worker *, uint32_t tickets_max);
void ticket_store_fini(struct ticket_store *);

void tickets_init(struct tickets *);
void tickets_add(struct ticket_store *, struct tickets *, uint32_t count_max, const uint8_t *bytes,
                 size_t len, bool single_use);
/* Keeps a copy; the oldest goes when there are more than count_max. Too long or no memory: not kept. */
const struct ticket *tickets_newest(struct ticket_store *, struct tickets *);
/* To be offered in a handshake that begins now; NULL when there is none or the peer does not take them. Lent
 * until tickets_offered(). */
void tickets_offered(struct ticket_store *, struct tickets *, const struct ticket *);
/* It went into a handshake: single-use ones are dropped unless it was the last. */
void tickets_accepted(struct tickets *);
void tickets_refused(struct ticket_store *, struct tickets *, uint64_t offered_ns);
/* The peer did not take it, or the handshake failed: what was stored before the offer is dropped. */
void tickets_flush(struct ticket_store *, struct tickets *);
void tickets_check(const struct tickets *, uint32_t count_max);
