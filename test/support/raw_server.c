/* test/support/raw_server.c — see raw_server.h. */
#include "test/support/raw_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct raw_server raw_server;

void raw_server_start(void)
{
    rig_start(&raw_server.rig);
    raw_server.rig.raw = true;
}

void raw_server_stop(void)
{
    rig_stop(&raw_server.rig);
    for (unsigned i = 0; i < ARRAY_SIZE(raw_server.r); i++)
        rig_forget(&raw_server.r[i]);
}

static uint64_t count(enum counter c)
{
    return atomic_load_explicit(&raw_server.rig.engine.worker.counters.values[c], memory_order_relaxed);
}

struct rig_peer *raw_server_peer(void)
{
    return raw_server.rig.peers[raw_server.rig.peer_count - 1];
}

struct rig_peer *raw_server_begin(const char *head)
{
    rig_ask(&raw_server.rig, &raw_server.r[0], head, true);
    rig_run(&raw_server.rig);
    rig_frame(raw_server_peer(), SETTINGS, 0, 0, NULL, 0);
    rig_frame(raw_server_peer(), SETTINGS, ACK, 0, NULL, 0);
    rig_run(&raw_server.rig);
    assert_false(raw_server.r[0].reset);
    return raw_server_peer();
}

/* -- HPACK by hand: literals without a table ----------------------------------------------------------------
 */

static size_t put_string(uint8_t *to, const char *s, size_t len)
{
    size_t n = 0;
    if (len < 127) {
        to[n++] = (uint8_t)len;
    } else {
        to[n++] = 127;
        size_t rest = len - 127;
        for (; rest >= 128; rest /= 128)
            to[n++] = (uint8_t)(rest % 128 + 128);
        to[n++] = (uint8_t)rest;
    }
    memcpy(to + n, s, len);
    return n + len;
}

size_t raw_server_put_field(uint8_t *to, const char *name, size_t name_len, const char *value,
                            size_t value_len)
{
    size_t n = 1;
    to[0] = 0;
    n += put_string(to + n, name, name_len);
    return n + put_string(to + n, value, value_len);
}

size_t raw_server_put_block(uint8_t *to, const char *fields)
{
    size_t n = 0;
    while (*fields) {
        size_t len = strcspn(fields, "|"), name_len = strcspn(fields, "=");
        n += raw_server_put_field(to + n, fields, name_len, fields + name_len + 1, len - name_len - 1);
        fields += len + (fields[len] == '|');
    }
    return n;
}

void raw_server_say_headers(struct rig_peer *p, int32_t id, uint8_t flags, const char *fields)
{
    uint8_t block[4096];
    rig_frame(p, HEADERS, flags | END_HEADERS, id, block, raw_server_put_block(block, fields));
}

/* -- what the broker said -----------------------------------------------------------------------------------
 */

int64_t raw_server_said(const struct rig_peer *p, uint8_t type, int32_t id)
{
    size_t at = 24; /* the preface */
    while (at + 9 <= p->raw_len) {
        const uint8_t *f = p->raw + at;
        size_t len = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        int32_t of = (int32_t)((uint32_t)f[5] << 24 | (uint32_t)f[6] << 16 | (uint32_t)f[7] << 8 | f[8]);
        const uint8_t *code = f + 9 + (type == GOAWAY ? 4 : 0);
        if (f[3] == type && of == id)
            return (int64_t)((uint32_t)code[0] << 24 | (uint32_t)code[1] << 16 | (uint32_t)code[2] << 8 |
                             code[3]);
        at += 9 + len;
    }
    return -1;
}

void raw_server_assert_refused(const struct rig_request *q, const char *text)
{
    assert_true(q->reset);
    assert_string_equal(ending_name(q->ending), "bad_response");
    if (!strstr(q->detail, text))
        fail_msg("'%s' is not in '%s'", text, q->detail);
}

void raw_server_assert_failed(struct rig_peer *p, int64_t code)
{
    rig_run(&raw_server.rig);
    assert_true(raw_server.r[0].reset);
    assert_int_equal(raw_server.r[0].ending, ENDING_BAD_RESPONSE);
    assert_int_equal(strncmp(raw_server.r[0].detail, "HTTP/2: ", 8), 0);
    assert_int_equal(raw_server_said(p, GOAWAY, 0), code);
    assert_int_equal(count(COUNTER_http2_client_failed), 1);
    rig_advance_ms(&raw_server.rig, 2000);
    assert_int_equal(count(COUNTER_pool_shared) + count(COUNTER_pool_closing), 0);
}
