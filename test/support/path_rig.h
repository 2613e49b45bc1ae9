/* test/support/path_rig.h — a pool on a scripted engine (pool_fixture.h) with scripted agents beside it: a
 * transport that answers when the test says so. One rig at a time. */
#pragma once

#include "io/list.h"
#include "pool/transport.h"
#include "test/support/pool_fixture.h"

struct path_dial {
    struct list node;
    struct dial_request request;
};

struct path_agents {
    struct transport transport;
    struct list dials; /* oldest first */
    unsigned asked, cancelled, freed;
    bool refuses; /* dial() gives NULL */
    bool busy;    /* something of a cancelled dial is left */
};

struct path_rig {
    struct pool_fixture pool;
    struct endpoint_key key; /* what path_ask() asks for; a plain one to begin with */
    struct path_agents agents;
    bool has_agents;
};

extern struct path_rig path_rig;
extern const struct pool_path path_agent_only, path_agent_first, path_direct_first;

void path_rig_start(bool with_agents, uint32_t connect_ms);
void path_rig_stop(void);
/* Asserts that the pool has freed its agents. */

void path_ask(struct client *, const struct pool_path *);
void path_assert_told(const struct client *, enum ending, const char *detail);
/* It was refused, once, in these words. */
void path_fail_direct(enum ending);
/* The oldest dial of the engine. */

struct path_dial *path_agent_asked(void);
/* The oldest dial that waits for the agents. They answer it: */
void path_agent_answers(const struct dial_answer *);
void path_agent_fails(enum ending);
void path_agent_opens(void);
