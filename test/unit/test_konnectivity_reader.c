/* test/unit/test_konnectivity_reader.c — Konnectivity's packets by the byte, as the protocol's description
 * gives them and as the Go client writes them; gRPC's framing cut at every place; and what is no packet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/konnectivity/reader.h"
#include "test/support/world.h"

static struct world world;
static struct reader reader;
static _Alignas(16) uint8_t room[4096];

static int setup(void **state)
{
    (void)state;
    world_init(&world, NULL);
    reader = (struct reader){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reader_reset(&reader);
    world_fini(&world);
    return 0;
}

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

static struct packet decoded(const uint8_t *bytes, size_t len)
{
    struct packet packet;
    assert_true(packet_decode(slice_of((const char *)bytes, len), room, sizeof(room), &packet));
    return packet;
}

static void assert_slice(struct slice got, const char *want)
{
    assert_true(slice_eq(got, slice_of_text(want)));
}

/* -- packets ------------------------------------------------------------------------------------------------
 */

/* DIAL_REQ tcp 10.0.0.1:443 random 2^62: type 0 is the default, so the first byte is the request's. */
static const uint8_t dial_req[] = {0x12, 0x1d, 0x0a, 0x03, 't',  'c',  'p',  0x12, 0x0c, '1', '0',
                                   '.',  '0',  '.',  '0',  '.',  '1',  ':',  '4',  '4',  '3', 0x18,
                                   0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40};

static void a_dial_is_read(void **state)
{
    (void)state;
    struct packet p = decoded(dial_req, sizeof(dial_req));
    assert_int_equal(p.type, PACKET_DIAL_REQ);
    assert_slice(p.protocol, "tcp");
    assert_slice(p.address, "10.0.0.1:443");
    assert_true(p.random == (int64_t)1 << 62);
}

static void each_type_has_its_member(void **state)
{
    (void)state;
    struct packet p = decoded(BYTES(0x08, 0x02, 0x2a, 0x02, 0x08, 0x01));
    assert_int_equal(p.type, PACKET_CLOSE_REQ);
    assert_int_equal(p.connect_id, 1);
    p = decoded(BYTES(0x08, 0x03, 0x32, 0x02, 0x10, 0x01));
    assert_int_equal(p.type, PACKET_CLOSE_RSP);
    assert_int_equal(p.connect_id, 1);
    p = decoded(BYTES(0x08, 0x05, 0x3a, 0x02, 0x08, 0x07));
    assert_int_equal(p.type, PACKET_DIAL_CLS);
    assert_int_equal(p.random, 7);
    p = decoded(BYTES(0x08, 0x06, 0x42, 0x00));
    assert_int_equal(p.type, PACKET_DRAIN);
    p = decoded(BYTES(0x08, 0x04, 0x22, 0x06, 0x08, 0x09, 0x1a, 0x02, 'h', 'i'));
    assert_int_equal(p.type, PACKET_DATA);
    assert_int_equal(p.connect_id, 9);
    assert_slice(p.data, "hi");
}

static void what_is_absent_or_of_another_type_reads_as_nothing(void **state)
{
    (void)state;
    struct packet p = decoded(BYTES(0x08, 0x04));
    assert_int_equal(p.type, PACKET_DATA);
    assert_int_equal(p.connect_id, 0);
    assert_int_equal(p.data.len, 0);
    p = decoded(BYTES(0x08, 0x02, 0x22, 0x02, 0x08, 0x09)); /* CLOSE_REQ with the member of DATA */
    assert_int_equal(p.type, PACKET_CLOSE_REQ);
    assert_int_equal(p.connect_id, 0);
    p = decoded(BYTES(0x08, 0x63, 0x78, 0x01)); /* a type and a field of later days */
    assert_int_equal(p.type, 99);
    p = decoded((const uint8_t *)"", 0);
    assert_int_equal(p.type, PACKET_DIAL_REQ);
    assert_slice(p.protocol, "");
}

