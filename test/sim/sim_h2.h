/* test/sim/sim_h2.h — the client's side of an HTTP/2 connection to the broker, with nghttp2 for the protocol
 * and habits of its own: windows that are small or come late, PINGs, pauses in which nothing is read.
 *
 * A stream belongs to who opened it, until it says that it is done with it. Events come as the network brings
 * them, never from inside a call; within an event anything may be called.
 */
#pragma once

#include "io/list.h"
#include "io/sim_net.h"
#include "sim_http.h"

struct sim_channel;
struct sim_h2;
struct sim_h2_stream;

/* Chances are per thousand, of a read. */
struct sim_h2_habits {
    uint32_t window; /* of a stream at its beginning */
    uint32_t late;   /* windows are given back later */
    uint32_t pings, stalls;
    uint64_t late_max_ns, stall_max_ns;
};

struct sim_h2_stream_events {
    void (*field)(struct sim_h2_stream *, const char *name, const char *value);
    /* Of a head or of trailers; may be NULL. */
    void (*head)(struct sim_h2_stream *);
    /* The final one: see status. */
    void (*input)(struct sim_h2_stream *, const uint8_t *, size_t);
    void (*ended)(struct sim_h2_stream *);
    /* The other direction, cleanly; trailers are known by now. */
    void (*writable)(struct sim_h2_stream *);
    /* What is to be sent has become less. */
    void (*gone)(struct sim_h2_stream *);
    /* Reset, or lost with its connection; the stream frees itself. */
};

struct sim_h2_stream {
    struct list node;
    struct sim_h2 *h2;
    int32_t id;
    const struct sim_h2_stream_events *events;
    void *owner;
    struct sim_bytes out;
    uint64_t framed, heard; /* bytes of bodies: put into frames, and received */
    uint64_t unclear_ns;    /* when something last stood between the broker and this reader */
    unsigned status;
    uint32_t owed; /* received, and kept from the window */
    uint32_t reset_code;
    bool paused, out_ends, out_ended, headed, in_ended, closed, let_go;
};

struct sim_h2 *sim_h2_new(struct sim_net *, struct sim_channel *, const struct sim_h2_habits *, void *owner,
                          void (*over)(struct sim_h2 *));
/* Takes the channel. `over` comes once, after every stream is gone; the connection frees itself behind it. */
void *sim_h2_owner(const struct sim_h2 *);
void sim_h2_leave(struct sim_h2 *, bool reset);
/* Ends it, soon: by a reset, or politely. */
void sim_h2_freeze(struct sim_h2 *);
/* It neither reads nor writes any more, and its connection stays. */
bool sim_h2_is_open(const struct sim_h2 *);
/* More streams may be opened: neither side has said that it leaves. */
bool sim_h2_was_calmed(const struct sim_h2 *);
/* The broker has found that this client overdoes it. */
bool sim_h2_is_broken(const struct sim_h2 *);
/* What came was no HTTP/2. */
unsigned sim_h2_streams(const struct sim_h2 *);
void sim_h2_check(struct sim_h2 *);
/* At every step: notes whose way is not clear. */
uint64_t sim_h2_written(const struct sim_h2 *);
/* Bytes made so far, in the network or before it. */
bool sim_h2_is_taken(const struct sim_h2 *, uint64_t written);
/* The broker has read so many of them. */
uint64_t sim_h2_pong_overdue_ns(const struct sim_h2 *);
/* For so long the broker could have answered a PING, and has not. */

struct sim_h2_stream *sim_h2_open(struct sim_h2 *, const char *const fields[], unsigned pairs,
                                  const struct sim_h2_stream_events *, void *owner);
/* fields: name and value in turns. Its direction stays open until sim_h2_finish(). */
void sim_h2_write(struct sim_h2_stream *, const void *, size_t);
/* All is kept until it has gone. */
void sim_h2_finish(struct sim_h2_stream *);
void sim_h2_pause(struct sim_h2_stream *, bool paused);
/* What is received while paused is kept from the window. */
void sim_h2_close(struct sim_h2_stream *);
/* Finishes it; it is not its owner's any more. */
void sim_h2_reset(struct sim_h2_stream *, uint32_t code);
/* Likewise, at once. */
uint64_t sim_h2_clear_since(const struct sim_h2_stream *);
/* Since then what the broker says on it arrives at once; UINT64_MAX: it does not. */
