/* test/support/home_rig.h — the home side of an agent: the front rig's connection, with an agent at its other
 * end that the test plays packet by packet (h2_client.h), and near halves that it plays message by message.
 * Its programs are linked with --wrap for agent_near_deliver and the token review beside the front rig's own.
 * The near halves keep their part of broker/konnectivity/agent.h and assert the far halves'. */
#pragma once

#include "broker/konnectivity/agent_call.h"
#include "broker/konnectivity/agents.h"
#include "test/support/h2_client.h"

enum { NEARS_MAX = 256 };

struct near {
    uint64_t id;
    bool opened, ended, closed;
    enum ending reason; /* of closed */
    char detail[256];
    struct bytes_fifo got;
    uint64_t credit;            /* given, and not used */
    uint32_t untaken, returned; /* bytes said: under way; taken */
    unsigned pieces;            /* DATA messages */
};

struct home_rig {
    struct h2_stream *call; /* the agent's */
    struct agent_card *card;
    struct token_check *check; /* that waits for home_review() */
    char token[256];
    unsigned reviews;
    struct near nears[NEARS_MAX];
    unsigned near_count;
    struct reader reader;
    struct packet said; /* the last packet that home_heard() took; its texts are copied */
    char address[512];
    struct bytes_fifo data; /* bytes of DATA that were heard */
    uint8_t upload[5 << 20];
    size_t upload_len;
};

extern struct home_rig home;

void home_rig_start(void);
/* With limits as the configuration has them by default, and a Connect that is answered. */
void home_rig_stop(void);
struct h2_stream *home_connect(const char *metadata);
/* Another Connect, or the first. */
void home_review(const char *why);
/* The token that was asked about is good (NULL), or is not. */
void home_pass(uint64_t ms);
/* Time passes, in small steps. */
unsigned home_known(void);
/* How many agents the worker knows. */

/* Near halves. */
struct near *near_dial(const char *address, uint32_t credit);
struct near *near_open(int64_t id, uint32_t credit);
/* Dialled, and answered by the agent with that connectID. */
void near_say(struct near *, const void *bytes, uint32_t len);
void near_credit(struct near *, uint32_t bytes);
void near_fin(struct near *);
void near_abort(struct near *);

/* The agent. Packets are put together and go with agent_flush(); agent_say_x() does both. */
void agent_put_data(int64_t id, const void *bytes, uint32_t len);
void agent_put(const struct packet *);
/* DIAL_REQ, DIAL_RSP, CLOSE_REQ or CLOSE_RSP. */
void agent_flush(void);
void agent_say(const struct packet *);
void agent_say_data(int64_t id, uint32_t len);
void agent_say_bytes(const char *bytes, size_t len);
bool agent_heard(uint32_t type);
/* The next packet is one of these; it is in home.said. */
bool agent_heard_nothing(void);
