/* test/support/pipe_stream.h — a stream in memory whose other end is in the test's hands, with settable
 * pieces and faults. Keeps the promises of io/stream.h strictly and asserts its owner's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/list.h"
#include "io/stream.h"
#include "test/support/world.h"

struct bytes_fifo {
    uint8_t *bytes;
    size_t from, len, cap;
};

struct pipe_sent {
    struct pipe_sent *next;
    struct seg seg;
};

struct pipe {
    struct stream stream;
    struct list node;
    struct world *world;
    struct pipe *peer; /* linked: what one sends the other receives; NULL: the test moves the bytes */
    struct bytes_fifo to_owner; /* test → owner */
    struct bytes_fifo from_owner;
    struct pipe_sent *sending, **sending_tail;
    uint32_t credit, credit_max; /* the most that was ever open */
    uint32_t outstanding, outstanding_max;
    uint64_t under_way;   /* bytes said to be between the owner and the peer, as in a kernel's buffer */
    uint32_t piece;       /* at most so many bytes in a segment; 0: as many as fit */
    uint32_t pieces_turn; /* segments per turn; 0: no limit */
    uint32_t take_turn;   /* bytes taken from the owner per turn; 0: no limit */
    uint32_t segs_sent;   /* segments taken */
    bool stalled;         /* takes nothing from the owner */
    bool is_open, says_open, owner_finished, owner_end_told, test_finished, reset;
    bool aborted, closed;
    enum ending abort_reason;
};

struct pipe *pipe_new(struct world *);
void pipe_link(struct pipe *, struct pipe *);
void pipe_give(struct pipe *, const void *bytes, size_t len);
/* Bytes for the owner. */
void pipe_end(struct pipe *);
/* End of the owner's input after what was given. */
void pipe_reset(struct pipe *);
size_t pipe_take(struct pipe *, void *to, size_t room);
/* Bytes the owner sent. */
void pipes_turn(struct world *);

void fifo_put(struct bytes_fifo *, const void *bytes, size_t len);
size_t fifo_get(struct bytes_fifo *, void *to, size_t room);
void fifo_free(struct bytes_fifo *);
