/* test/sim/sim_tunnel.h — what every tunnel of a simulated world was meant to be, and what became of it.
 *
 * A tunnel is asked for by a client (CONNECT or an upgrade) and has two ends, each with a script. What an end
 * says is a function of its number and the place of the byte; it begins with a preamble that names the
 * number, so whoever reads it knows who speaks: a byte of another tunnel, or one lost, repeated or moved, is
 * recognised at once. An end that was dialled at an address of many tunnels learns by that whom it was
 * dialled for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/ending.h"
#include "sim_ledger.h"

struct sim_net;
struct sim_peer;

enum { SIM_PREAMBLE = 8 };

/* What the destination does. The first are doors, for CONNECT; the others answer an upgrade. */
#define SIM_DESTINATIONS(X)                                                                                  \
    X(OPEN, "accepts")                                                                                       \
    X(SHARED, "accepts at an address of many")                                                               \
    X(REFUSES, "refuses")                                                                                    \
    X(UNREACHABLE, "is unreachable")                                                                         \
    X(SILENT, "never answers the dial")                                                                      \
    X(FORBIDDEN, "is in no route")                                                                           \
    X(SWITCHES, "answers 101")                                                                               \
    X(FOREIGN, "answers 101 for another protocol")                                                           \
    X(HASTY, "answers 101 before the request's body has come")                                               \
    X(ORDINARY, "answers as to any request")                                                                 \
    X(CUTS, "ends within its 101")                                                                           \
    X(BREAKS, "resets within its 101")                                                                       \
    X(MUTE, "never answers")

enum sim_destination {
#define X(symbol, text) DESTINATION_##symbol,
    SIM_DESTINATIONS(X)
#undef X
        DESTINATION_COUNT,
    DESTINATION_FIRST_UPGRADE = DESTINATION_SWITCHES,
};

/* What an end does once the tunnel stands. */
struct sim_script {
    uint32_t len;        /* it says so many bytes, preamble included: none, or at least a preamble */
    bool echo;           /* says what it hears instead */
    bool waits;          /* until it was spoken to, or the other's end was heard */
    bool ends_last;      /* ends its direction when the other has; else as soon as it has said all */
    uint32_t ends_after; /* and has heard so much, or the other's end */
    uint64_t delay_ns;
    uint32_t piece_max, pauses; /* bytes of a write; per thousand, a pause after it */
    uint64_t pause_max_ns;
    uint32_t stops_at;  /* having heard so much it reads nothing for stop_ns; UINT64_MAX: for good */
    uint64_t stop_ns;   /* 0: never */
    uint32_t breaks_at; /* having said and heard so much it resets; UINT32_MAX: never */
    uint64_t life_ns;   /* then it resets, whatever is missing; UINT64_MAX: never */
};

/* One of the two ends, and what it did and heard. */
struct sim_end {
    uint32_t id;
    enum sim_side side; /* REQUEST: the client's, ANSWER: the destination's */
    uint32_t tunnel;    /* 0: not known yet */
    uint32_t other;     /* the end at the other side; 0: not known, or there is none */
    struct sim_script script;
    struct sim_peer *peer;          /* while it lives */
    uint64_t said, heard;           /* bytes given to the connection, and got from it */
    uint8_t preamble[SIM_PREAMBLE]; /* heard */
    uint32_t speaker;      /* whose words it hears: the other end's, or its own from one that echoes */
    bool ended, end_heard; /* cleanly: its own direction, the other's */
    bool ended_first;      /* had ended when it heard the end */
    bool broke;            /* reset it, or left in a way that may be one */
    bool lost;             /* heard that it is gone, in any way but an end */
    uint64_t broke_ns;
};

enum sim_leaving { LEAVES_NOT, LEAVES_BY_END, LEAVES_BY_RESET };

#define SIM_TUNNEL_OUTCOMES(X)                                                                               \
    X(PENDING) /* not answered */                                                                            \
    X(STOOD)   /* 200 or 101 */                                                                              \
    X(REFUSED) /* any other answer, the destination's own or the broker's */                                 \
    X(LOST)    /* the connection ended without an answer */                                                  \
    X(LEFT)    /* the client left before */

