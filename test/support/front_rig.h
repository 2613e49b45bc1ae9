/* test/support/front_rig.h — one client connection over a pipe, in front of exchanges that the test plays: it
 * sees what was asked and says what the other half would say. Without judge, pool and egress. Its programs
 * are linked with --wrap for the exchange's calls (test/CMakeLists.txt), so one rig lives at a time. */
#pragma once

#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "test/support/pipe_stream.h"
#include "test/support/world.h"

enum { PLAYED_MAX = 2048 };

enum played_end { PLAYED_RUNS, PLAYED_COMPLETE, PLAYED_GONE, PLAYED_DONE, PLAYED_CLOSED };

/* The front half of an exchange as its asker sees it. */
struct played {
    struct exchange ex;
    char method[16], host[64], path[128];
    enum target_form form;
    uint16_t port;
    bool ended_at_once, expects; /* no body; Expect: 100-continue */
    char cookie[64];
    struct bytes_fifo body; /* all of it, unread */
    uint64_t received, granted, credited;
    unsigned pieces; /* exchange_body() calls */
    bool ended, released;
    char trailers[128]; /* "name=value;" */
    enum played_end end;
    enum ending reason; /* of PLAYED_GONE */
};

struct front_rig {
    struct world world;
    struct config config;
    struct config_listener listener_config;
    struct broker broker;
    struct broker_worker bw;
    struct front_listener listener;
    struct pipe *pipe;
    struct played *played;       /* PLAYED_MAX of them */
    unsigned asked, refuse_from; /* exchange_begin() refuses from this one on, for its limit; 0: never */
};

extern struct front_rig rig;

void front_rig_start(void);
void front_rig_start_agents(void);
/* The connection is of a listener that serves agents; agents.c is real. */
void front_rig_stop(void);
/* Whatever the connection is doing: it is reset. Asserts that no exchange, buffer and object is left. */
struct front_conn *front_rig_conn(void);
/* NULL when it is gone. */

void play_head(struct played *, const char *text);
/* A response head as HTTP/1.1 writes it. */
void play_data(struct played *, const void *bytes, size_t len, bool last);
void play_end(struct played *, const char *trailers);
/* The last word; trailers as HTTP/1.1 writes them with their empty line, or NULL. */
void play_connected(struct played *);
void play_fin(struct played *);
void play_reset(struct played *, enum ending);
/* The last word. Before a head it is a refusal. */
void play_grant(struct played *, uint32_t bytes);
