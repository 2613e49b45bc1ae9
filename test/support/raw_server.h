/* test/support/raw_server.h — an http2_rig.h whose destination says frames made by hand, and requests to it.
 */
#pragma once

#include "test/support/http2_frames.h"
#include "test/support/http2_rig.h"

#define GET  "GET https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n"
#define HEAD "HEAD https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n"

struct raw_server {
    struct http2_rig rig;
    struct rig_request r[64];
};

extern struct raw_server raw_server;

void raw_server_start(void);
void raw_server_stop(void);
struct rig_peer *raw_server_peer(void);
/* The last connection's. */
struct rig_peer *raw_server_begin(const char *head);
/* A connection with one request on it (stream 1), whose peer has said its SETTINGS. */

/* HPACK by hand: literals without a table. They give the length. */
size_t raw_server_put_field(uint8_t *to, const char *name, size_t name_len, const char *value,
                            size_t value_len);
size_t raw_server_put_block(uint8_t *to, const char *fields);
/* "name=value|name=value" */
void raw_server_say_headers(struct rig_peer *, int32_t id, uint8_t flags, const char *fields);

/* What the broker said. */
int64_t raw_server_said(const struct rig_peer *, uint8_t type, int32_t id);
/* The code of a frame of this type on this stream; -1: none was said. */
void raw_server_assert_refused(const struct rig_request *, const char *text);
/* As a bad response, in words with these among them. */
void raw_server_assert_failed(struct rig_peer *, int64_t code);
/* The session has ended with GOAWAY and this code, and nothing is left of it. */
