/* test/unit/test_stream_pair.c — two streams that are each other's peer keep the promises of io/stream.h:
 * credit, order, ends, aborts with their reasons, and nothing left over, whatever an owner does in an event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "io/stream_pair.h"
#include "test/support/world.h"

enum { BYTES_MAX = 1 << 20 };

struct side {
    struct stream *stream;
    uint8_t heard[BYTES_MAX];
    size_t heard_len;
    uint32_t largest, sent_bytes, sent_segs, last_tag;
    unsigned data, ends, closed;
    enum ending reason;
    uint32_t grants;      /* again for what was heard */
    bool aborts_on_data;  /* in the event */
    bool finishes_on_end; /* in the event */
    bool keeps;           /* does not free the stream when it is closed */
    bool in_call;         /* no event may come */
};

static struct world world;
static struct slab pairs, nodes;
static struct side a, b;
static uint8_t pattern[BYTES_MAX];

static void on_open(struct stream *s)
{
    (void)s;
    fail_msg("both ends are open from the beginning");
}

static void on_data(struct stream *s, struct seg seg)
{
    struct side *side = s->owner;
    assert_false(side->in_call || side->closed || side->ends);
    assert_true(side->heard_len + seg.len <= BYTES_MAX);
    memcpy(side->heard + side->heard_len, seg.data, seg.len);
    memset(seg.data, 0xee, seg.len); /* it is ours: the sender does not look at it again */
    side->heard_len += seg.len;
    side->largest = seg.len > side->largest ? seg.len : side->largest;
    side->data++;
    worker_release_seg(&world.worker, seg);
    if (side->grants)
        stream_grant(s, seg.len);
    if (side->aborts_on_data)
        stream_abort(s, ENDING_BAD_REQUEST);
}

static void on_sent(struct stream *s, struct seg seg)
{
    struct side *side = s->owner;
    assert_false(side->in_call || side->closed);
    side->sent_bytes += seg.len;
    side->sent_segs++;
    side->last_tag = seg.tag;
    worker_release_seg(&world.worker, seg);
}

static void on_end(struct stream *s)
{
    struct side *side = s->owner;
    assert_false(side->in_call || side->closed);
    side->ends++;
    if (side->finishes_on_end)
        stream_finish(s);
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct side *side = s->owner;
    assert_false(side->in_call || side->closed);
    side->closed++;
    side->reason = reason;
    if (!side->keeps)
        stream_free(s);
}

static const struct stream_events events = {on_open, on_data, on_sent, on_end, on_closed};

static int setup(void **state)
{
    (void)state;
    struct stream *ends[2];
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 13 + (i >> 9));
    world_init(&world, NULL);
    slab_init(&pairs, "pairs", sizeof(struct stream_pair), 2);
    slab_init(&nodes, "nodes", sizeof(struct segq_node), 256);
    assert_true(stream_pair_new(&world.worker, &pairs, &nodes, ends));
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    a.stream = ends[0];
    b.stream = ends[1];
    stream_pair_bind(a.stream, &events, &a);
    stream_pair_bind(b.stream, &events, &b);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(pairs.used, 0);
    assert_int_equal(nodes.used, 0);
    slab_fini(&pairs);
    slab_fini(&nodes);
    world_fini(&world); /* asserts that every buffer came home */
    return 0;
}

static void give(struct side *from, size_t at, uint32_t len, uint32_t tag)
{
    struct buf *buf = buf_get_bytes(&world.worker.bufs, len ? len : 1);
    assert_non_null(buf);
    memcpy(buf->mem, pattern + at, len);
    a.in_call = b.in_call = true;
    stream_send(from->stream, (struct seg){buf, buf->mem, len, tag});
    a.in_call = b.in_call = false;
}

static void turn(void)
{
    world_turns(&world, 2);
}

static void end_both(void)
{
    stream_grant(a.stream, BYTES_MAX);
    stream_grant(b.stream, BYTES_MAX);
    stream_finish(a.stream);
    stream_finish(b.stream);
    turn();
    assert_int_equal(a.closed + b.closed, 2);
}

static bool heard(const struct side *side, size_t at, size_t len)
{
    return side->heard_len == len && memcmp(side->heard, pattern + at, len) == 0;
}

/* -- bytes --------------------------------------------------------------------------------------------------
 */