static void what_is_no_packet_is_refused(void **state)
{
    (void)state;
    struct packet p;
    static const char *const bad[] = {"\x12", "\x12\x05\x0a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                                      "\x0a\x80", "\x22\x04\x08\x01\x1a\x09"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(packet_decode(slice_of_text(bad[i]), room, sizeof(room), &p));
    for (size_t len = 1; len < sizeof(dial_req); len++) /* cut short */
        assert_false(packet_decode(slice_of((const char *)dial_req, len), room, sizeof(room), &p));
    assert_false(
        packet_decode(slice_of((const char *)dial_req, sizeof(dial_req)), room, 64, &p)); /* no room */
}

static void answers_are_written_as_they_are_read(void **state)
{
    (void)state;
    uint8_t bytes[PACKET_BYTES_MAX];
    uint32_t len = packet_encode(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1}, bytes);
    static const uint8_t close_rsp[] = {0, 0, 0, 0, 6, 0x08, 0x03, 0x32, 0x02, 0x10, 0x01};
    assert_int_equal(len, sizeof(close_rsp));
    assert_memory_equal(bytes, close_rsp, len);
    len = packet_encode(&(struct packet){.type = PACKET_CLOSE_REQ, .connect_id = 1}, bytes);
    static const uint8_t close_req[] = {0, 0, 0, 0, 6, 0x08, 0x02, 0x2a, 0x02, 0x08, 0x01};
    assert_int_equal(len, sizeof(close_req));
    assert_memory_equal(bytes, close_req, len);

    char text[400];
    memset(text, 'x', sizeof(text));
    struct packet most = {
        .type = PACKET_DIAL_RSP, .connect_id = -1, .random = INT64_MIN, .error = {text, sizeof(text)}
    };
    len = packet_encode(&most, bytes);
    struct packet p = decoded(bytes + GRPC_PREFIX, len - GRPC_PREFIX);
    assert_int_equal(p.type, PACKET_DIAL_RSP);
    assert_true(p.connect_id == -1 && p.random == INT64_MIN);
    assert_int_equal(p.error.len, PACKET_TEXT_MAX);
}

static void data_is_known_by_its_head(void **state)
{
    (void)state;
    static const int64_t ids[] = {1, 127, 128, INT64_MAX, -1};
    static const uint32_t lengths[] = {1, 127, 128, 32768, 4 * 1024 * 1024 - 64};
    uint8_t head[PACKET_BYTES_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
            int64_t id = 0;
            uint32_t n = packet_write_data_head(head, ids[i], lengths[k]) - GRPC_PREFIX;
            uint32_t message = n + lengths[k];
            assert_int_equal(head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4], message);
            for (uint32_t have = 0; have < n; have++)
                assert_int_equal(packet_data_head(head + GRPC_PREFIX, have, message, &id), 0);
            assert_int_equal(packet_data_head(head + GRPC_PREFIX, n, message, &id), n);
            assert_true(id == ids[i]);
            assert_int_equal(packet_data_head(head + GRPC_PREFIX, n, message + 1, &id), -1); /* more behind */
        }
    }
    int64_t id;
    assert_int_equal(packet_data_head(dial_req, sizeof(dial_req), sizeof(dial_req), &id), -1);
    assert_int_equal(packet_data_head(BYTES(0x08, 0x04, 0x22, 0x02, 0x08, 0x09), 6, &id), -1); /* no data */
}

/* -- framing ------------------------------------------------------------------------------------------------
 */

/* A dial, an empty message, DATA of 300 bytes as usual, DATA with its fields the other way round, and a
 * close. */
static uint32_t conversation(uint8_t *to)
{
    static const uint8_t turned[] = {0,    0,   0,   0,    10,   0x22, 0x06, 0x1a,
                                     0x02, 'o', 'k', 0x08, 0x05, 0x08, 0x04};
    static const uint8_t empty[] = {0, 0, 0, 0, 0};
    uint8_t *at = to;
    memcpy(at, "\0\0\0\0\x1f", 5);
    memcpy(at + 5, dial_req, sizeof(dial_req));
    at += 5 + sizeof(dial_req);
    memcpy(at, empty, sizeof(empty));
    at += sizeof(empty);
    at += packet_write_data_head(at, 5, 300);
    memset(at, 'd', 300);
    at += 300;
    memcpy(at, turned, sizeof(turned));
    at += sizeof(turned);
    at += packet_encode(&(struct packet){.type = PACKET_CLOSE_REQ, .connect_id = 5}, at);
    return (uint32_t)(at - to);
}

