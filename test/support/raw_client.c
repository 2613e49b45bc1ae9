/* test/support/raw_client.c — see raw_client.h. */
#include "test/support/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct raw_client raw_client;

static nghttp2_hd_deflater *deflater;

void raw_client_start(void)
{
    memset(&raw_client, 0, sizeof(raw_client));
    front_rig_start();
    assert_int_equal(nghttp2_hd_deflate_new(&deflater, 4096), 0);
}

void raw_client_stop(void)
{
    nghttp2_hd_deflate_del(deflater);
    front_rig_stop();
}

/* -- frames -------------------------------------------------------------------------------------------------
 */

void raw_send(unsigned type, unsigned flags, uint32_t id, const void *payload, size_t len)
{
    uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,
                       (uint8_t)type,        (uint8_t)flags,      (uint8_t)(id >> 24),
                       (uint8_t)(id >> 16),  (uint8_t)(id >> 8),  (uint8_t)id};
    pipe_give(rig.pipe, head, sizeof(head));
    if (len > 0)
        pipe_give(rig.pipe, payload, len);
}

void raw_send_u32(unsigned type, uint32_t id, uint32_t value)
{
    uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                          (uint8_t)value};
    raw_send(type, 0, id, payload, sizeof(payload));
}

void raw_send_setting(unsigned id, uint32_t value)
{
    uint8_t payload[6] = {0,
                          (uint8_t)id,
                          (uint8_t)(value >> 24),
                          (uint8_t)(value >> 16),
                          (uint8_t)(value >> 8),
                          (uint8_t)value};
    raw_send(SETTINGS, 0, 0, payload, sizeof(payload));
}

size_t raw_pack(uint8_t *to, size_t room, const char *fields)
{
    nghttp2_nv nv[32];
    size_t n = 0;
    while (*fields) {
        size_t name_len = strcspn(fields, "="), len = strcspn(fields, "|");
        nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields, (uint8_t *)(uintptr_t)fields + name_len + 1,
                               name_len, len - name_len - 1, NGHTTP2_NV_FLAG_NONE};
        fields += len + (fields[len] == '|');
    }
    ssize_t used = nghttp2_hd_deflate_hd(deflater, to, room, nv, n);
    assert_true(used > 0);
    return (size_t)used;
}

void raw_ask(uint32_t id, const char *fields, unsigned flags)
{
    uint8_t block[8192];
    raw_send(HEADERS, flags | END_HEADERS, id, block, raw_pack(block, sizeof(block), fields));
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void on_frame(unsigned type, unsigned flags, uint32_t id, const uint8_t *payload, uint32_t len)
{
    assert_true(type < TYPES);
    assert_true(id < RAW_IDS);
    raw_client.frames[type]++;
    if (type == PING && (flags & ACK))
        raw_client.pings_acked++;
    if (type == GOAWAY)
        raw_client.goaway_code = get32(payload + 4);
    if (type == RST_STREAM) {
        raw_client.resets++;
        raw_client.was_reset[id] = true;
        raw_client.reset_code[id] = get32(payload);
    }
    if (type == DATA)
        raw_client.body[id] += len;
    if ((type == DATA || type == HEADERS) && (flags & END_STREAM))
        raw_client.ended[id] = true;
}

static void read_frames(void)
{
    size_t n;
    while ((n = pipe_take(rig.pipe, raw_client.left + raw_client.left_len,
                          sizeof(raw_client.left) - raw_client.left_len)) > 0) {
        size_t at = 0;
        raw_client.left_len += n;
        while (raw_client.left_len - at >= 9) {
            const uint8_t *head = raw_client.left + at;
            uint32_t len = get32(head) >> 8;
            if (raw_client.left_len - at < 9 + len)
                break;
            on_frame(head[3], head[4], get32(head + 5), head + 9, len);
            at += 9 + len;
        }
        memmove(raw_client.left, raw_client.left + at, raw_client.left_len - at);
        raw_client.left_len -= at;
    }
}

void raw_turns(int n)
{
    while (n-- > 0 && front_rig_conn()) {
        world_turn(&rig.world);
        if (front_rig_conn())
            read_frames();
    }
}

void raw_say_preface(void)
{
    pipe_give(rig.pipe, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
}

void raw_greet(void)
{
    raw_say_preface();
    raw_send(SETTINGS, 0, 0, NULL, 0);
    raw_turns(3);
    raw_send(SETTINGS, ACK, 0, NULL, 0);
    raw_turns(1);
}

uint64_t raw_counted(enum counter c)
{
    return rig.world.worker.counters.values[c];
}

void raw_assert_ended(uint32_t code)
{
    assert_int_equal(raw_client.frames[GOAWAY], 1);
    assert_int_equal(raw_client.goaway_code, code);
    assert_true(rig.pipe->owner_finished);
    for (unsigned i = 0; i < rig.asked; i++)
        assert_int_not_equal(rig.played[i].end, PLAYED_RUNS);
}

void raw_assert_flood(enum counter kind)
{
    raw_turns(4);
    raw_assert_ended(NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(raw_counted(kind), 1);
}
