/* test/unit/test_egress_bridge.c — the egress half of a tunnel that ends in this process: between the
 * messages of a front half, played here, and whoever owns the other end of the pair of streams, in the place
 * of TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "broker/broker_worker.h"
#include "broker/egress.h"
#include "io/mailbox.h"
#include "io/stream_pair.h"
#include "test/support/world.h"

enum { BUDGET = 64 * 1024, BYTES_MAX = 256 * 1024 };

/* What the front half heard. */
static struct {
    unsigned connected, fins, ends, resets, data_messages;
    uint8_t bytes[BYTES_MAX];
    uint32_t len, credited;
    enum ending reason;
    uint32_t how;
} front;

/* What the bridge heard. */
static struct {
    struct stream *stream;
    uint8_t bytes[BYTES_MAX];
    uint32_t len, sent;
    unsigned ends, closed;
    enum ending reason;
    bool takes; /* grants again what it was given */
} inside;

static struct world world;
static struct broker_worker bw;
static struct egress_table table;
static uint8_t pattern[BYTES_MAX];

static void front_hears(struct worker *w, struct msg *msg)
{
    assert_int_equal(front.ends + front.resets, 0); /* nothing after the last word */
    assert_ptr_equal(msg->to, &front);
    switch ((enum exchange_kind)(msg->kind & EX_KIND)) {
    case EX_CONNECTED:
        front.connected++;
        front.how = msg->value;
        break;
    case EX_DATA:
        memcpy(front.bytes + front.len, msg->seg.data, msg->seg.len);
        front.len += msg->seg.len;
        front.data_messages++;
        break;
    case EX_CREDIT: front.credited += msg->value; break;
    case EX_FIN: front.fins++; break;
    case EX_END: front.ends++; break;
    case EX_RESET:
        front.resets++;
        front.reason = (enum ending)(msg->value & EX_VALUE);
        front.how = msg->value >> EX_HOW_SHIFT;
        break;
    case EX_OPEN:
    case EX_HEAD:
    case EX_KIND:
    case EX_WITH_END: fail_msg("not a message to the front half of a tunnel");
    }
    if (msg->seg.buf)
        worker_release_seg(w, msg->seg);
}

static void on_open(struct stream *s)
{
    (void)s;
    fail_msg("it is open from the beginning");
}

static void on_data(struct stream *s, struct seg seg)
{
    memcpy(inside.bytes + inside.len, seg.data, seg.len);
    inside.len += seg.len;
    worker_release_seg(&world.worker, seg);
    if (inside.takes)
        stream_grant(s, seg.len);
}

static void on_sent(struct stream *s, struct seg seg)
{
    (void)s;
    inside.sent += seg.len;
    worker_release_seg(&world.worker, seg);
}

static void on_end(struct stream *s)
{
    (void)s;
    inside.ends++;
}

static void on_closed(struct stream *s, enum ending reason)
{
    inside.closed++;
    inside.reason = reason;
    stream_free(s);
}

static const struct stream_events events = {on_open, on_data, on_sent, on_end, on_closed};

/* -- the two sides ------------------------------------------------------------------------------------------
 */

static struct seg copy_of(const void *bytes, uint32_t len)
{
    struct buf *b = buf_get_bytes(&world.worker.bufs, len);
    assert_non_null(b);
    memcpy(b->mem, bytes, len);
    return (struct seg){b, b->mem, len, 0};
}

static void post(uint32_t kind, struct seg seg, uint32_t value)
{
    struct msg msg = {
        .deliver = egress_deliver, .seg = seg, .kind = kind, .value = value, .extra = {0, 0}
    };
    mailbox_post(&world.worker, 0, &msg);
}

static void turns(void)
{
    world_turns(&world, 6);
}

static void speak(uint32_t at, uint32_t len)
{
    stream_send(inside.stream, copy_of(pattern + at, len));
}