static struct {
    unsigned packets[8], data_bytes;
} seen;

static void feed(const uint8_t *bytes, uint32_t len)
{
    struct slice left = slice_of((const char *)bytes, len);
    struct reader_failure failure;
    struct packet p;
    for (;;) {
        enum reader_result result = reader_read(&reader, &world.worker.bufs, &left, &p, &failure);
        assert_int_not_equal(result, READ_FAILED);
        if (result == READ_MORE)
            break;
        if (result == READ_PACKET)
            seen.packets[p.type]++;
        if (p.type == PACKET_DATA) {
            assert_int_equal(p.connect_id, 5);
            seen.data_bytes += p.data.len;
        }
        if (result == READ_BYTES)
            assert_int_equal(p.data.data[0], 'd');
    }
    assert_int_equal(left.len, 0);
}

static void assert_conversation(void)
{
    assert_int_equal(seen.packets[PACKET_DIAL_REQ], 2);
    assert_int_equal(seen.packets[PACKET_DATA], 1);
    assert_int_equal(seen.packets[PACKET_CLOSE_REQ], 1);
    assert_int_equal(seen.data_bytes, 302);
    assert_int_equal(reader.state, READER_PREFIX);
}

static void messages_may_be_cut_anywhere(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    uint32_t len = conversation(bytes);
    for (uint32_t at = 0; at <= len; at++) {
        memset(&seen, 0, sizeof(seen));
        feed(bytes, at);
        feed(bytes + at, len - at);
        assert_conversation();
    }
    for (uint32_t step = 1; step < 40; step++) {
        memset(&seen, 0, sizeof(seen));
        for (uint32_t at = 0; at < len; at += step)
            feed(bytes + at, len - at < step ? len - at : step);
        assert_conversation();
    }
}

static struct reader_failure failure_of(const uint8_t *bytes, size_t len)
{
    struct slice left = slice_of((const char *)bytes, len);
    struct reader_failure failure = {0};
    struct packet p;
    reader_reset(&reader);
    reader = (struct reader){0};
    assert_int_equal(reader_read(&reader, &world.worker.bufs, &left, &p, &failure), READ_FAILED);
    assert_int_equal(reader_read(&reader, &world.worker.bufs, &left, &p, &failure), READ_MORE); /* for good */
    assert_int_equal(world_buffers_used(&world), 0);
    return failure;
}

static void each_failure_has_its_status(void **state)
{
    (void)state;
    assert_int_equal(failure_of(BYTES(1, 0, 0, 0, 1, 0)).status, GRPC_UNIMPLEMENTED);
    assert_int_equal(failure_of(BYTES(2, 0, 0, 0, 1, 0)).status, GRPC_INTERNAL);
    assert_int_equal(failure_of(BYTES(0, 0, 0x40, 0, 1, 0)).status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(failure_of(BYTES(0, 0, 0, 0, 2, 0x12, 0x05)).status, GRPC_INTERNAL);
    assert_int_equal(failure_of(BYTES(0, 0, 0, 0x40, 1, 0x12, 0x05)).status, GRPC_RESOURCE_EXHAUSTED);
}

static void a_packet_that_is_not_complete_holds_one_buffer(void **state)
{
    (void)state;
    feed(BYTES(0, 0, 0, 0x30, 0, 0x12, 0x05, 0x0a));
    assert_int_equal(world_buffers_used(&world), 1);
    reader_reset(&reader);
    assert_int_equal(world_buffers_used(&world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_dial_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(each_type_has_its_member, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_absent_or_of_another_type_reads_as_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_packet_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_written_as_they_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(data_is_known_by_its_head, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_may_be_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(each_failure_has_its_status, setup, teardown),
        cmocka_unit_test_setup_teardown(a_packet_that_is_not_complete_holds_one_buffer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
