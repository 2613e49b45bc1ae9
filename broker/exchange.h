/* broker/exchange.h — one HTTP request and its response, or a tunnel, in two halves that meet only by
 * messages.
 *
 * The front half (front_exchange.c) lives on the worker that accepted the client, the egress half
 * (egress_exchange.c) on the home worker of the endpoint. Front to egress: OPEN, DATA, END, RESET, CREDIT.
 * Egress to front: HEAD (1xx or final), DATA, END, RESET, CREDIT. END may ride on OPEN, HEAD or DATA.
 *
 *   tunnel      CONNECTED, or a HEAD of status 101, begins both directions anew, as raw bytes. END from front
 * is then the client's half-close, FIN from egress the destination's; the last word follows when both have
 * ended. After CONNECTED egress has no credit before front gives it (exchange_release()). A tunnel shares
 * nothing, so its egress half lives on the front's own worker.
 *   last word   Egress says exactly one END or RESET per OPEN, and then forgets the exchange. Front keeps its
 * half until it has heard that word, also when the client is long gone and it said RESET. handles     Egress
 * addresses the front half by the pointer that came with OPEN. Front addresses the egress half by a slot
 * number that egress looks up per sender: a message that comes late finds the slot empty and only its buffers
 * are sent home. Slots may be reused at once, because order holds between two workers. credit      Both
 * directions start with broker_worker.budget bytes. A DATA segment comes back with CREDIT when the other
 * side's stream took it over; after the last word segments just go home.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/mailbox.h"
#include "pool/pool.h"

struct broker_worker;
struct head;

enum { EXCHANGE_BUDGET = 256 * 1024 }; /* limits.bodyBufferBytes, unless configured: broker_worker.budget */

enum exchange_kind {
    EX_OPEN,  /* seg: struct exchange_open */
    EX_HEAD,  /* seg: struct head; value: enum lease_how, retry << EX_RETRY_SHIFT; extra: phases in us, see
                 exchange_phases */
    EX_DATA,  /* seg: body bytes */
    EX_END,   /* seg: packed trailers or none; of a tunnel, front to egress: value EX_CLOSED if the client has
                 left, so that what the destination says is not wanted any more */
    EX_RESET, /* value: enum ending, retry << EX_RETRY_SHIFT, (how + 1) << EX_HOW_SHIFT if leased; extra as
                 HEAD; seg: one line of detail or none */
    EX_CREDIT,    /* value: bytes; seg: the segment that comes home */
    EX_CONNECTED, /* CONNECT: the destination is reached; value and extra as HEAD;
                     seg: its address as text where the request named it otherwise, or none */
    EX_FIN,       /* of a tunnel: the destination ended its direction */
    EX_KIND = 0xff,
    EX_WITH_END = 0x100, /* flag: nothing follows in this direction */
};

enum { EX_CLOSED = 1, EX_RETRY_SHIFT = 8, EX_HOW_SHIFT = 16, EX_VALUE = 0xff };

/* Whether a request was sent again on a fresh connection, and what proved that safe. */
enum exchange_retry {
    RETRY_NONE,
    RETRY_UNSENT,     /* the layer below had taken no byte of it */
    RETRY_IDEMPOTENT, /* the method is idempotent, no body byte was sent, no byte of a response came */
};

enum exchange_form {
    EXCHANGE_REQUEST,
    EXCHANGE_UPGRADE, /* a request that asks for 101; on a connection of its own */
    EXCHANGE_CONNECT, /* a tunnel and nothing else; OPEN carries no head */
};

/* What OPEN carries; a packed head follows in the same buffer. */
struct exchange_open {
    void *front;                                    /* opaque to egress */
    void (*deliver)(struct worker *, struct msg *); /* hears for it: exchange_deliver() or kube_deliver() */
    struct endpoint_key key;
    uint32_t identity; /* number of the key's profile, credentials.h: looked up anew where a connection is
                          leased, because the one it was judged by may be gone by then. IDENTITY_NONE: the
                          profile is the opener's own and outlives the exchange */
    enum exchange_form form;
    uint32_t lease_ms, first_byte_ms; /* first_byte_ms 0: no limit */
    struct stream *inside; /* CONNECT to a bridge: an end of a pair (io/stream_pair.h), in place of all that
                              is about a connection. Taken */
    _Alignas(16) char head[];
};

struct exchange_phases {
    uint32_t queue_us, dial_us, tls_us, first_byte_us;
};

void egress_deliver(struct worker *, struct msg *);
/* Message function for the home worker. extra[0]: slot, extra[1]: number of the sending worker. */
void exchange_deliver(struct worker *, struct msg *);
/* Message function for the front worker. to: struct exchange. */
