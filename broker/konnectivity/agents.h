/* broker/konnectivity/agents.h — which agents there are, in the eyes of one worker, and which of them a dial
 * goes through. Owner worker only; agent.h has the two calls by which a home tells all workers.
 *
 * Every worker knows every agent, so each can choose and each can answer for all. A worker that was told to
 * forget an agent chooses it no more at once, and says that it has forgotten it when the last of its near
 * halves has heard CLOSED: until then they address the card.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/konnectivity/agent.h"
#include "io/attributes.h"

struct agents;

/* An agent's stream as this worker knows it. */
struct agent_seen;

enum {
    AGENTS_TRIED_MAX = 3, /* agents that one dial goes to, one after the other */
};

/* What a dial asks for. */
struct agents_request {
    const struct agent_wish *wish;
    const char *host;                 /* of the destination, for CONFIG_STRATEGY_DEST_HOST: no brackets */
    uint64_t tried[AGENTS_TRIED_MAX]; /* serials of those that it shall not be */
    unsigned tried_count;
};

/* For readiness and metrics. */
struct agents_counts {
    uint32_t streams, draining, suspect; /* streams of all agents, and those of them that are chosen last */
    uint32_t keys[CONFIG_STRATEGIES];    /* what each strategy chooses by: agents' ids, hosts, ids */
    uint32_t ready[CONFIG_STRATEGIES];   /* of those, with a stream that neither drains nor is suspect */
};

MUST_USE int agents_new(struct broker_worker *, struct agents **ret);
/* 0 or -ENOMEM. Before the first turn. */
void agents_free(struct agents **);
/* Asserts that all agents are forgotten: after the last message was delivered. */

struct agent_seen *agents_choose(struct agents *, const struct agents_request *);
/* NULL: no strategy has one. What comes back is held, and counted in its card's load, until
 * agents_let_go(). */
void agents_let_go(struct agents *, struct agent_seen **);
/* CLOSED was heard. Nulls the pointer. */
void agents_note_dial(struct agents *, struct agent_seen *, bool answered);
/* A dial through it was answered, or the agent was silent: it is a little less liked for a while. */
struct agent_card *agents_card(const struct agent_seen *);

void agents_count(const struct agents *, struct agents_counts *ret_counts);
/* Walks all of them. */
void agents_each(const struct agents *, bool (*visit)(const struct agent_card *, void *), void *arg);
/* Every stream, in no order; stops when visit returns false. */