static void bytes_pass_both_ways_in_order(void **state)
{
    (void)state;
    stream_grant(a.stream, BYTES_MAX);
    stream_grant(b.stream, BYTES_MAX);
    for (uint32_t i = 0; i < 10; i++) {
        give(&a, i * 1000, 1000, i);
        give(&b, 50000 + i * 777, 777, i);
    }
    turn();
    assert_true(heard(&b, 0, 10000));
    assert_true(heard(&a, 50000, 7770));
    assert_int_equal(a.sent_bytes, 10000);
    assert_int_equal(a.sent_segs, 10);
    assert_int_equal(a.last_tag, 9);
    end_both();
}

static void nothing_passes_without_credit_and_never_more(void **state)
{
    (void)state;
    give(&a, 0, 60000, 7);
    turn();
    assert_int_equal(b.data, 0);
    assert_int_equal(stream_owed(a.stream), 60000);
    for (uint32_t granted = 0; granted < 60000;) {
        stream_grant(b.stream, 999);
        turn();
        granted += 999;
        assert_true(heard(&b, 0, granted < 60000 ? granted : 60000));
        assert_int_equal(stream_owed(a.stream), granted < 60000 ? 60000 - granted : 0);
        assert_int_equal(a.sent_segs, granted < 60000 ? 0 : 1); /* whole, as it was given */
    }
    assert_int_equal(a.sent_bytes, 60000);
    assert_int_equal(a.last_tag, 7);
    assert_true(b.largest <= 999);
    end_both();
}

static void a_stopped_reader_stops_its_own_direction_only(void **state)
{
    (void)state;
    a.grants = 1;
    stream_grant(a.stream, 1000);
    for (unsigned i = 0; i < 50; i++) {
        give(&a, i * 1000, 1000, 0);
        give(&b, i * 1000, 1000, 0);
        turn();
    }
    assert_true(heard(&a, 0, 50000));
    assert_int_equal(b.data, 0);
    assert_int_equal(a.sent_segs, 0);
    stream_grant(b.stream, 50000);
    turn();
    assert_true(heard(&b, 0, 50000));
    end_both();
}

