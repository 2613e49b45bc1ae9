/* test/support/script_engine.h — an engine without kernel and time: a worker whose clock the test advances
 * and whose dialled streams do what the test says. Everything said is delivered by the next turn, in the
 * order said. One worker, one thread.
 *
 * A TLS double is part of it: linked with --wrap=tls_connect,--wrap=tls_stream_info, tls_connect() gives a
 * scripted stream too, on top of the dialled one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/engine.h"
#include "io/list.h"
#include "io/tls/tls.h"
#include "io/worker.h"

struct script_stream;

struct script_engine {
    struct engine engine;
    struct worker worker;
    struct worker *peers[1];
    struct mailboxes *mail;
    uint64_t now_ns, seed;
    struct list streams; /* not freed yet, oldest first */
    struct list events;
    unsigned dialled, alive; /* ever; not freed yet */
    bool refuse_dials;       /* dial() gives NULL */
    void (*tap)(struct script_stream *, const uint8_t *data, uint32_t len);
    /* sees what is sent; NULL: nobody does */
};

struct script_stream {
    struct stream stream;
    struct list node;
    struct script_engine *engine;
    struct net_address address;
    bool opened, peer_ended, finished, closing, closed;
    uint32_t credit;
    struct script_stream *lower; /* of a TLS stream; NULL for a dialled one */
    bool covered;                /* a dialled one that a TLS stream has taken */
    struct tls_info info;
    struct tls_expect expect;
    size_t ticket_len;
    uint8_t ticket[64]; /* offered, its beginning */
    void (*on_ticket)(struct stream *, const uint8_t *, size_t);
};

void script_start(struct script_engine *, uint64_t seed);
void script_stop(struct script_engine *);
/* Asserts that all streams were freed. */
void script_run(struct script_engine *);
/* Turns until nothing is left to do at this time. */
void script_advance_ms(struct script_engine *, uint64_t ms);
/* Moves the clock, then runs. */

struct script_stream *script_last(struct script_engine *);
/* The newest stream that is not freed; NULL. */
struct script_stream *script_dialling(struct script_engine *);
/* The oldest one that was told neither open nor closed; NULL. */
void script_open(struct script_stream *);
void script_open_tls(struct script_stream *, bool resumed, const char *version);
void script_data(struct script_stream *, const char *text);
/* Within the credit granted (asserted). */
void script_bytes(struct script_stream *, const void *bytes, uint32_t len);
/* Likewise; as one segment. */
void script_end(struct script_stream *);
void script_close(struct script_stream *, enum ending);
void script_ticket(struct script_stream *, const char *text);
/* At once: an event of its own kind. */
