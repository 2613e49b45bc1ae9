/* broker/konnectivity/reader.h — gRPC's framing and the packets in it, from bytes cut anywhere.
 *
 * The bytes of DATA are handed out as they come, in place; anything else is put together first, in one
 * buffer that is taken from the pool for as long as part of a packet is here. Owner worker only.
 */
#pragma once

#include "broker/konnectivity/packet.h"
#include "io/buf.h"

/* What gRPC calls its ends, by number. */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
};

enum {
    READER_MESSAGE_MAX = 4 * 1024 * 1024, /* what grpc-go receives at most */
    READER_PACKET_MAX = 16 * 1024, /* that is not DATA in its usual form: a dial is some 300 bytes at most */
};

enum reader_state {
    READER_PREFIX, /* of a message */
    READER_HEAD,   /* its first bytes: DATA or not? */
    READER_PACKET, /* to be decoded when complete */
    READER_DATA,   /* bytes of a DATA */
    READER_FAILED,
    READER_STATES,
};

struct reader {
    enum reader_state state;
    uint8_t head[PACKET_DATA_HEAD_MAX]; /* prefix, then first bytes of the message */
    uint32_t head_len;
    uint32_t message_len, have; /* of the message, and bytes of it that have come */
    int64_t connect_id;         /* of the DATA */
    struct buf *buf;
};

enum reader_result {
    READ_MORE,   /* all was taken */
    READ_PACKET, /* *ret_packet, good until the next call */
    READ_BYTES,  /* of DATA: ret_packet's connect_id and data, which points into what was given */
    READ_FAILED, /* for good; *ret_failure says why */
};

struct reader_failure {
    enum grpc_status status;
    const char *text;
};

MUST_USE enum reader_result reader_read(struct reader *, struct buf_pool *, struct slice *bytes,
                                        struct packet *ret_packet, struct reader_failure *ret_failure);
/* To be called until READ_MORE; takes from the front of *bytes. A zeroed reader is at its beginning. */
void reader_reset(struct reader *);
/* Gives the buffer back. */
