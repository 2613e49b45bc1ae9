/* broker/konnectivity/packet.h — Konnectivity's packets, and gRPC's five bytes in front of each.
 *
 * Packets are protobuf-c's business, but for DATA: its head is read and written here, so that its bytes,
 * which may be megabytes, stay where they are. Whatever else comes is a few dozen bytes, and is decoded into
 * memory that the caller bounds. Pure; any thread.
 */
#pragma once

#include <stdint.h>

#include "broker/http/slice.h"

/* As numbered on the wire; other numbers may come, and are to be ignored. */
enum packet_type {
    PACKET_DIAL_REQ = 0,
    PACKET_DIAL_RSP = 1,
    PACKET_CLOSE_REQ = 2,
    PACKET_CLOSE_RSP = 3,
    PACKET_DATA = 4,
    PACKET_DIAL_CLS = 5,
    PACKET_DRAIN = 6,
};

enum {
    GRPC_PREFIX = 5, /* a flag, and the length in four bytes */
    PACKET_TEXT_MAX = 256,
    PACKET_ADDRESS_MAX = 320,
    PACKET_BYTES_MAX = PACKET_ADDRESS_MAX + 64, /* of a packet that we write, with its prefix, without data */
    PACKET_DATA_HEAD_MAX = 32, /* the longest head of DATA that is known by sight: tags, three varints of
                                  ten bytes at most, and some */
};

/* What a packet says, whichever member it says it in: absent is 0 and "". */
struct packet {
    uint32_t type;
    int64_t connect_id, random;
    struct slice protocol, address, error, data;
};

MUST_USE bool packet_decode(struct slice bytes, void *room, size_t room_len, struct packet *ret_packet);
/* The slices point into the room, which must be aligned for any object. False: no packet, or more than the
 * room holds; four times the bytes and 1 KiB are enough for whatever a stock peer sends. */
uint32_t packet_encode(const struct packet *, uint8_t to[PACKET_BYTES_MAX]);
/* With its prefix. DIAL_REQ, DIAL_RSP, CLOSE_REQ and CLOSE_RSP; an error is cut at PACKET_TEXT_MAX, an
 * address at PACKET_ADDRESS_MAX. */

int packet_data_head(const uint8_t *bytes, uint32_t len, uint32_t message_len, int64_t *ret_connect_id);
/* Whether a message of message_len bytes, of which the first `len` are here, is DATA as every known encoder
 * writes it: type, connectID, data, and nothing behind. Positive: the length of what stands before the data,
 * which is the rest of the message. 0: more is needed to tell, which cannot be with PACKET_DATA_HEAD_MAX
 * bytes. -1: it is not. */
uint32_t packet_write_data_head(uint8_t to[PACKET_BYTES_MAX], int64_t connect_id, uint32_t data_len);
/* With its prefix. data_len: not 0, an empty DATA is an end of file to the Go client. */
