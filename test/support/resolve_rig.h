/* test/support/resolve_rig.h — one worker's resolver with a name server of the test's, and questions that
 * remember how they were answered. */
#pragma once

#include "io/resolve.h"
#include "io/worker.h"
#include "test/support/dns_server.h"

struct resolve_rig {
    struct dns_server *server;
    struct mailboxes *mail;
    struct worker worker;
    struct worker *peers[1];
    struct resolver *resolver;
};

extern struct resolve_rig resolve_rig;

void resolve_rig_start(void);
void resolve_rig_stop(void);
void resolve_rig_resolver(struct resolver_options);
/* A new one, when the last was freed. It asks the server unless the options name others, and no hosts file.
 */
uint64_t resolve_rig_in_ms(uint64_t ms);
void resolve_rig_turn(void);
void resolve_rig_assert_address(const struct net_address *, const char *text);

struct question {
    struct resolve resolve;
    unsigned answers;
    enum ending ending;
    unsigned count;
    struct net_address addresses[RESOLVE_ADDRESSES_MAX];
    bool again; /* ask the same once more from inside done */
    struct question *cancels, *frees;
    const char *name;
};

void question_done(struct resolve *, enum ending, const struct net_address *, unsigned count);
void question_ask(struct question *, const char *name, uint64_t within_ms);
void resolve_rig_turn_until(const struct question *, unsigned answers);
/* At most 10 s; asserts it. */
enum ending question_now(struct question *, const char *name);
/* Zeroes it, asks, and waits. */
