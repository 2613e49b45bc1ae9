/* test/support/call_rig.h — a call of Konnectivity's Proxy service: the front rig's connection, and a client
 * at its other end (h2_client.h) that says and hears packets. The exchanges are played. */
#pragma once

#include "broker/konnectivity/proxy.h"
#include "test/support/h2_client.h"

#define CALL    "content-type=application/grpc|te=trailers"
#define MILLION 1000000ull

struct call_rig {
    struct h2_stream *call;
    struct reader answers;
    struct packet said; /* the last packet that call_heard() took; its texts in `room` */
    char room[512];
    uint8_t upload[1 << 20];
};

extern struct call_rig call_rig;

void call_rig_start(void);
/* With a call that is answered. */
void call_rig_stop(void);
struct h2_stream *call_rig_open(const char *authority, const char *path, const char *more);
/* Another call, or what is none. */
void call_rig_pass(uint64_t ms);
/* Time passes. */

/* What the client says. */
void call_say(size_t len);
/* So many bytes of call_rig.upload. */
uint8_t *call_put_varint(uint8_t *to, uint64_t value);
/* The place behind it. */
size_t call_put_dial(uint8_t *to, const char *protocol, const char *address, uint64_t random);
/* A DIAL_REQ with its prefix; its length. */
void call_say_dial(const char *address, uint64_t random);
void call_say_data(int64_t id, uint32_t len);
void call_say_close(int64_t id);
void call_say_dial_close(uint8_t random);

/* What it hears. */
bool call_heard(uint32_t type);
/* The next packet is one of these; it is in call_rig.said. The bytes of DATA are counted and not kept. */
struct played *call_dialled(unsigned i, int64_t *ret_id);
/* The exchange that was asked for has a connection, and the client was told so. */
struct played *call_opened(const char *address, int64_t *ret_id);
/* Dialled and released. */
