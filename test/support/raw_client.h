/* test/support/raw_client.h — an HTTP/2 client at the other end of the front rig's pipe that says any frames
 * it is told to, and counts what comes back. */
#pragma once

#include "test/support/front_rig.h"
#include "test/support/http2_frames.h"

#define OK   "HTTP/1.1 200 OK\r\n"
#define GET  ":method=GET|:scheme=http|:authority=10.0.0.1|:path=/"
#define POST ":method=POST|:scheme=http|:authority=10.0.0.1|:path=/"

enum { RAW_IDS = 8192 };

struct raw_client {
    /* What has come back. */
    unsigned frames[TYPES], pings_acked, resets;
    uint32_t goaway_code; /* of the last */
    uint32_t reset_code[RAW_IDS];
    bool was_reset[RAW_IDS], ended[RAW_IDS];
    uint64_t body[RAW_IDS];
    uint8_t left[1 << 16];
    size_t left_len;
    uint8_t pattern[EXCHANGE_BUDGET]; /* zeros, for payloads */
};

extern struct raw_client raw_client;

void raw_client_start(void);
/* Says nothing yet. */
void raw_client_stop(void);
void raw_turns(int n);
/* Until the connection is gone. */

void raw_say_preface(void);
void raw_greet(void);
/* Preface and SETTINGS, heard and answered. */
void raw_send(unsigned type, unsigned flags, uint32_t id, const void *payload, size_t len);
void raw_send_u32(unsigned type, uint32_t id, uint32_t value);
void raw_send_setting(unsigned id, uint32_t value);
size_t raw_pack(uint8_t *to, size_t room, const char *fields);
/* "name=value|name=value" compressed. */
void raw_ask(uint32_t id, const char *fields, unsigned flags);

uint64_t raw_counted(enum counter);
void raw_assert_ended(uint32_t code);
/* The connection ended in good form: GOAWAY with the code, then our direction; nothing is kept. */
void raw_assert_flood(enum counter kind);
/* And that for a flood of this kind, counted once. */
