/* test/unit/test_front_http2_call.c — Konnectivity's Proxy service on the HTTP/2 front, under a client made
 * of nghttp2, with exchanges that the test plays: dials, data, ends from either side, back pressure, floods.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "broker/konnectivity/proxy.h"
#include "test/support/h2_client.h"

#define CALL    "content-type=application/grpc|te=trailers"
#define MILLION 1000000ull

static struct h2_stream *call;
static struct reader answers;
static struct packet said; /* the last packet that heard() took; its texts in `room` */
static char room[512];
static uint8_t upload[1 << 20];

static struct h2_stream *open_call(const char *authority, const char *path, const char *more)
{
    struct h2_stream *s = h2_client_upload(authority, path, more);
    h2_client_turns(3);
    return s;
}

static int setup(void **state)
{
    (void)state;
    front_rig_start();
    rig.broker.times.hold_ms = 10;
    h2_client_start(false);
    answers = (struct reader){0};
    call = open_call("localhost", "/ProxyService/Proxy", CALL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reader_reset(&answers);
    h2_client_stop();
    front_rig_stop();
    return 0;
}

static void pass(uint64_t ms)
{
    rig.world.now_ns += ms * MILLION;
    h2_client_turns(3);
}

/* -- what the client says -----------------------------------------------------------------------------------
 */

static void say(size_t len)
{
    h2_client_say(call, upload, len, false);
    h2_client_turns(4);
}

static uint8_t *put_varint(uint8_t *to, uint64_t value)
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

static size_t put_dial(uint8_t *to, const char *protocol, const char *address, uint64_t random)
{
    uint8_t *at = put_text(put_text(to + 7, 0x0a, protocol), 0x12, address);
    *at++ = 0x18;
    at = put_varint(at, random);
    memcpy(to, "\0\0\0\0", 4);
    to[4] = (uint8_t)(at - to - 5);
    to[5] = 0x12;
    to[6] = (uint8_t)(at - to - 7);
    return (size_t)(at - to);
}

static void say_dial(const char *address, uint64_t random)
{
    say(put_dial(upload, "tcp", address, random));
}

static void say_data(int64_t id, uint32_t len)
{
    uint32_t head = packet_write_data_head(upload, id, len);
    memset(upload + head, 'x', len);
    say(head + len);
}

static void say_close(int64_t id)
{
    say(packet_encode(&(struct packet){.type = PACKET_CLOSE_REQ, .connect_id = id}, upload));
}

static void say_dial_close(uint8_t random)
{
    static const uint8_t packet[] = {0, 0, 0, 0, 6, 0x08, 0x05, 0x3a, 0x02, 0x08};
    memcpy(upload, packet, sizeof(packet));
    upload[sizeof(packet)] = random;
    say(sizeof(packet) + 1);
}

/* -- what it hears ------------------------------------------------------------------------------------------
 */

/* The next packet; the bytes of DATA are counted and not kept. */
static bool heard(uint32_t type)
{
    struct bytes_fifo *body = &call->body;
    struct slice left = slice_of((const char *)body->bytes + body->from, body->len);
    struct reader_failure failure;
    uint32_t data = 0;
    for (;;) {
        enum reader_result result = reader_read(&answers, &rig.world.worker.bufs, &left, &said, &failure);
        assert_int_not_equal(result, READ_FAILED);
        if (result == READ_MORE)
            break;
        data += result == READ_BYTES ? said.data.len : 0;
        if (answers.state == READER_PREFIX)
            break;
    }
    size_t used = body->len - left.len;
    body->from += used;
    body->len -= used;
    if (used == 0)
        return false;
    snprintf(room, sizeof(room), "%.*s", (int)said.error.len, said.error.data ? said.error.data : "");
    said.error = slice_of_text(room);
    said.data.len = data;
    reader_reset(&answers);
    return said.type == type;
}

static struct played *dialled(unsigned i, int64_t *ret_id)
{
    assert_true(rig.asked > i);
    play_connected(&rig.played[i]);
    h2_client_turns(2);
    assert_true(heard(PACKET_DIAL_RSP));
    assert_int_equal(said.error.len, 0);
    assert_int_not_equal(said.connect_id, 0);
    *ret_id = said.connect_id;
    return &rig.played[i];
}

static struct played *opened(const char *address, int64_t *ret_id)
{
    unsigned i = rig.asked;
    say_dial(address, 100 + i);
    struct played *p = dialled(i, ret_id);
    pass(20);
    assert_true(p->released);
    return p;
}

/* -- calls --------------------------------------------------------------------------------------------------
 */

static void a_call_is_answered_at_once(void **state)
{
    (void)state;
    assert_int_equal(call->status, 200);
    assert_string_equal(call->fields, "content-type=application/grpc;");
    assert_false(call->ended);
    assert_int_equal(rig.asked, 0);
}

static void any_authority_will_do(void **state)
{
    (void)state;
    assert_int_equal(open_call("/etc/kubernetes/konnectivity-server/konnectivity-server.socket",
                               "/ProxyService/Proxy", CALL)
                         ->status,
                     200);
    assert_int_equal(
        open_call("%2Fetc%2Fsocket", "/ProxyService/Proxy", "content-type=application/grpc+proto")->status,
        200);
}

static void what_is_no_call_is_told_so(void **state)
{
    (void)state;
    static const struct {
        const char *path, *more;
        int status;
        const char *grpc;
    } cases[] = {
        {"/ProxyService/Other",   CALL,                             200, "grpc-status=12;"},
        {"/AgentService/Connect", CALL,                             200, "grpc-status=12;"},
        {"/ProxyService/Proxy",   "content-type=text/plain",        415, "grpc-status=3;" },
        {"/ProxyService/Proxy",   "content-type=application/grpcx", 415, "grpc-status=3;" },
        {"/ProxyService/Proxy",   CALL "|grpc-encoding=gzip",       200, "grpc-status=12;"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct h2_stream *s = open_call("localhost", cases[i].path, cases[i].more);
        assert_int_equal(s->status, cases[i].status);
        assert_non_null(strstr(s->fields, cases[i].grpc));
        assert_true(s->ended);
    }
    struct h2_stream *get = h2_client_ask("GET", "localhost", "/ProxyService/Proxy", CALL);
    h2_client_turns(3);
    assert_int_equal(get->status, 405);
    struct h2_stream *other = open_call("10.0.0.1:443", "/Other.Service/Call", CALL); /* a request like any */
    assert_int_equal(rig.asked, 1);
    assert_int_equal(other->status, 0);
}

static void the_clients_end_is_answered_by_ok(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    h2_client_say(call, upload, 0, true);
    h2_client_turns(4);
    assert_string_equal(call->trailers, "grpc-status=0;");
    assert_true(call->ended);
    assert_int_equal(p->end, PLAYED_CLOSED);
}

static void a_reset_is_no_peaceful_end(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    say_dial("10.0.0.1:443", 2);
    h2_client_reset(call, NGHTTP2_CANCEL);
    h2_client_turns(3);
    assert_int_equal(p->end, PLAYED_GONE);
    assert_int_equal(rig.played[1].end, PLAYED_GONE);
    assert_int_equal(rig.played[1].reason, ENDING_CLIENT_GONE);
}

static void what_is_no_message_ends_the_call(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    memcpy(upload, "\1\0\0\0\1x", 6);
    say(6);
    assert_non_null(strstr(call->trailers, "grpc-status=12;grpc-message=compressed"));
    assert_true(call->ended);
    assert_int_equal(p->end, PLAYED_GONE);
    assert_int_equal(open_call("localhost", "/ProxyService/Proxy", CALL)->status,
                     200); /* the connection lives */
}

/* -- dials --------------------------------------------------------------------------------------------------
 */

static void a_dial_is_a_connect(void **state)
{
    (void)state;
    int64_t id;
    say_dial("[2001:db8::1]:10250", (uint64_t)1 << 62);
    struct played *p = &rig.played[0];
    assert_int_equal(rig.asked, 1);
    assert_string_equal(p->method, "CONNECT");
    assert_string_equal(p->host, "2001:db8::1");
    assert_int_equal(p->port, 10250);
    assert_int_equal(p->form, TARGET_AUTHORITY);
    assert_string_equal(p->ex.ops->protocol, "grpc");
    dialled(0, &id);
    assert_true(said.random == (int64_t)1 << 62);
}

static void a_refusal_is_told_in_words(void **state)
{
    (void)state;
    say_dial("10.0.0.1:443", 5);
    play_reset(&rig.played[0], ENDING_REFUSED);
    h2_client_turns(2);
    assert_true(heard(PACKET_DIAL_RSP));
    assert_int_equal(said.random, 5);
    assert_int_equal(said.connect_id, 0);
    assert_string_equal(room, ending_text(ENDING_REFUSED));
    assert_int_equal(rig.played[0].end, PLAYED_COMPLETE);
}

static void what_is_lost_before_its_answer_has_gone_stood_all_the_same(void **state)
{
    (void)state;
    say_dial("10.0.0.1:443", 5);
    play_connected(&rig.played[0]);
    play_reset(&rig.played[0], ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_true(heard(PACKET_DIAL_RSP));
    assert_int_not_equal(said.connect_id, 0);
    assert_string_equal(room, "");
    pass(20);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_string_equal(room, ending_text(ENDING_PEER_RESET));
}

static void a_dial_must_say_what_it_wants(void **state)
{
    (void)state;
    static const struct {
        const char *protocol, *address, *words;
    } cases[] = {
        {"udp", "10.0.0.1:443",   "the protocol is not tcp"},
        {"",    "10.0.0.1:443",   "the protocol is not tcp"},
        {"tcp", "10.0.0.1",       "has no port"            },
        {"tcp", "",               "no host"                },
        {"tcp", "a b:443",        "no host name has"       },
        {"tcp", "10.0.0.1:99999", "a port that is not"     }
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        say(put_dial(upload, cases[i].protocol, cases[i].address, i));
        assert_true(heard(PACKET_DIAL_RSP));
        assert_int_equal(said.random, i);
        assert_non_null(strstr(room, cases[i].words));
    }
    assert_int_equal(rig.asked, 0);
}

static void a_limit_refuses_one_dial_and_not_the_stream(void **state)
{
    (void)state;
    rig.refuse_from = 1;
    say_dial("10.0.0.1:443", 5);
    assert_true(heard(PACKET_DIAL_RSP));
    assert_string_equal(room, ending_text(ENDING_LIMIT));
    assert_false(call->ended);
}

static void a_dial_that_is_given_up_is_cancelled(void **state)
{
    (void)state;
    say_dial("10.0.0.1:443", 5);
    say_dial_close(5);
    assert_int_equal(rig.played[0].end, PLAYED_GONE);
    assert_int_equal(call->body.len, 0);
    say_dial_close(5); /* of nothing */
    assert_false(call->ended);
}

static void a_late_cancel_closes(void **state)
{
    (void)state;
    int64_t id;
    say_dial("10.0.0.1:443", 5);
    struct played *p = dialled(0, &id);
    say_dial_close(5);
    assert_int_equal(p->end, PLAYED_CLOSED);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_int_equal(said.connect_id, id);
    say_dial_close(5); /* of nothing */
    assert_false(call->ended);
}

static void a_cancel_means_the_dial_that_waits(void **state)
{
    (void)state;
    int64_t first_id, second_id;
    say_dial("10.0.0.1:443", 5);
    struct played *first = dialled(0, &first_id);
    say_dial("10.0.0.2:443", 5); /* a client that uses its number again */
    say_dial_close(5);
    assert_int_equal(rig.played[1].end, PLAYED_GONE);
    assert_int_equal(first->end, PLAYED_RUNS);
    say_dial("10.0.0.2:443", 5);
    struct played *second = dialled(2, &second_id);
    say_dial_close(5); /* crossed the answer just heard */
    assert_int_equal(second->end, PLAYED_CLOSED);
    assert_int_equal(first->end, PLAYED_RUNS);
    say_data(first_id, 10);
    assert_int_equal(first->received, 10);
}

static void dials_given_up_one_after_another_end_the_call(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= PROXY_CANCELS_MAX; i++) {
        assert_false(call->ended);
        say_dial("10.0.0.1:443", 5);
        say_dial_close(5);
    }
    assert_non_null(strstr(call->trailers, "grpc-status=8;"));
}

static void too_many_connections_end_the_call(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= PROXY_TUNNELS_MAX; i++) {
        assert_false(call->ended);
        say_dial("10.0.0.1:443", i);
    }
    assert_non_null(strstr(call->trailers, "grpc-status=8;"));
    for (unsigned i = 0; i < rig.asked; i++)
        assert_int_equal(rig.played[i].end, PLAYED_GONE);
}

/* -- bytes --------------------------------------------------------------------------------------------------
 */

static void the_destination_waits_for_the_client_or_a_moment(void **state)
{
    (void)state;
    int64_t id;
    say_dial("10.0.0.1:443", 1);
    struct played *p = dialled(0, &id);
    assert_false(p->released);
    pass(5);
    assert_false(p->released);
    pass(10);
    assert_true(p->released);
    say_dial("10.0.0.1:443", 2);
    p = dialled(1, &id);
    say_data(id, 1);
    assert_true(p->released);
    assert_int_equal(p->received, 1);
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    static const uint32_t sizes[] = {1, 100, 5000, 40000, 100000};
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        say_data(id, sizes[i]);
        sum += sizes[i];
        assert_int_equal(p->received, sum);
    }
    play_grant(p, (uint32_t)sum);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint32_t got = 0;
        play_data(p, upload, sizes[i], false);
        h2_client_turns(8);
        while (got < sizes[i]) {
            assert_true(heard(PACKET_DATA));
            assert_true(said.connect_id == id);
            assert_true(said.data.len > 0 && said.data.len <= PROXY_DATA_MAX);
            got += said.data.len;
        }
        assert_int_equal(got, sizes[i]);
    }
    assert_int_equal(p->credited, sum);
}

