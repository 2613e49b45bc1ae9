/* io/sim_net.h — a kernel in memory, for tests: virtual time, seeded chance, and sockets that behave badly on
 * purpose.
 *
 * Sockets are non-blocking and named by small numbers, as the real ones are. Whatever happens to a socket is
 * told by `poke`, from sim_net_fire() and never from inside a call; a poke says no more than "try again". One
 * thread; the same seed and the same calls give the same history, of which a running hash is kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "io/attributes.h"
#include "io/list.h"
#include "io/net.h"

struct sim_net;
struct sim_conn;

/* Something that will happen. Embedded by its owner. */
struct sim_event {
    uint64_t at_ns, order;
    uint32_t index; /* in the heap, from 1; 0: not scheduled */
    void (*fire)(struct sim_event *);
};

/* What goes wrong. Chances are per thousand; all zero is a perfect network without delay. */
struct sim_faults {
    uint32_t dial_refused, dial_unreachable, dial_hangs; /* of a connect */
    uint32_t conn_reset, conn_blackhole;                 /* of a connection, at some moment of its life */
    uint32_t short_read, short_write;                    /* of a call */
    uint32_t no_buffer;                                  /* of a read of an engine */
    uint32_t late_sent;                                  /* of a delivery of `sent` */
    uint32_t worker_held;   /* of a turn: the worker then does not turn for a while */
    uint32_t wake_spurious; /* of a choice which worker turns */
    uint64_t delay_max_ns, dial_delay_max_ns, wake_delay_max_ns, held_max_ns;
    uint64_t fault_within_ns; /* resets and blackholes strike within this time of a connection's life */
    uint32_t window_min, window_max; /* bytes a direction of a connection holds; 0: 64 KiB */
};

struct sim_sock {
    struct sim_net *net;
    struct sim_conn *conn;
    void *owner;
    void (*poke)(struct sim_sock *); /* NULL: nobody listens yet */
    int number;
    int side;  /* 0 dialled, 1 accepted */
    int error; /* errno that every call answers from now on; 0: none */
    bool connected, write_shut, fin_arrived, blocked;
    bool poke_missed; /* something happened while nobody listened */
};

enum { SIM_SILENT = -1 };

struct sim_listener {
    struct list node;
    struct sim_net *net;
    struct net_address address;
    int refusal; /* 0: connections come; errno: who dials gets this instead; SIM_SILENT: no answer at all */
    void *owner;
    void (*incoming)(struct sim_listener *, struct sim_sock *, const struct net_peer *);
};

MUST_USE int sim_net_new(uint64_t seed, const struct sim_faults *, struct sim_net **ret);
/* 0 or -ENOMEM. */
void sim_net_free(struct sim_net **);
/* Asserts that no socket and no listener is left. */
struct sim_faults *sim_net_faults(struct sim_net *);
/* May be changed at any time: a calm tail after a storm. */

uint64_t sim_now_ns(const struct sim_net *);
void sim_pass(struct sim_net *, uint64_t until_ns);
/* Sets the clock; never backwards. */
void sim_net_fire(struct sim_net *);
/* Runs every event that is due, in order of time and scheduling. */
uint64_t sim_next_event_ns(const struct sim_net *);
/* UINT64_MAX: nothing will happen by itself. */
void sim_event_at(struct sim_net *, struct sim_event *, uint64_t at_ns);
/* Schedules or moves. */
void sim_event_cancel(struct sim_net *, struct sim_event *);
/* Harmless when not scheduled. */

uint64_t sim_random(struct sim_net *);
uint64_t sim_between(struct sim_net *, uint64_t lowest, uint64_t highest);
bool sim_chance(struct sim_net *, uint32_t per_thousand);

void sim_trace(struct sim_net *, const char *what, uint64_t a, uint64_t b, uint64_t c);
/* Adds a line to the history's hash, and to the trace file if there is one. */
void sim_trace_to(struct sim_net *, FILE *);
uint64_t sim_trace_hash(const struct sim_net *);
uint64_t sim_hash_bytes(const void *bytes, size_t len);

void sim_listen(struct sim_net *, struct sim_listener *, const struct net_address *);
/* Several on one address share it, as with SO_REUSEPORT. */
void sim_unlisten(struct sim_listener *);
bool sim_is_listening(const struct sim_net *, const struct net_address *);

MUST_USE struct sim_sock *sim_connect(struct sim_net *, const struct net_address *to,
                                      const struct net_address *from);
/* from: the address the other side sees; NULL: 127.0.0.1. NULL when out of memory. */
struct sim_sock *sim_sock_of(struct sim_net *, int number);
int sim_connect_result(const struct sim_sock *);
/* 0, -EINPROGRESS or why it failed. */
ssize_t sim_recv(struct sim_sock *, void *bytes, size_t len);
/* Bytes read, 0 at the end of the other direction (also when a reset followed), -EAGAIN, or the socket's
 * error. */
ssize_t sim_send(struct sim_sock *, const void *bytes, size_t len);
/* Bytes taken, -EAGAIN (a poke follows when there is room), -EPIPE after shutdown, or the socket's error. */
uint32_t sim_readable(const struct sim_sock *);
uint64_t sim_taken(const struct sim_sock *);
/* Of what was sent here, the other side has read so many bytes. */
uint64_t sim_under_way(const struct sim_sock *);
/* So many bytes of what was sent here have not arrived at the other side. */
uint64_t sim_offered(const struct sim_sock *);
/* So many bytes the other side has sent, read here or not. */
bool sim_is_silenced(const struct sim_sock *);
/* A fault keeps back whatever is said on this connection: nothing can be owed on it. */
void sim_shutdown(struct sim_sock *);
void sim_close(struct sim_sock *);
/* Frees the socket. What was sent still arrives, unless unread bytes were left here: then the other side is
 * reset. */
void sim_reset(struct sim_sock *);
/* Frees the socket; the other side is reset and may lose what was under way. */
uint32_t sim_sockets(const struct sim_net *);
/* Open now. */
uint32_t sim_dialled_to(const struct sim_net *, const struct net_address *);
/* Sockets that dialled this address, connected or not, and are not closed by their owner. */