static void say(uint32_t at, uint32_t len)
{
    post(EX_DATA, copy_of(pattern + at, len), 0);
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 11 + (i >> 8));
    memset(&front, 0, sizeof(front));
    memset(&inside, 0, sizeof(inside));
    world_init(&world, NULL);
    memset(&bw, 0, sizeof(bw));
    memset(&table, 0, sizeof(table));
    bw.worker = &world.worker;
    bw.budget = BUDGET;
    bw.by_sender = &table;
    world.worker.app = &bw;
    slab_init(&bw.egresses, "egresses", sizeof(struct egress), 1);
    slab_init(&bw.stream_pairs, "pairs", sizeof(struct stream_pair), 2);
    slab_init(&bw.seg_nodes, "nodes", sizeof(struct segq_node), 1000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(front.ends + front.resets, 1); /* one last word */
    assert_int_equal(inside.closed, 1);
    assert_int_equal(bw.egresses.used + bw.stream_pairs.used + bw.seg_nodes.used, 0);
    slab_fini(&bw.egresses);
    slab_fini(&bw.stream_pairs);
    slab_fini(&bw.seg_nodes);
    free(table.slots);
    world_fini(&world);
    return 0;
}

static void begin(void)
{
    struct stream *ends[2];
    assert_true(stream_pair_new(&world.worker, &bw.stream_pairs, &bw.seg_nodes, ends));
    inside.stream = ends[1];
    stream_pair_bind(ends[1], &events, &inside);
    struct exchange_open open = {
        .front = &front, .deliver = front_hears, .form = EXCHANGE_CONNECT, .inside = ends[0]};
    post(EX_OPEN, copy_of(&open, sizeof(open)), 0);
}

static void begin_open(void)
{
    begin();
    inside.takes = true;
    stream_grant(inside.stream, BUDGET);
    post(EX_CREDIT, (struct seg){0}, BUDGET);
    turns();
    assert_int_equal(front.connected, 1);
}

static void end_both(void)
{
    post(EX_END, (struct seg){0}, 0);
    stream_finish(inside.stream);
    post(EX_CREDIT, (struct seg){0}, 1000);
    stream_grant(inside.stream, 1000);
    turns();
}

/* -- what they promise --------------------------------------------------------------------------------------
 */

static void it_is_connected_at_once_by_no_lease(void **state)
{
    (void)state;
    begin();
    turns();
    assert_int_equal(front.connected, 1);
    assert_int_equal(front.how, 0);
    end_both();
}

static void the_bridge_is_not_heard_before_the_front_allows_it(void **state)
{
    (void)state;
    begin();
    speak(0, 5000);
    turns();
    assert_int_equal(front.len, 0);
    assert_int_equal(inside.sent, 0);
    post(EX_CREDIT, (struct seg){0}, 3000);
    turns();
    assert_int_equal(front.len, 3000);
    post(EX_CREDIT, (struct seg){0}, 3000);
    turns();
    assert_int_equal(front.len, 5000);
    assert_memory_equal(front.bytes, pattern, 5000);
    assert_int_equal(inside.sent, 5000);
    end_both();
    assert_int_equal(front.ends, 1);
}

static void the_client_gets_credit_for_what_the_bridge_took(void **state)
{
    (void)state;
    begin();
    turns();
    say(0, 40000);
    say(40000, 300);
    say(40300, 20000);
    turns();
    assert_int_equal(front.credited, 0);
    stream_grant(inside.stream, 40000);
    turns();
    assert_int_equal(inside.len, 40000);
    assert_int_equal(front.credited, 40000);
    stream_grant(inside.stream, 40000);
    turns();
    assert_int_equal(inside.len, 60300);
    assert_memory_equal(inside.bytes, pattern, 60300);
    assert_int_equal(front.credited, 60300);
    end_both();
}

static void each_direction_ends_by_itself(void **state)
{
    (void)state;
    begin_open();
    say(0, 100);
    post(EX_END, (struct seg){0}, 0);
    turns();
    assert_int_equal(inside.len, 100);
    assert_int_equal(inside.ends, 1);
    assert_int_equal(front.fins + front.ends, 0);
    speak(0, 2000);
    stream_finish(inside.stream);
    turns();
    assert_int_equal(front.len, 2000);
    assert_int_equal(front.fins, 1);
    assert_int_equal(front.ends, 1);
    assert_int_equal(inside.reason, ENDING_DONE);
}

