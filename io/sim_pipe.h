/* io/sim_pipe.h — inside of sim_net: a connection, and its two directions as pipes. For sim_net.c and
 * sim_pipe.c alone. A pipe lives in its connection, the connection until both sockets are closed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/list.h"
#include "io/net.h"
#include "io/sim_net.h"

enum sim_chunk_kind { SIM_CHUNK_DATA, SIM_CHUNK_FIN, SIM_CHUNK_RST };

struct sim_chunk {
    uint64_t at_ns;
    uint32_t len;
    enum sim_chunk_kind kind;
};

struct sim_pipe {
    struct sim_conn *conn;
    int to; /* the side that reads */
    uint8_t *bytes;
    uint32_t cap, head, used, arrived; /* arrived: of used, readable now */
    uint64_t offered, taken;           /* written and read so far */
    struct sim_chunk *chunks;
    uint32_t chunk_cap, chunk_head, chunk_count;
    struct sim_event arrival, room;
};

struct sim_conn {
    struct sim_net *net;
    struct list node;
    struct sim_sock *sides[2];
    struct sim_pipe pipes[2]; /* [n]: to side n */
    struct net_address to, from;
    struct sim_event connect, fault;
    bool blackholed;
};

void sim_pipe_init(struct sim_conn *, int to);
void sim_pipe_fini(struct sim_pipe *);
void sim_pipe_push(struct sim_pipe *, enum sim_chunk_kind, uint32_t len);
/* Sends a chunk on its way; it arrives after all before it. */
void sim_pipe_purge(struct sim_pipe *);
/* Loses what is under way. */
void sim_pipe_reset(struct sim_pipe *);
/* A reset may overtake what it followed: some of the bytes under way are lost. */
uint32_t sim_pipe_read(struct sim_pipe *, void *bytes, size_t len);
/* What has arrived, or by chance only a part of it. The writer, if it was blocked, is poked later. */
void sim_pipe_discard(struct sim_pipe *);
/* The reader closes: what lies unread makes no room any more; what still comes is thrown away as it arrives.
 */
uint32_t sim_pipe_write(struct sim_pipe *, const void *bytes, size_t len);
/* As much as there is room for, or by chance only a part of it. */

void sim_sock_fail(struct sim_sock *, int error);
/* The first error stays. As in Linux, a reset behind a FIN is EPIPE, and takes from the reader neither bytes
 * nor the end. */
void sim_poke(struct sim_sock *);
/* Tells the owner to try again; NULL is nobody. The owner may close its side: nothing is touched after. */
