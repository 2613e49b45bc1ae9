/* io/tls/tls_stream.h — the inside of a TLS stream, for its two halves: tls_stream.c (its life, the owner's
 * calls, the events from below) and tls_flow.c (handshake, and bytes in both directions). Owner worker only.
 */
#pragma once

#include "io/tls/tls_context.h"
#include "io/tls/tls_record.h"
#include "io/tls/tls_verify.h"
#include "io/worker.h"

enum {
    TLS_WINDOW = 128 * 1024, /* eight records: room for the next while the last is read */
    TLS_FAILING_MS = 50,     /* for an alert to arrive before a reset; a frank guess */
    TLS_MARK = 0x544c5321,   /* tag of our segments below: a former owner's come back through us as well */
    TLS_LINGER_MS = 5000,    /* for the FIN that follows a close_notify, once ours was taken; a frank guess */
};

enum tls_state {
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_LINGER,  /* both directions ended; the stream below is about to end as well */
    TLS_FAILING, /* an alert is on its way down; `reason` is set */
    TLS_CLOSING, /* the stream below is aborted, or gone and `closed` is due; `reason` is set */
    TLS_CLOSED,
};

enum tls_incoming {
    TLS_IN_OPEN,
    TLS_IN_BELOW_ENDED,
    TLS_IN_ENDED
}; /* ended below but not yet read to the end; close_notify */
enum tls_outgoing { TLS_OUT_OPEN, TLS_OUT_FINISHING, TLS_OUT_FINISHED };
enum tls_below { TLS_BELOW_OPEN, TLS_BELOW_CLOSED };

struct tls_stream {
    struct stream base;
    struct stream *lower;
    struct tls_context *context;
    struct tls_record *record; /* NULL once closed */
    struct tls_identity *expected;
    char *peer_names; /* server: see tls_verify_client() */
    void (*on_ticket)(struct stream *, const uint8_t *ticket, size_t len);
    enum tls_state state;
    enum tls_incoming incoming;
    enum tls_outgoing outgoing;
    enum tls_below below;
    enum ending lost; /* why the stream below closed behind its end, DONE: both its directions ended */
    enum ending reason;
    bool had_ticket;
    bool settled;         /* the record layer is the one that it stays with */
    uint32_t credit;      /* granted by the owner and not yet used */
    uint32_t outstanding; /* ciphertext below */
    uint32_t granted;     /* below, and not yet used */
    struct tls_queue in, plain;
    struct tls_span out;
    struct buf *out_buf; /* of `out`; NULL: none */
    struct task task;
    struct timer timer;
    struct tls_info info;
};

void tls_stream_set_state(struct tls_stream *, enum tls_state);
void tls_stream_end_now(struct tls_stream *, enum ending);
/* Ends at once. `closed` follows from below, or by the task when nothing is left below. */

/* tls_flow.c. After each the state may be any: events were delivered. */
void tls_flow_advance(struct tls_stream *);
/* Does what can be done now, in the state it is in. */
void tls_flow_read(struct tls_stream *);
/* What came from below: handshake, or up to the owner. */
void tls_flow_grant_below(struct tls_stream *);
/* Fills the window: what lies unread and what may still come are TLS_WINDOW bytes. */
bool tls_flow_is_full(const struct tls_stream *);
/* No more ciphertext may be made before some was taken below. */