static void a_client_that_is_lost_ends_the_bridge(void **state)
{
    (void)state;
    begin_open();
    say(0, 100);
    post(EX_RESET, (struct seg){0}, ENDING_CLIENT_GONE);
    turns();
    assert_int_equal(inside.reason, ENDING_CANCELLED);
    assert_int_equal(inside.ends, 0);
    assert_int_equal(front.resets, 1);
}

static void a_client_that_is_lost_at_once_ends_it_too(void **state)
{
    (void)state;
    begin();
    post(EX_RESET, (struct seg){0}, ENDING_CLIENT_GONE);
    turns();
    assert_int_equal(inside.closed, 1);
}

static void a_bridge_that_gives_up_tells_why(void **state)
{
    (void)state;
    begin_open();
    say(0, 100);
    turns();
    stream_abort(inside.stream, ENDING_TLS_UNTRUSTED);
    say(100, 100); /* crosses it: finds nobody, and is released */
    turns();
    assert_int_equal(front.reason, ENDING_TLS_UNTRUSTED);
    assert_int_equal(front.how, 0); /* nothing was leased */
}

static void one_that_gave_up_before_the_open_arrived_tells_why(void **state)
{
    (void)state;
    begin();
    stream_abort(inside.stream, ENDING_DRAINING);
    turns();
    assert_int_equal(front.connected, 1);
    assert_int_equal(front.reason, ENDING_DRAINING);
}

static void a_reset_after_the_end_takes_nothing_away(void **state)
{
    (void)state;
    begin_open();
    speak(0, 2000);
    stream_finish(inside.stream);
    turns();
    assert_int_equal(front.fins, 1);
    stream_abort(inside.stream, ENDING_DONE); /* as TLS does that has lingered */
    turns();
    assert_int_equal(front.len, 2000);
    assert_int_equal(front.ends, 1);
}

static void who_has_closed_is_not_spoken_to(void **state)
{
    (void)state;
    begin_open();
    say(0, 3000);
    post(EX_END, (struct seg){0}, EX_CLOSED);
    turns();
    assert_int_equal(inside.len, 3000);
    assert_int_equal(inside.ends, 1);
    speak(0, 10);
    turns();
    assert_int_equal(front.len, 0);
    assert_int_equal(inside.reason, ENDING_CANCELLED);
}

static void who_has_closed_waits_ten_seconds_for_the_bridge(void **state)
{
    (void)state;
    begin_open();
    post(EX_END, (struct seg){0}, EX_CLOSED);
    turns();
    world.now_ns += 9ull * 1000000000;
    turns();
    assert_int_equal(inside.closed, 0);
    world.now_ns += 2ull * 1000000000;
    turns();
    assert_int_equal(inside.reason, ENDING_SLOW_READER);
    assert_int_equal(front.resets, 1);
}

static void without_memory_both_hear_of_it(void **state)
{
    (void)state;
    struct egress *other = slab_take(&bw.egresses);
    begin();
    turns();
    slab_give(&bw.egresses, other);
    assert_int_equal(front.reason, ENDING_LIMIT);
    assert_int_equal(inside.reason, ENDING_LIMIT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_is_connected_at_once_by_no_lease),
        T(the_bridge_is_not_heard_before_the_front_allows_it),
        T(the_client_gets_credit_for_what_the_bridge_took),
        T(each_direction_ends_by_itself),
        T(a_client_that_is_lost_ends_the_bridge),
        T(a_client_that_is_lost_at_once_ends_it_too),
        T(a_bridge_that_gives_up_tells_why),
        T(one_that_gave_up_before_the_open_arrived_tells_why),
        T(a_reset_after_the_end_takes_nothing_away),
        T(who_has_closed_is_not_spoken_to),
        T(who_has_closed_waits_ten_seconds_for_the_bridge),
        T(without_memory_both_hear_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