static void small_pieces_are_put_together(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    for (int i = 0; i < 100; i++)
        play_data(p, upload, 300, false);
    h2_client_turns(6);
    assert_true(heard(PACKET_DATA));
    assert_int_equal(said.data.len, 30000);
    assert_int_equal(p->credited, 30000);
}

static void data_of_an_odd_shape_passes_too(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    uint8_t *at = upload + 7;
    *at++ = 0x1a; /* the data before the connection, and both before the type */
    *at++ = 2;
    *at++ = 'o';
    *at++ = 'k';
    *at++ = 0x08;
    at = put_varint(at, (uint64_t)id);
    upload[5] = 0x22;
    upload[6] = (uint8_t)(at - upload - 7);
    *at++ = 0x08;
    *at++ = 0x04;
    memcpy(upload, "\0\0\0\0", 4);
    upload[4] = (uint8_t)(at - upload - 5);
    say((size_t)(at - upload));
    assert_int_equal(p->received, 2);
    assert_memory_equal(p->body.bytes + p->body.from, "ok", 2);
}

static void strangers_are_told_so_once(void **state)
{
    (void)state;
    say_data(0, 10);
    assert_false(heard(PACKET_CLOSE_RSP));
    say_data(4711, 10);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_int_equal(said.connect_id, 4711);
    assert_string_equal(room, "unrecognized connectID");
    say_close(4712);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_string_equal(room, "Unknown connectID");
    assert_false(call->ended);
}

