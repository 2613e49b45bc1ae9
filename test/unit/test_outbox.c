/* test/unit/test_outbox.c — small pieces share buffers: what is dripped costs memory by its bytes, on the way
 * in (crumbs) and on the way out (outbox), and credit is told exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/crumbs.h"
#include "broker/outbox.h"
#include "io/engine.h"
#include "io/mailbox.h"
#include "test/support/poll_engine.h"

enum { TAKEN_MAX = 4096 };

static struct worker worker;
static struct worker *const peers[1] = {&worker};
static struct mailboxes *mail;
static struct outbox out;

/* A stream whose reader stands still: it keeps what it is given. */
static struct seg taken[TAKEN_MAX];
static unsigned taken_count, returned;

static void standing_send(struct stream *s, struct seg seg)
{
    (void)s;
    assert_true(taken_count < TAKEN_MAX);
    taken[taken_count++] = seg;
}

static const struct stream_ops standing_ops = {.kind = "standing", .send = standing_send};
static struct stream standing = {.ops = &standing_ops};

static int setup(void **state)
{
    static const struct buf_limits limits = {
        {1024, 64, 4}
    };
    (void)state;
    assert_int_equal(mailboxes_new(1, 64, &mail), 0);
    assert_int_equal(worker_init(&worker, 0, 1, mail, &limits), 0);
    assert_int_equal(poll_engine_new(&worker, &worker.engine), 0);
    worker.peers = peers;
    worker_start_clock(&worker);
    outbox_init(&out, &worker);
    outbox_open(&out, &standing);
    taken_count = returned = 0;
    return 0;
}

static uint64_t take_one_back(void)
{
    struct outbox_credit credit = outbox_sent(&out, taken[returned++]);
    if (credit.seg.buf)
        worker_release_seg(&worker, credit.seg);
    return credit.bytes;
}

static int teardown(void **state)
{
    (void)state;
    while (returned < taken_count)
        take_one_back();
    outbox_reset(&out);
    worker_turn(&worker, 0);
    worker_fini(&worker); /* asserts that every buffer is home */
    mailboxes_free(&mail);
    return 0;
}

static struct seg piece(uint32_t len)
{
    struct buf *b = buf_get_bytes(&worker.bufs, len);
    assert_non_null(b);
    memset(b->mem, 'x', len);
    return (struct seg){b, b->mem, len, 0};
}

static uint32_t small_in_use(void)
{
    return worker.bufs.classes[BUF_SMALL].used;
}

static void dripped_bodies_share_buffers_and_are_credited_by_the_byte(void **state)
{
    (void)state;
    enum { PIECES = 20000 };
    for (int i = 0; i < PIECES; i++) {
        assert_true(outbox_put(&out, "1\r\n", 3));
        assert_true(outbox_body(&out, piece(1)));
        assert_true(outbox_put(&out, "\r\n", 2));
        worker_turn(&worker, 0);
    }
    assert_true(small_in_use() <= OUTBOX_SEGS_MAX + PIECES * 6 / (BUF_SMALL_BYTES - 8) + 1);
    uint64_t credited = 0;
    while (returned < taken_count) {
        credited += take_one_back();
        worker_turn(&worker, 0);
    }
    assert_int_equal(credited, PIECES);
    assert_true(outbox_is_empty(&out));
    assert_int_equal(small_in_use(), 0);
}

static void order_holds_between_copies_and_lent_segments(void **state)
{
    (void)state;
    assert_true(outbox_put(&out, "head", 4));
    assert_true(outbox_body(&out, piece(5000)));
    assert_true(outbox_body(&out, piece(10)));
    worker_turn(&worker, 0);
    assert_int_equal(taken_count, 3);
    assert_int_equal(taken[0].len, 4);
    assert_int_equal(taken[1].len, 5000);
    assert_int_equal(taken[2].len, 10);
    assert_int_equal(take_one_back(), 0);
    assert_int_equal(take_one_back(), 5000);
    assert_int_equal(take_one_back(), 10);
}

static void a_reset_drops_what_was_not_given(void **state)
{
    (void)state;
    assert_true(outbox_body(&out, piece(100)));
    outbox_reset(&out);
    worker_turn(&worker, 0);
    assert_int_equal(taken_count, 0);
    assert_int_equal(small_in_use(), 0);
}

static void crumbs_pin_memory_by_their_bytes(void **state)
{
    (void)state;
    enum { CRUMBS = 3000 };
    static struct seg held[CRUMBS];
    struct crumbs c = {0};
    for (int i = 0; i < CRUMBS; i++) {
        held[i] = crumbs_collect(&c, piece(1));
        *held[i].data = (uint8_t)i;
    }
    assert_in_range(small_in_use(), 1, 2);
    for (int i = 0; i < CRUMBS; i++) {
        assert_int_equal(*held[i].data, (uint8_t)i);
        buf_unref(held[i].buf);
    }
    struct seg large = crumbs_collect(&c, piece(2000));
    assert_int_equal(small_in_use(), 1); /* the crumbs' buffer went when nobody held a part of it */
    buf_unref(large.buf);
    crumbs_drop(&c);
}

/* An idle tunnel holds no buffer for its last small message. */
static void crumbs_that_were_taken_over_pin_nothing(void **state)
{
    (void)state;
    struct crumbs c = {0};
    struct seg first = crumbs_collect(&c, piece(1)), second = crumbs_collect(&c, piece(1));
    assert_int_equal(small_in_use(), 1);
    buf_unref(first.buf);
    crumbs_settle(&c);
    assert_int_equal(small_in_use(), 1); /* the second is still somewhere */
    buf_unref(second.buf);
    assert_int_equal(small_in_use(), 1);
    crumbs_settle(&c);
    assert_int_equal(small_in_use(), 0);
    crumbs_settle(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(dripped_bodies_share_buffers_and_are_credited_by_the_byte),
        TEST(order_holds_between_copies_and_lent_segments),
        TEST(a_reset_drops_what_was_not_given),
        TEST(crumbs_pin_memory_by_their_bytes),
        TEST(crumbs_that_were_taken_over_pin_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
