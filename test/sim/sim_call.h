/* test/sim/sim_call.h — a gRPC call that carries Konnectivity's packets, and the connections on it, each of
 * them the channel of a tunnel's end. In both roles: a frontend, whose connections close by CLOSE_REQ, and an
 * agent, whose connections close by CLOSE_RSP.
 *
 * What is heard of a connection that its reader does not take is kept here, as far as it may grow, unless the
 * connection is alone on its call: then it is kept from the stream's window.
 */
#pragma once

#include "sim_channel.h"
#include "sim_h2.h"
#include "sim_packet.h"

enum sim_call_role { CALL_OF_FRONTEND, CALL_OF_AGENT };

struct sim_call;

struct sim_call_events {
    void (*field)(struct sim_call *, const char *name, const char *value);
    /* NULL: does not care. */
    void (*packet)(struct sim_call *, const struct sim_packet *);
    /* One that is not about a connection. */
    void (*wrong)(struct sim_call *, const char *what, int64_t id);
    /* Something that the broker must not say. */
    void (*gone)(struct sim_call *, const char *why);
    /* However it ended; its connections are gone, and it frees itself. */
};

struct sim_call {
    struct sim_net *net;
    struct sim_h2_stream *stream;
    enum sim_call_role role;
    struct sim_bytes in;
    struct list conns;
    struct sim_event end;
    const struct sim_call_events *events;
    void *owner;
    bool alone; /* carries one connection, and is reset together with it */
    bool leaving, by_reset;
};

struct sim_call *sim_call_new(struct sim_net *, struct sim_h2 *, enum sim_call_role,
                              const char *const metadata[], unsigned pairs, const struct sim_call_events *,
                              void *owner);
void sim_call_say(struct sim_call *, const struct sim_packet *);
struct sim_channel *sim_call_conn(struct sim_call *, int64_t id);
/* A connection that has been answered. */
void sim_call_break(struct sim_channel *, const char *error);
/* Closes an agent's connection with an error, and lets go of it. */
void sim_call_forget(struct sim_call *, int64_t id);
/* One that nobody wants: closes it. */
bool sim_call_has(const struct sim_call *, int64_t id);
bool sim_call_is_open(const struct sim_call *, int64_t id);
/* Neither side has closed it, as far as is known here. */
void sim_call_leave(struct sim_call *, bool reset);
/* Ends it, soon. */
void sim_call_check(struct sim_call *, uint64_t limit_ns);
/* At every step, of a frontend's: CLOSE_REQ is answered in that time, as far as the way was clear. */