enum sim_tunnel_outcome {
#define X(symbol) TUNNEL_##symbol,
    SIM_TUNNEL_OUTCOMES(X)
#undef X
        TUNNEL_OUTCOMES
};

struct sim_tunnel {
    uint32_t id;
    enum sim_destination destination;
    unsigned backend;
    uint32_t client;       /* its end */
    struct sim_script far; /* of the end at the destination; of a door of all, whether it may break off */
    uint32_t early;        /* bytes the client says before it is answered */
    bool early_end;        /* and its end, too */
    uint64_t patience_ns;  /* an end that reads nothing for so long may be cut; 0: long */
    bool by_agent;    /* what breaks one end off may be an end to the other; so may the loss of the agent */
    bool whole_close; /* its protocol, or its path, has no half-close: the first end is the end of both */
    enum sim_leaving leaving;
    uint64_t leaves_ns; /* after it has asked */
    /* Upgrades. */
    const char *protocol;
    uint32_t request_len; /* of a body */
    bool request_chunked;
    unsigned answer_status; /* of an ordinary answer, with its body */
    uint32_t answer_len;
    bool answer_until_close;
    uint32_t answer_early; /* bytes of the tunnel in the same write as the 101 */
    uint64_t delay_ns;
    bool untrusted; /* the backend cannot prove who it is */
    /* What happened. */
    enum sim_tunnel_outcome outcome;
    unsigned status, seen; /* seen: connections accepted, or requests read, for it */
    enum ending reason;    /* as the answer says */
    uint64_t asked_ns, answered_ns;
    bool excused; /* the client's own doing, or a fault, may be behind what happened */
};

struct sim_tunnels {
    struct sim_net *net;
    struct sim_ledger *ledger;
    struct sim_tunnel *tunnels;
    struct sim_end *ends;
    uint32_t count, cap, end_count, end_cap;
    uint32_t outcomes[TUNNEL_OUTCOMES];
    uint64_t bytes;   /* heard by all ends */
    uint64_t endings; /* a bit for each that chance may cause in this world, beside the destination */
    bool calm, draining, whole_closes, by_agents; /* the last two: of any tunnel */
    bool plain_ends; /* agents tell the reset of a destination as its end, as stock ones do */
};

void sim_tunnels_fini(struct sim_tunnels *);
struct sim_tunnel *sim_tunnel_add(struct sim_tunnels *);
/* Numbered from 1, with its client's end. Valid until the next call: keep the number. */
struct sim_tunnel *sim_tunnel_find(struct sim_tunnels *, uint32_t id);
/* NULL when there is none. */
struct sim_end *sim_end_add(struct sim_tunnels *, enum sim_side, uint32_t tunnel);
/* tunnel: 0 when not known yet. Else the two ends are joined. Valid until the next call. */
struct sim_end *sim_end_find(struct sim_tunnels *, uint32_t id);
void sim_tunnel_violation(struct sim_tunnels *, uint32_t tunnel, const char *fmt, ...) PRINTF(3, 4);
const char *sim_destination_text(enum sim_destination);

uint32_t sim_upgrade_id(uint32_t tunnel);
/* What its request and its ordinary answer go by: no exchange has such a number. */
void sim_tunnel_fill(uint32_t end, uint64_t at, uint8_t *bytes, size_t len);
void sim_tunnel_hear(struct sim_tunnels *, uint32_t end, const uint8_t *bytes, size_t len);
/* Checks every byte of what this end got, and learns from the preamble whose they are. */
void sim_tunnel_hear_end(struct sim_tunnels *, uint32_t end);
/* A clean one: all that the other said must have come, and it must have ended. */

void sim_tunnel_answered(struct sim_tunnels *, uint32_t id, unsigned status, const char *reason);
/* Judges what the client is told against what the destination does. */
void sim_tunnel_dialled(struct sim_tunnels *, uint32_t id, const char *error);
/* The same where there is no status: an error, or "". */
void sim_tunnel_over(struct sim_tunnels *, uint32_t id, enum sim_tunnel_outcome);
/* It was not answered, and never will be. */
void sim_tunnel_judge(struct sim_tunnels *);
/* At the end of the world. */
