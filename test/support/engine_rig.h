/* test/support/engine_rig.h — two workers on one kind of engine, to check what every engine promises
 * (io/engine.h, io/stream.h): the simulated one under several seeds, the io_uring one over loopback.
 *
 * The workers are turned in one thread: worker 0 dials, worker 1 accepts. A `node` is one end of a
 * connection; it records what it is told and asserts, at every event, what must hold at every moment.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "io/worker.h"

enum { RIG_WORKERS = 2, RIG_PIECE = 30000 };

struct engine_rig {
    bool uring;
    struct worker workers[RIG_WORKERS];
    struct worker *peers[RIG_WORKERS];
    struct mailboxes *mail;
    struct sim_world *world;
    struct net_address address; /* to listen on and to dial; may be changed before */
    mode_t unix_mode;
    struct listener listener;
    bool listening, refusing;
    int accepted;
    struct node *next_accepted; /* who gets the next handle */
    unsigned adopt_on;          /* worker that adopts */
};

struct node {
    struct engine_rig *rig;
    struct stream *stream;
    struct worker *worker;
    uint64_t granted, received, sent, returned, to_send;
    uint32_t next_tag, tag_back, regrant, piece;
    uint8_t salt, peer_salt;
    int opened, ended, closed;
    enum ending reason;
    bool finish_after, abort_on_data, finished;
};

struct two {
    struct node *a, *b; /* dials; accepts */
};

extern int node_calling; /* inside a call of ours: no event may arrive */
extern struct engine_rig *engine_rig_current;

void engine_rig_sim(void (*promise)(struct engine_rig *));
void engine_rig_uring(void (*promise)(struct engine_rig *));
/* Each run has a rig of its own, in which nothing may be left. */
#define ENGINE_PROMISE_SIM(promise)                                                                          \
    static void sim_##promise(void **state)                                                                  \
    {                                                                                                        \
        (void)state;                                                                                         \
        engine_rig_sim(promise);                                                                             \
    }
#define ENGINE_PROMISE_URING(promise)                                                                        \
    static void uring_##promise(void **state)                                                                \
    {                                                                                                        \
        (void)state;                                                                                         \
        engine_rig_uring(promise);                                                                           \
    }
#define ENGINE_PROMISE(promise) ENGINE_PROMISE_SIM(promise) ENGINE_PROMISE_URING(promise)

void engine_rig_turn(struct engine_rig *);
bool engine_rig_spin(struct engine_rig *, bool (*done)(void *), void *arg);
/* Turns until `done` holds; false when it takes too long. */
void engine_rig_spin_ms(struct engine_rig *, int ms);
void engine_rig_listen(struct engine_rig *);
void engine_rig_accepted(struct listener *, int handle, const struct net_peer *);
/* The rig's own answer to whoever comes. */

extern const struct stream_events node_events;
struct node *node_new(struct engine_rig *, unsigned worker, uint8_t salt, uint8_t peer_salt);
void node_free(struct node *);
void node_dial(struct node *);
void node_grant(struct node *, uint32_t bytes);
void node_send(struct node *, uint32_t len);
void node_pump(struct node *);
/* Keeps a few segments under way until to_send is reached. */
void node_finish(struct node *);
void node_abort(struct node *, enum ending);
bool node_is_closed(void *node);
bool node_is_ended(void *node);

struct two two_join(struct engine_rig *);
void two_part(struct engine_rig *, struct two);
bool two_joined(void *two);
bool two_closed(void *two);
bool two_received(void *two);
bool two_a_is_home(void *two);
