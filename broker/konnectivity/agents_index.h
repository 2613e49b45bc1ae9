/* broker/konnectivity/agents_index.h — the agents' streams that a worker knows, found by what strategies
 * choose by. Internal to agents.c and agents_choose.c. Owner worker only.
 *
 * Every set has its members in order of their arrival at the process. A strategy's keys are agents' ids or
 * hosts; the streams of one id are one agent, however many there are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/konnectivity/agents.h"

struct agents_set {
    struct agent_seen **members; /* by serial */
    uint32_t count, cap;
};

struct agents_key {
    struct agents_key *next; /* in its bucket */
    uint64_t hash;
    struct agents_set set;
    char text[];
};

struct agents_keys {
    struct agents_key **buckets;
    uint32_t mask, count;
};

struct agents_index {
    uint64_t seed;                 /* of hashes: hosts are what agents say */
    struct agents_set all, routes; /* of CONFIG_STRATEGY_DEFAULT and CONFIG_STRATEGY_DEFAULT_ROUTE */
    struct agents_keys keys[CONFIG_STRATEGIES]; /* by id, by host, by id */
};

struct agent_seen {
    struct agent_card *card;
    struct agents_key *by_id, *by_route; /* by_route NULL: not an agent for the default route */
    uint32_t halves;                     /* near halves that have not heard CLOSED */
    bool withdrawn;                      /* is in no set */
    uint64_t disliked_until_ns;          /* was silent to a dial of this worker */
};

struct agents {
    struct broker_worker *bw;
    struct agents_index index;
    uint32_t leaving; /* withdrawn, with near halves that have not heard CLOSED */
};

MUST_USE int agents_index_init(struct agents_index *, uint64_t seed);
/* 0 or -ENOMEM. */
void agents_index_fini(struct agents_index *);
/* Asserts that it is empty. */
MUST_USE struct agent_seen *agents_index_add(struct agents_index *, struct agent_card *);
/* NULL: out of memory, and nothing was added. */
struct agent_seen *agents_index_find(const struct agents_index *, const struct agent_card *);
/* NULL: not there. */
void agents_index_remove(struct agents_index *, struct agent_seen *);
/* From all sets; the object stays the caller's, to be freed. */
const struct agents_set *agents_index_host(const struct agents_index *, const char *host);
/* NULL: no agent has said it. */
bool agents_set_has(const struct agents_set *, const struct agent_seen *);
