/* test/support/h2_client.h — an HTTP/2 client made of nghttp2, at the other end of the front rig's pipe.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "test/support/front_rig.h"

enum { H2_STREAMS_MAX = 512 };

struct h2_stream {
    int32_t id;
    int status;        /* of the final head */
    int informational; /* how many 1xx */
    char fields[512];  /* "name=value;" of the final head, in order */
    char trailers[128];
    struct bytes_fifo body;
    uint64_t body_bytes; /* also when not kept */
    unsigned data_frames;
    bool ended, closed, reset;
    uint32_t code; /* of RST_STREAM */
    /* What it sends. */
    const uint8_t *upload;
    size_t upload_len, upload_sent;
    bool upload_open; /* there is, or will be, something to send */
    bool upload_ends;
};

struct h2_client {
    nghttp2_session *session;
    struct h2_stream streams[H2_STREAMS_MAX];
    unsigned count;
    bool drop_bodies, reads_nothing;
    unsigned settings, settings_acks, ping_acks, goaways;
    char pongs[8];                     /* the first byte of each of the first answers to PINGs */
    uint64_t body_bytes, body_at_ping; /* of all streams; when the last PING was answered */
    int32_t goaway_last[4];
    uint32_t goaway_code[4];
    bool dead; /* what came was no HTTP/2 */
};

extern struct h2_client h2_client;

void h2_client_start(bool manual_windows);
/* After front_rig_start(). Nothing is sent yet. */
void h2_client_stop(void);
void h2_client_turn(void);
/* What it has to say goes, a turn passes, what came is read. */
void h2_client_turns(int turns);

struct h2_stream *h2_client_ask(const char *method, const char *authority, const char *path,
                                const char *more);
/* A request without a body; scheme http. more: "name=value|name=value" or NULL. CONNECT: path NULL, and its
 * direction stays open. */
struct h2_stream *h2_client_upload(const char *authority, const char *path, const char *more);
/* A POST whose body is said by h2_client_say(). */
void h2_client_say(struct h2_stream *, const void *bytes, size_t len, bool ends);
/* The bytes are borrowed until they have gone; those before must have gone. */
void h2_client_reset(struct h2_stream *, uint32_t code);
bool h2_client_has_body(struct h2_stream *, const void *bytes, size_t len);
