/* test/sim/sim_ask.h — one tunnel that a client asks for among others on a connection: from the asking to the
 * answer, its leaving before that, and then its end at work (sim_peer.h). How it is asked for, and taken
 * back, is its owner's business: by CONNECT over HTTP/2, or by DIAL_REQ.
 */
#pragma once

#include "io/list.h"
#include "sim_peer.h"
#include "sim_tunneller.h"

struct sim_ask {
    struct list node; /* its owner's */
    const struct sim_tunneller_options *o;
    uint32_t tunnel;
    struct sim_peer *peer;
    struct sim_event leave, cancelled;
    uint64_t asked_ns;        /* the broker may know of it; 0: not yet */
    uint64_t moved, moved_ns; /* bytes said and heard at both ends, and when there last were more */
    bool answered;            /* or given up */
    void *owner;
    void (*take_back)(struct sim_ask *);
    /* It is not wanted any more, and was not answered. */
    void (*over)(struct sim_ask *);
    /* Last of all; frees it by sim_ask_free(). */
};

struct sim_ask *sim_ask_new(const struct sim_tunneller_options *, bool whole_close);
/* Thinks up a tunnel and opens its door. whole_close: see sim_tunnel. */
struct sim_tunnel *sim_ask_tunnel(const struct sim_ask *);
void sim_ask_answered(struct sim_ask *, unsigned status, const char *text, struct sim_channel *);
/* The channel, if it stands, is its end's. May be over. */
void sim_ask_dialled(struct sim_ask *, const char *error, struct sim_channel *);
/* The same, by DIAL_RSP. */
void sim_ask_lost(struct sim_ask *, bool by_itself);
/* It will not be answered; by_itself: the client's doing. */
void sim_ask_check(struct sim_ask *, bool taken, uint64_t clear_since_ns);
/* At every step. taken: the broker has read it; clear_since_ns: see sim_h2_clear_since(). */
void sim_ask_free(struct sim_ask **);
