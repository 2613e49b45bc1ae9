/* test/support/tls_rig.h — one TLS stream over a pipe with OpenSSL at the other end, and an owner that writes
 * down every event. */
#pragma once

#include "io/tls/tls.h"
#include "test/support/certs.h"
#include "test/support/pipe_stream.h"
#include "test/support/ssl_peer.h"
#include "test/support/world.h"

/* The owner of a TLS stream. */
struct tls_owner {
    struct stream *stream; /* NULL once freed */
    struct tls_info info;  /* as it was at `open` or `closed` */
    struct bytes_fifo received;
    uint8_t *ticket;
    size_t ticket_len;
    unsigned opened, ended, closed, sent, data, tickets;
    uint64_t sent_bytes;
    uint32_t credit;  /* granted in all */
    uint32_t regrant; /* granted anew for every byte read: 0 no, 1 yes */
    uint32_t piece_max;
    enum ending reason;
    int abort_at; /* enum owner_abort */
    bool finish_on_end;
};
enum owner_abort { ABORT_NEVER, ABORT_ON_OPEN, ABORT_ON_DATA, ABORT_ON_SENT, ABORT_ON_END, ABORT_ON_TICKET };

struct tls_rig {
    struct world world;
    struct pipe *pipe; /* NULL once freed with its stream */
    struct ssl_peer peer;
    struct tls_owner owner;
    size_t before_tls; /* bytes of a former owner that the peer skips */
    bool connected;
};

struct tls_context *rig_context(const struct tls_context_options *);
/* Fails the test with the detail when it cannot be made. */

struct rig_connect {
    struct tls_context *context;
    SSL_CTX *peer;
    const char *ip, *dns, *node;
    const uint8_t *ticket;
    size_t ticket_len;
    bool server; /* the stream is the server */
    /* Its stream below had another owner, who granted so much and read for so many turns. */
    uint32_t former_credit;
    int former_turns;
    uint32_t piece; /* of the pipe */
};

void rig_init(struct tls_rig *, const struct buf_limits *);
void rig_fini(struct tls_rig *);
void rig_connect(struct tls_rig *, const struct rig_connect *);
/* Makes pipe, peer and stream; nothing has happened yet. */
void rig_step(struct tls_rig *);
/* A turn, and the peer's. */
bool rig_until(struct tls_rig *, const unsigned *counter, unsigned value, int turns);
void rig_settle(struct tls_rig *, int turns);
void rig_disconnect(struct tls_rig *);
/* Aborts what is left, waits for `closed`, frees the peer and the owner's notes. */
bool rig_send(struct tls_rig *, const void *bytes, size_t len);
/* In segments of big buffers. False when no buffer is to be had. */
uint8_t *rig_pattern(size_t len, unsigned seed);
/* So many bytes without order, to be freed. */
