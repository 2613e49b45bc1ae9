/* test/support/agent_rig.h — several workers in one thread, near halves on them, and the far halves played by
 * the test. Without a kernel: a turn moves nothing but messages, tasks and timers.
 *
 * Its programs are linked with --wrap=agent_far_deliver. The far side keeps its part of agent.h and asserts
 * the near half's; the owner of a near half asserts the stream's contract. One rig at a time. */
#pragma once

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/konnectivity/agent_near.h"
#include "broker/konnectivity/agents.h"
#include "io/engine.h"

enum { RIG_WORKERS_MAX = 3, RIG_FARS_MAX = 4096 };

struct rig_worker {
    struct worker worker;
    struct engine engine;
    struct broker_worker bw;
};

/* A far half; what it holds of the near half's are segments not taken over yet. */
struct far {
    struct agent_near *near; /* NULL: CLOSED was said */
    struct agent_card *card;
    uint64_t id, deadline_ns;
    unsigned dialler; /* worker */
    char address[AGENT_ADDRESS_MAX];
    uint64_t credit;
    uint64_t said, heard; /* bytes towards the near half, and from it */
    struct seg held[4096];
    uint32_t held_count, held_bytes;
    unsigned credits; /* CREDIT messages */
    bool opened, ended, fin, aborted;
    enum ending abort_reason;
};

struct agent_rig {
    struct rig_worker workers[RIG_WORKERS_MAX];
    struct worker *peers[RIG_WORKERS_MAX];
    unsigned count;
    struct mailboxes *mail;
    struct broker broker;
    struct config config;
    uint64_t now_ns, seed;
    uint64_t serial;
    struct far *fars[RIG_FARS_MAX]; /* in order of DIAL; freed by agent_rig_stop() */
    unsigned far_count;
    unsigned strangers; /* messages for dials that are over */
    bool holds_aborts;  /* CLOSED does not follow ABORT by itself */
};

extern struct agent_rig agent_rig;

void agent_rig_start(unsigned workers);
void agent_rig_stop(void);
/* Asserts that every message is read, every agent forgotten, and every buffer, object and timer at home. */
void agent_rig_turn(unsigned worker);
void agent_rig_settle(void);
/* Turns until nobody has anything to do at this time. */
void agent_rig_advance_ms(uint64_t ms);
/* Moves the clock, then settles. */
struct agent_card *agent_rig_announce(unsigned home, const char *id, const char *hosts, bool default_route);
/* hosts: separated by blanks. Heard with the next turns. */
void agent_rig_withdraw(struct agent_card *);
/* Its far halves are closed with AGENT_LOST first, as its home does. */

void far_open(struct far *);
void far_data(struct far *, uint32_t len);
/* The next bytes of the pattern, within the credit (asserted). */
void far_take(struct far *, uint32_t count);
/* The oldest so many that it holds. */
void far_end(struct far *);
void far_close(struct far *, enum ending, const char *detail);
/* detail NULL: none. */
static inline struct far *far_last(void)
{
    return agent_rig.far_count ? agent_rig.fars[agent_rig.far_count - 1] : NULL;
}

/* Who has a near half, and remembers what it was told. */
struct owner {
    struct agent_near *near; /* NULL once closed */
    struct broker_worker *bw;
    bool in_call, opened, ended, finished, aborted;
    unsigned closed;
    enum ending reason;
    char detail[80];
    uint64_t granted, received; /* bytes */
    uint64_t sent, returned;    /* bytes given, and come back by `sent` */
    uint32_t segments, segments_returned;
    bool grants_back; /* what it received, at once */
    void (*on_data)(struct owner *);
};

void owner_dial(struct owner *, unsigned worker, struct agent_seen **);
/* Zeroes it first. */
void owner_grant(struct owner *, uint32_t bytes);
void owner_send(struct owner *, uint32_t len);
/* The next bytes of the pattern, in a buffer of the owner's worker. */
void owner_send_of(struct owner *, unsigned lender, uint32_t len);
/* In a buffer of another worker. */
void owner_finish(struct owner *);
void owner_abort(struct owner *, enum ending);