static void another_calls_connection_is_a_stranger(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    call = open_call("localhost", "/ProxyService/Proxy", CALL);
    say_data(id, 10);
    assert_true(heard(PACKET_CLOSE_RSP));
    say_close(id);
    assert_int_equal(p->received, 0);
    assert_int_equal(p->end, PLAYED_RUNS);
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void close_is_answered_and_what_was_sent_goes_on(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    say_data(id, 1000);
    play_data(p, upload, 10, false); /* on its way out, and not wanted any more */
    say_close(id);
    assert_int_equal(p->received, 1000);
    assert_int_equal(p->end, PLAYED_CLOSED);
    while (heard(PACKET_DATA))
        ;
    assert_int_equal(said.type, PACKET_CLOSE_RSP);
    assert_true(said.connect_id == id);
    assert_string_equal(room, "");
    say_close(id); /* again */
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_false(call->ended);
}

static void the_destinations_end_follows_its_bytes(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    play_data(p, upload, 100000, false);
    play_fin(p);
    assert_int_equal(p->end, PLAYED_CLOSED);
    h2_client_turns(8);
    uint32_t got = 0;
    while (heard(PACKET_DATA))
        got += said.data.len;
    assert_int_equal(got, 100000);
    assert_int_equal(said.type, PACKET_CLOSE_RSP);
    assert_string_equal(room, "");
}

static void a_lost_destination_has_its_reason(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    play_data(p, upload, 10, false);
    play_reset(p, ENDING_PEER_RESET);
    h2_client_turns(3);
    assert_true(heard(PACKET_DATA));
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_string_equal(room, ending_text(ENDING_PEER_RESET));
    assert_int_equal(p->end, PLAYED_GONE);
}

/* A client that has not read its DIAL_RSP would throw the end away. */
static void a_destination_that_ends_at_once_is_told_after_a_moment(void **state)
{
    (void)state;
    int64_t id;
    say_dial("10.0.0.1:443", 1);
    play_connected(&rig.played[0]);
    play_reset(&rig.played[0], ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_true(heard(PACKET_DIAL_RSP));
    id = said.connect_id;
    assert_false(heard(PACKET_CLOSE_RSP));
    pass(20);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_true(said.connect_id == id);
}

static void an_idle_connection_is_ended(void **state)
{
    (void)state;
    int64_t id;
    rig.broker.times.tunnel_idle_ms = 1000;
    struct played *p = opened("10.0.0.1:443", &id);
    pass(900);
    say_data(id, 1);
    pass(900);
    assert_int_equal(p->end, PLAYED_RUNS);
    pass(200);
    assert_int_equal(p->reason, ENDING_IDLE_TIMEOUT);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_string_equal(room, ending_text(ENDING_IDLE_TIMEOUT));
}

static void a_drained_call_ends_when_it_carries_nothing(void **state)
{
    (void)state;
    int64_t id;
    opened("10.0.0.1:443", &id);
    rig.bw.draining = true;
    front_drain(front_rig_conn());
    h2_client_turns(3);
    assert_false(call->ended);
    say_dial("10.0.0.1:443", 9);
    assert_true(heard(PACKET_DIAL_RSP));
    assert_string_equal(room, ending_text(ENDING_DRAINING));
    say_close(id);
    assert_true(heard(PACKET_CLOSE_RSP));
    h2_client_turns(3);
    assert_non_null(strstr(call->trailers, "grpc-status=14;"));
}

/* -- back pressure ------------------------------------------------------------------------------------------
 */

static void alone_on_its_stream_a_destination_is_waited_for(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    uint32_t len = 900000, head = packet_write_data_head(upload, id, len);
    h2_client_say(call, upload, head + len, false);
    h2_client_turns(60);
    assert_true(p->received <= EXCHANGE_BUDGET);
    assert_true(call->upload_sent < 3 * EXCHANGE_BUDGET); /* the window holds the client */
    for (int s = 0; s < 60; s++)
        pass(1000);
    assert_int_equal(p->end, PLAYED_RUNS);
    for (int i = 0; i < 40 && p->received < len; i++) {
        play_grant(p, (uint32_t)(p->received - p->granted));
        h2_client_turns(20);
    }
    assert_int_equal(p->received, len);
}

static void what_was_sent_before_close_is_waited_for(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    for (int i = 0; i < 4; i++)
        say_data(id, 100000);
    say_close(id);
    assert_int_equal(p->end, PLAYED_RUNS);
    assert_false(heard(PACKET_CLOSE_RSP));
    play_data(p, upload, 100, false); /* for nobody: its credit goes back */
    assert_int_equal(p->credited, 100);
    play_grant(p, (uint32_t)p->received);
    h2_client_turns(2);
    assert_int_equal(p->received, 400000);
    assert_int_equal(p->end, PLAYED_CLOSED);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_string_equal(room, "");
}

static void one_that_stands_still_is_cut_when_it_blocks_others(void **state)
{
    (void)state;
    int64_t stalled_id, other_id;
    struct played *stalled = opened("10.0.0.1:443", &stalled_id), *other = opened("10.0.0.2:443", &other_id);
    for (int i = 0; i < 4; i++)
        say_data(stalled_id, 100000);
    say_data(other_id, 5000); /* there is room yet */
    assert_int_equal(other->received, 5000);
    pass(1100);
    assert_int_equal(stalled->end, PLAYED_GONE);
    assert_true(heard(PACKET_CLOSE_RSP));
    assert_true(said.connect_id == stalled_id);
    assert_non_null(strstr(room, "took no data"));
    for (int i = 0; i < 10; i++) {
        say_data(other_id, 100000);
        play_grant(other, (uint32_t)(other->received - other->granted));
        h2_client_turns(8);
    }
    assert_int_equal(other->received, 1005000);
}

static void one_that_stands_still_a_little_has_longer(void **state)
{
    (void)state;
    int64_t stalled_id, other_id;
    struct played *stalled = opened("10.0.0.1:443", &stalled_id);
    opened("10.0.0.2:443", &other_id);
    for (int i = 0; i < 3; i++)
        say_data(stalled_id, 100000);
    for (int s = 0; s < 8; s++)
        pass(1010);
    assert_int_equal(stalled->end, PLAYED_RUNS);
    for (int s = 0; s < 3; s++)
        pass(1010);
    assert_int_equal(stalled->end, PLAYED_GONE);
}

static void answers_overtake_the_data_of_others(void **state)
{
    (void)state;
    int64_t busy_id;
    struct played *busy = opened("10.0.0.1:443", &busy_id);
    rig.pipe->stalled = true;
    for (int i = 0; i < 4; i++)
        play_data(busy, upload, 60000, false);
    say_dial("10.0.0.2:443", 6);
    play_connected(&rig.played[1]);
    h2_client_turns(2);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    uint32_t before = 0;
    while (heard(PACKET_DATA))
        before += said.data.len;
    assert_int_equal(said.type, PACKET_DIAL_RSP);
    assert_true(before < 200000);
}

static void connections_take_turns(void **state)
{
    (void)state;
    int64_t ids[2];
    struct played *p[2] = {opened("10.0.0.1:443", &ids[0]), opened("10.0.0.2:443", &ids[1])};
    for (int i = 0; i < 2; i++)
        play_data(p[i], upload, 130000, false);
    h2_client_turns(20);
    int64_t last = 0;
    for (int i = 0; i < 8; i++) {
        assert_true(heard(PACKET_DATA));
        assert_true(said.connect_id != last);
        last = said.connect_id;
    }
}

static void a_client_that_reads_nothing_is_bounded(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = opened("10.0.0.1:443", &id);
    rig.pipe->stalled = true;
    for (int i = 0; i < 4; i++)
        play_data(p, upload, 60000, false);
    h2_client_turns(4);
    assert_true(p->credited < 240000);
    for (int i = 0; i <= PROXY_STRANGERS_MAX; i++) {
        assert_int_equal(p->end, PLAYED_RUNS);
        say_data(5000 + i, 1);
    }
    assert_int_equal(p->end, PLAYED_GONE);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    assert_non_null(strstr(call->trailers, "grpc-status=8;"));
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % below;
}

static struct played *any_exchange(bool tunnel)
{
    for (int tries = 0; tries < 8 && rig.asked > 0; tries++) {
        unsigned recent = rig.asked < 40 ? rig.asked : 40;
        struct played *p = &rig.played[rig.asked - 1 - any(recent)];
        if (p->end == PLAYED_RUNS && (p->ex.progress == EXCHANGE_TUNNEL) == tunnel)
            return p;
    }
    return NULL;
}

static int64_t any_id(void)
{
    return (int64_t)any(rig.asked + 2);
}

static bool client_may_speak(void)
{
    return !call->closed && call->upload_sent == call->upload_len && rig.asked < PLAYED_MAX - 1;
}

static void client_does_anything(void)
{
    if (!client_may_speak())
        return;
    switch (any(16)) {
    case 0: say_close(any_id()); break;
    case 1: say_dial_close((uint8_t)any(20)); break;
    case 2: say_data(any_id(), 1 + any(900000)); break;
    case 3:
        if (any(8) == 0) { /* no message */
            memcpy(upload, "\0\0\0\0\3xyz", 8);
            say(8);
        }
        break;
    case 4:
        if (any(10) == 0)
            h2_client_reset(call, NGHTTP2_CANCEL);
        break;
    case 5:
        if (any(10) == 0)
            h2_client_say(call, upload, 0, true);
        break;
    case 6:
    case 7:
    case 8: say_dial(any(4) ? "10.0.0.1:443" : "nowhere", any(20)); break;
    default: say_data(any_id(), 1 + any(30000)); break;
    }
}

static void destination_does_anything(void)
{
    struct played *dial = any_exchange(false), *p = any_exchange(true);
    if (dial && any(3) == 0)
        play_reset(dial, ENDING_REFUSED);
    else if (dial)
        play_connected(dial);
    if (!p)
        return;
    switch (any(8)) {
    case 0: play_reset(p, ENDING_PEER_RESET); break;
    case 1: play_fin(p); break;
    case 2:
    case 3: play_grant(p, (uint32_t)(p->received - p->granted)); break;
    default:
        if (p->released && p->ex.access.bytes_out - p->credited < EXCHANGE_BUDGET - 70000) {
            uint32_t len = 1 + any(70000);
            p->ex.access.bytes_out += len; /* which nobody else counts here */
            play_data(p, upload, len, false);
        }
        break;
    }
}

/* The rig asserts that every exchange settles once, and that no object and no buffer is left. */
static void whatever_comes_nothing_is_lost(void **state)
{
    for (unsigned round = 0; round < 200; round++) {
        seed = round * 7919 + 1;
        for (unsigned step = 0; step < 400 && front_rig_conn(); step++) {
            client_does_anything();
            destination_does_anything();
            rig.pipe->stalled = any(20) == 0 ? !rig.pipe->stalled : rig.pipe->stalled;
            if (any(10) == 0)
                pass(any(600));
            h2_client_turn();
            if (call->closed && any(4) == 0 && h2_client.count < 60)
                call = open_call("localhost", "/ProxyService/Proxy", CALL);
        }
        assert_false(h2_client.dead);
        teardown(state);
        setup(state);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_call_is_answered_at_once),
        T(any_authority_will_do),
        T(what_is_no_call_is_told_so),
        T(the_clients_end_is_answered_by_ok),
        T(a_reset_is_no_peaceful_end),
        T(what_is_no_message_ends_the_call),
        T(a_dial_is_a_connect),
        T(a_refusal_is_told_in_words),
        T(what_is_lost_before_its_answer_has_gone_stood_all_the_same),
        T(a_dial_must_say_what_it_wants),
        T(a_limit_refuses_one_dial_and_not_the_stream),
        T(a_dial_that_is_given_up_is_cancelled),
        T(a_late_cancel_closes),
        T(a_cancel_means_the_dial_that_waits),
        T(dials_given_up_one_after_another_end_the_call),
        T(too_many_connections_end_the_call),
        T(the_destination_waits_for_the_client_or_a_moment),
        T(bytes_pass_both_ways),
        T(small_pieces_are_put_together),
        T(data_of_an_odd_shape_passes_too),
        T(strangers_are_told_so_once),
        T(another_calls_connection_is_a_stranger),
        T(close_is_answered_and_what_was_sent_goes_on),
        T(the_destinations_end_follows_its_bytes),
        T(a_lost_destination_has_its_reason),
        T(a_destination_that_ends_at_once_is_told_after_a_moment),
        T(an_idle_connection_is_ended),
        T(a_drained_call_ends_when_it_carries_nothing),
        T(alone_on_its_stream_a_destination_is_waited_for),
        T(what_was_sent_before_close_is_waited_for),
        T(one_that_stands_still_is_cut_when_it_blocks_others),
        T(one_that_stands_still_a_little_has_longer),
        T(answers_overtake_the_data_of_others),
        T(connections_take_turns),
        T(a_client_that_reads_nothing_is_bounded),
        T(whatever_comes_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
