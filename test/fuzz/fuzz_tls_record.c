/* test/fuzz/fuzz_tls_record.c — libFuzzer target: what a peer of TLS 1.3 may send once the handshake is over
 * and it has the keys: data, alerts, tickets, key updates, padding, in records of any kind and order; and
 * bytes that are no records.
 *
 * The input is a row of records: an octet of flags, the type within, a length of two octets, the content.
 * Must hold: what is delivered is what was sealed as data, in order and no more than there is room for; what
 * is written stays within its span; a failure says why; nothing is left over.
 */
#include <stdlib.h>
#include <string.h>

#include "test/fuzz/fuzz.h"
#include "test/support/record_rig.h"

enum { FLAG_DAMAGED = 1, FLAG_RAW = 2, FLAG_SMALL_ROOM = 4, FLAG_PIECES = 8, FLAG_PADDED = 16 };
enum { HEAD = 4, CONTENT_MAX = 16384, RECORDS_MAX = 64, SENT_MAX = RECORDS_MAX * CONTENT_MAX };

static uint8_t sent[SENT_MAX];
static size_t sent_len, taken;

static void must(bool held)
{
    if (!held)
        abort();
}

/* The records that are there. False: the connection has ended. */
static bool read_all(struct record_rig *r, uint32_t room)
{
    for (;;) {
        uint32_t n;
        r->out.used = 0;
        enum tls_record_result result = record_rig_read(r, room, &n);
        must(n <= room && n <= sent_len - taken && memcmp(r->read, sent + taken, n) == 0);
        must(r->out.used <= r->out.cap);
        taken += n;
        if (result == TLS_RECORD_WANT_INPUT)
            return true;
        if (result == TLS_RECORD_FAILED)
            must(r->info.detail[0] != 0 && r->record->failure != ENDING_DONE);
        if (result != TLS_RECORD_OK)
            return false;
    }
}

static bool is_key_update(const struct sealed *s)
{
    return s->type == 22 && s->len == 5 && memcmp(s->bytes, "\x18\0\0\1", 4) == 0 && s->bytes[4] <= 1;
}

static bool give(struct record_rig *r, uint8_t flags, const struct sealed *s)
{
    uint32_t room = flags & FLAG_SMALL_ROOM ? 100 : RECORD_RIG_ROOM;
    r->piece = flags & FLAG_PIECES ? 1 + flags % 61u : 0;
    if (flags & FLAG_RAW) {
        record_rig_give(r, s->bytes, s->len);
        return read_all(r, room);
    }
    uint32_t len = s->len;
    uint8_t type = s->type;
    while (type == 0 && len > 0) /* the last octet that is not zero is the type */
        type = s->bytes[--len];
    if (type == 23 && !s->damaged && len > 0) {
        memcpy(sent + sent_len, s->bytes, len);
        sent_len += len;
    }
    record_rig_seal(r, s);
    if (!read_all(r, room))
        return false;
    if (is_key_update(s))
        record_rig_next_key(r);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record_rig r;
    bool goes_on = true;
    if (size < 1)
        return 0;
    sent_len = taken = 0;
    record_rig_init(&r, data[0] & 1 ? 32 : 16);
    size--;
    data++;
    for (int i = 0; i < RECORDS_MAX && goes_on && size >= HEAD; i++) {
        uint32_t len = ((uint32_t)data[2] << 8 | data[3]) % (CONTENT_MAX + 1);
        len = len < size - HEAD ? len : (uint32_t)(size - HEAD);
        goes_on = give(&r, data[0],
                       &(struct sealed){
                           .type = data[1],
                           .bytes = data + HEAD,
                           .len = len,
                           .padding = data[0] & FLAG_PADDED ? data[0] : 0,
                           .damaged = (data[0] & FLAG_DAMAGED) != 0,
                       });
        data += HEAD + len;
        size -= HEAD + len;
    }
    record_rig_fini(&r);
    return 0;
}