static void empty_segments_come_back_in_their_turn(void **state)
{
    (void)state;
    give(&a, 0, 0, 1);
    turn();
    assert_int_equal(a.sent_segs, 1); /* needs no credit */
    give(&a, 0, 5, 2);
    give(&a, 0, 0, 3);
    turn();
    assert_int_equal(a.sent_segs, 1);
    stream_grant(b.stream, 5);
    turn();
    assert_int_equal(a.last_tag, 3);
    assert_int_equal(b.data, 1);
    end_both();
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void an_end_comes_behind_all_bytes_and_the_other_direction_goes_on(void **state)
{
    (void)state;
    give(&a, 0, 3000, 0);
    stream_finish(a.stream);
    give(&a, 0, 10, 0); /* too late: not sent, and not kept */
    stream_grant(b.stream, 3000);
    turn();
    assert_true(heard(&b, 0, 3000));
    assert_int_equal(b.ends, 0); /* waits for credit, as a socket's does */
    stream_grant(b.stream, 1);
    turn();
    assert_int_equal(b.ends, 1);
    assert_int_equal(a.closed + b.closed, 0);
    stream_grant(a.stream, 3000);
    give(&b, 0, 3000, 0);
    turn();
    assert_true(heard(&a, 0, 3000));
    stream_grant(a.stream, 1);
    stream_finish(b.stream);
    turn();
    assert_int_equal(a.ends, 1);
    assert_int_equal(a.closed + b.closed, 2);
    assert_int_equal(a.reason, ENDING_DONE);
    assert_int_equal(b.reason, ENDING_DONE);
}

static void who_has_ended_and_heard_the_end_is_closed_before_a_peer_that_does_not_listen(void **state)
{
    (void)state;
    stream_grant(a.stream, 1);
    stream_finish(b.stream);
    stream_finish(a.stream);
    turn();
    assert_int_equal(a.closed, 1); /* and freed */
    assert_int_equal(b.closed, 0);
    assert_int_equal(pairs.used, 1);
    stream_grant(b.stream, 1);
    turn();
    assert_int_equal(b.ends, 1);
    assert_int_equal(b.reason, ENDING_DONE);
}

static void an_end_may_be_answered_in_the_event(void **state)
{
    (void)state;
    b.finishes_on_end = true;
    stream_grant(a.stream, 1);
    stream_grant(b.stream, 1);
    stream_finish(a.stream);
    turn();
    assert_int_equal(a.closed + b.closed, 2);
}

/* -- aborts -------------------------------------------------------------------------------------------------
 */

static void an_abort_tells_the_peer_why_and_takes_away_what_was_not_delivered(void **state)
{
    (void)state;
    give(&a, 0, 4000, 0);
    give(&b, 0, 4000, 0);
    stream_grant(b.stream, 1000);
    turn();
    a.in_call = b.in_call = true;
    stream_abort(a.stream, ENDING_TLS_TIMEOUT);
    stream_abort(a.stream, ENDING_LIMIT); /* again: no effect */
    a.in_call = b.in_call = false;
    give(&b, 0, 10, 0);
    stream_grant(b.stream, 4000);
    turn();
    assert_int_equal(b.heard_len, 1000);
    assert_int_equal(b.ends, 0);
    assert_int_equal(a.reason, ENDING_TLS_TIMEOUT);
    assert_int_equal(b.reason, ENDING_TLS_TIMEOUT);
}

static void an_abort_is_never_a_clean_end_for_the_peer(void **state)
{
    (void)state;
    stream_grant(b.stream, 1);
    stream_abort(a.stream, ENDING_DONE);
    turn();
    assert_int_equal(b.reason, ENDING_PEER_RESET);
}

static void an_abort_in_an_event_ends_both(void **state)
{
    (void)state;
    b.aborts_on_data = true;
    stream_grant(b.stream, 100);
    give(&a, 0, 50, 0);
    give(&a, 50, 50, 0);
    turn();
    assert_int_equal(b.data, 1);
    assert_int_equal(a.sent_segs, 0);
    assert_int_equal(a.reason, ENDING_BAD_REQUEST);
    assert_int_equal(b.closed, 1);
}

static void an_abort_after_the_peer_was_closed_harms_nobody(void **state)
{
    (void)state;
    stream_grant(a.stream, 1);
    stream_finish(b.stream);
    stream_finish(a.stream);
    turn();
    assert_int_equal(a.closed, 1);
    stream_abort(b.stream, ENDING_CANCELLED);
    turn();
    assert_int_equal(b.reason, ENDING_CANCELLED);
}

static void an_owner_may_free_later(void **state)
{
    (void)state;
    a.keeps = true;
    stream_abort(b.stream, ENDING_CANCELLED);
    turn();
    assert_int_equal(pairs.used, 1);
    turn();
    assert_int_equal(a.closed, 1);
    stream_free(a.stream);
    assert_int_equal(pairs.used, 0);
}

/* -- owners -------------------------------------------------------------------------------------------------
 */

static void who_is_bound_late_hears_what_he_missed(void **state)
{
    (void)state;
    struct stream *ends[2];
    end_both();
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    assert_true(stream_pair_new(&world.worker, &pairs, &nodes, ends));
    b.stream = ends[1];
    stream_pair_bind(ends[1], &events, &b);
    stream_abort(ends[1], ENDING_DRAINING);
    turn();
    assert_int_equal(b.closed, 1);
    assert_int_equal(pairs.used, 1);
    stream_pair_bind(ends[0], &events, &a);
    turn();
    assert_int_equal(a.closed, 1);
    assert_int_equal(a.reason, ENDING_DRAINING);
}

static void an_abandoned_end_frees_itself(void **state)
{
    (void)state;
    give(&a, 0, 10, 0);
    stream_pair_abandon(a.stream, ENDING_CANCELLED);
    turn();
    assert_int_equal(b.reason, ENDING_CANCELLED);
    assert_int_equal(a.closed, 0);
    assert_int_equal(pairs.used, 0);
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    struct stream *ends[2];
    struct slab none;
    slab_init(&none, "none", sizeof(struct stream_pair), 0);
    assert_false(stream_pair_new(&world.worker, &none, &nodes, ends));
    slab_fini(&none);
    for (unsigned i = 0; i < 257 && !a.closed; i++) /* more than there are nodes */
        give(&a, 0, 1, 0);
    turn();
    assert_int_equal(a.reason, ENDING_LIMIT);
    assert_int_equal(b.reason, ENDING_LIMIT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_pass_both_ways_in_order),
        T(nothing_passes_without_credit_and_never_more),
        T(a_stopped_reader_stops_its_own_direction_only),
        T(empty_segments_come_back_in_their_turn),
        T(an_end_comes_behind_all_bytes_and_the_other_direction_goes_on),
        T(who_has_ended_and_heard_the_end_is_closed_before_a_peer_that_does_not_listen),
        T(an_end_may_be_answered_in_the_event),
        T(an_abort_tells_the_peer_why_and_takes_away_what_was_not_delivered),
        T(an_abort_is_never_a_clean_end_for_the_peer),
        T(an_abort_in_an_event_ends_both),
        T(an_abort_after_the_peer_was_closed_harms_nobody),
        T(an_owner_may_free_later),
        T(who_is_bound_late_hears_what_he_missed),
        T(an_abandoned_end_frees_itself),
        T(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
