/* test/support/call_rig.c — see call_rig.h. */
#include "test/support/call_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct call_rig call_rig;

struct h2_stream *call_rig_open(const char *authority, const char *path, const char *more)
{
    struct h2_stream *s = h2_client_upload(authority, path, more);
    h2_client_turns(3);
    return s;
}

void call_rig_start(void)
{
    front_rig_start();
    rig.broker.times.hold_ms = 10;
    h2_client_start(false);
    call_rig.answers = (struct reader){0};
    call_rig.call = call_rig_open("localhost", "/ProxyService/Proxy", CALL);
}

void call_rig_stop(void)
{
    reader_reset(&call_rig.answers);
    h2_client_stop();
    front_rig_stop();
}

void call_rig_pass(uint64_t ms)
{
    rig.world.now_ns += ms * MILLION;
    h2_client_turns(3);
}

/* -- what the client says -----------------------------------------------------------------------------------
 */

void call_say(size_t len)
{
    h2_client_say(call_rig.call, call_rig.upload, len, false);
    h2_client_turns(4);
}

uint8_t *call_put_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

static uint8_t *put_text(uint8_t *to, uint8_t tag, const char *text)
{
    *to++ = tag;
    *to++ = (uint8_t)strlen(text);
    memcpy(to, text, strlen(text));
    return to + strlen(text);
}

size_t call_put_dial(uint8_t *to, const char *protocol, const char *address, uint64_t random)
{
    uint8_t *at = put_text(put_text(to + 7, 0x0a, protocol), 0x12, address);
    *at++ = 0x18;
    at = call_put_varint(at, random);
    memcpy(to, "\0\0\0\0", 4);
    to[4] = (uint8_t)(at - to - 5);
    to[5] = 0x12;
    to[6] = (uint8_t)(at - to - 7);
    return (size_t)(at - to);
}

void call_say_dial(const char *address, uint64_t random)
{
    call_say(call_put_dial(call_rig.upload, "tcp", address, random));
}

void call_say_data(int64_t id, uint32_t len)
{
    uint32_t head = packet_write_data_head(call_rig.upload, id, len);
    memset(call_rig.upload + head, 'x', len);
    call_say(head + len);
}

void call_say_close(int64_t id)
{
    call_say(packet_encode(&(struct packet){.type = PACKET_CLOSE_REQ, .connect_id = id}, call_rig.upload));
}

void call_say_dial_close(uint8_t random)
{
    static const uint8_t packet[] = {0, 0, 0, 0, 6, 0x08, 0x05, 0x3a, 0x02, 0x08};
    memcpy(call_rig.upload, packet, sizeof(packet));
    call_rig.upload[sizeof(packet)] = random;
    call_say(sizeof(packet) + 1);
}

/* -- what it hears ------------------------------------------------------------------------------------------
 */

/* The next packet; the bytes of DATA are counted and not kept. */
bool call_heard(uint32_t type)
{
    struct bytes_fifo *body = &call_rig.call->body;
    struct slice left = slice_of((const char *)body->bytes + body->from, body->len);
    struct reader_failure failure;
    uint32_t data = 0;
    for (;;) {
        enum reader_result result = reader_read(&call_rig.answers, &rig.world.worker.bufs, &left,
                                                &call_rig.said, &failure);
        assert_int_not_equal(result, READ_FAILED);
        if (result == READ_MORE)
            break;
        data += result == READ_BYTES ? call_rig.said.data.len : 0;
        if (call_rig.answers.state == READER_PREFIX)
            break;
    }
    size_t used = body->len - left.len;
    body->from += used;
    body->len -= used;
    if (used == 0)
        return false;
    snprintf(call_rig.room, sizeof(call_rig.room), "%.*s", (int)call_rig.said.error.len,
             call_rig.said.error.data ? call_rig.said.error.data : "");
    call_rig.said.error = slice_of_text(call_rig.room);
    call_rig.said.data.len = data;
    reader_reset(&call_rig.answers);
    return call_rig.said.type == type;
}

struct played *call_dialled(unsigned i, int64_t *ret_id)
{
    assert_true(rig.asked > i);
    play_connected(&rig.played[i]);
    h2_client_turns(2);
    assert_true(call_heard(PACKET_DIAL_RSP));
    assert_int_equal(call_rig.said.error.len, 0);
    assert_int_not_equal(call_rig.said.connect_id, 0);
    *ret_id = call_rig.said.connect_id;
    return &rig.played[i];
}

struct played *call_opened(const char *address, int64_t *ret_id)
{
    unsigned i = rig.asked;
    call_say_dial(address, 100 + i);
    struct played *p = call_dialled(i, ret_id);
    call_rig_pass(20);
    assert_true(p->released);
    return p;
}
