/* test/support/record_rig.h — TLS 1.3's record layer with AES-GCM alone, and a peer that seals whatever it is
 * told to. */
#pragma once

#include "io/tls/tls_record.h"
#include "test/support/world.h"

struct aead_key;

enum { RECORD_RIG_OUT = 8192, RECORD_RIG_ROOM = 20000 };

struct record_rig {
    struct world world;
    struct tls_queue in;
    struct tls_span out; /* what the record layer wrote */
    struct tls_info info;
    struct tls_record *record;
    struct tls_traffic to_us; /* the peer's side of the keys */
    struct aead_key *key;
    uint32_t piece; /* bytes of a segment; 0: as many as fit */
    uint8_t written[RECORD_RIG_OUT];
    uint8_t read[RECORD_RIG_ROOM];
};

void record_rig_init(struct record_rig *, uint32_t key_len);
/* 16 (SHA-256) or 32 (SHA-384). */
void record_rig_fini(struct record_rig *);
void record_rig_give(struct record_rig *, const uint8_t *bytes, size_t len);
/* As they are. */

struct sealed {
    uint8_t type;
    const uint8_t *bytes;
    uint32_t len, padding;
    bool damaged; /* one bit of it */
};
void record_rig_seal(struct record_rig *, const struct sealed *);
void record_rig_next_key(struct record_rig *);
/* The peer's next record is sealed by it. */
enum tls_record_result record_rig_read(struct record_rig *, uint32_t room, uint32_t *ret_len);
/* One call; what came is in `read`. */
