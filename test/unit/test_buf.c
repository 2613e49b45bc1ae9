/* test/unit/test_buf.c — buffers and segments of one worker. */
#include "io/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { SMALL = 100, BIG = 20, HUGE = 3, ALL = SMALL + BIG + HUGE };

static const struct buf_limits limits = {
    {SMALL, BIG, HUGE}
};
static const uint32_t sizes[] = {BUF_SMALL_BYTES, BUF_BIG_BYTES, BUF_HUGE_BYTES};
static struct buf_pool pool;
static unsigned refills;

static int setup(void **state)
{
    (void)state;
    refills = 0;
    buf_pool_init(&pool, 3, &limits);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_pool_fini(&pool);
    return 0;
}

static void every_class_is_bounded_and_whole(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct buf *bufs[ALL];
        unsigned n = 0;
        for (int c = 0; c < BUF_CLASSES; c++) {
            struct buf *b;
            while ((b = buf_get(&pool, (enum buf_class)c))) {
                assert_int_equal(b->cap, sizes[c]);
                assert_int_equal(b->class, c);
                assert_int_equal(b->refs, 1);
                assert_ptr_equal(b->home, &pool);
                memset(b->mem, (int)n, b->cap);
                bufs[n++] = b;
            }
            assert_int_equal(pool.classes[c].used, limits.max[c]);
            assert_int_equal(pool.classes[c].peak, limits.max[c]);
        }
        assert_int_equal(n, ALL);
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(bufs[i]->mem[0], (uint8_t)i);
            assert_int_equal(bufs[i]->mem[bufs[i]->cap - 1], (uint8_t)i);
            buf_unref(bufs[i]);
        }
        for (int c = 0; c < BUF_CLASSES; c++)
            assert_int_equal(pool.classes[c].used, 0);
    }
}

static void the_smallest_class_that_fits_is_chosen(void **state)
{
    (void)state;
    static const struct {
        uint32_t bytes, cap;
    } rows[] = {
        {0,               BUF_SMALL_BYTES},
        {1,               BUF_SMALL_BYTES},
        {BUF_SMALL_BYTES, BUF_SMALL_BYTES},
        {4097,            BUF_BIG_BYTES  },
        {BUF_BIG_BYTES,   BUF_BIG_BYTES  },
        {65537,           BUF_HUGE_BYTES },
        {BUF_HUGE_BYTES,  BUF_HUGE_BYTES },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf *b = buf_get_bytes(&pool, rows[i].bytes);
        assert_non_null(b);
        assert_int_equal(b->cap, rows[i].cap);
        buf_unref(b);
    }
    assert_null(buf_get_bytes(&pool, BUF_HUGE_BYTES + 1));
    assert_null(buf_get_bytes(&pool, UINT32_MAX));
}

static void a_buffer_comes_home_with_its_last_segment(void **state)
{
    (void)state;
    struct buf *b = buf_get(&pool, BUF_SMALL);
    struct seg head = seg_of(b, b->mem, 10), tail = seg_of(b, b->mem + 10, 20);
    assert_int_equal(b->refs, 3);
    buf_unref(b);
    buf_unref(head.buf);
    assert_int_equal(pool.classes[BUF_SMALL].used, 1);
    assert_int_equal(tail.len, 20);
    assert_ptr_equal(tail.data, b->mem + 10);
    buf_unref(tail.buf);
    assert_int_equal(pool.classes[BUF_SMALL].used, 0);
    struct buf *again = buf_get(&pool, BUF_SMALL);
    assert_ptr_equal(again, b); /* the warmest first */
    buf_unref(again);
}

static void on_refill(struct buf_pool *p)
{
    assert_non_null(p->classes[BUF_SMALL].fresh); /* already usable in the callback */
    p->starving = false;
    refills++;
}

static void a_starving_pool_says_when_a_buffer_comes_home(void **state)
{
    (void)state;
    pool.on_refill = on_refill;
    struct buf *a = buf_get(&pool, BUF_SMALL), *b = buf_get(&pool, BUF_SMALL);
    buf_unref(a);
    assert_int_equal(refills, 0);
    pool.starving = true;
    buf_unref(b);
    assert_int_equal(refills, 1);
}

static void a_pool_of_nothing_gives_nothing(void **state)
{
    (void)state;
    struct buf_pool empty;
    buf_pool_init(&empty, 0,
                  &(struct buf_limits){
                      {0, 0, 0}
    });
    assert_null(buf_get(&empty, BUF_SMALL));
    assert_null(buf_get_bytes(&empty, 1));
    buf_pool_fini(&empty);
}

/* -- memory goes back ---------------------------------------------------------------------------------------
 */

enum { MANY = 300 };
static uint64_t now_ns;

static unsigned count(const struct buf *list)
{
    unsigned n = 0;
    for (; list; list = list->next_free)
        n++;
    return n;
}

static int setup_many(void **state)
{
    (void)state;
    static const struct buf_limits many = {
        {64, MANY, 8}
    };
    now_ns = 1000000000;
    buf_pool_init(&pool, 3, &many);
    buf_pool_trim(&pool, now_ns);
    return 0;
}

/* Each is written to from its begin to its end. */
static void use(enum buf_class class, unsigned n)
{
    struct buf *bufs[MANY];
    for (unsigned i = 0; i < n; i++) {
        bufs[i] = buf_get(&pool, class);
        assert_non_null(bufs[i]);
        memset(bufs[i]->mem, 0xee, bufs[i]->cap);
    }
    for (unsigned i = n; i-- > 0;)
        buf_unref(bufs[i]);
}

/* How many of all buffers of a class have what was written to them: the system gives empty memory. */
static unsigned kept(enum buf_class class)
{
    struct buf *bufs[MANY];
    unsigned n = 0, whole = 0;
    while (n < pool.classes[class].made) {
        bufs[n] = buf_get(&pool, class);
        assert_non_null(bufs[n]);
        bool first = bufs[n]->mem[0] == 0xee, last = bufs[n]->mem[bufs[n]->cap - 1] == 0xee;
        assert_int_equal(first, last);
        whole += first;
        n++;
    }
    while (n-- > 0)
        buf_unref(bufs[n]);
    return whole;
}

static void pass(unsigned ms)
{
    now_ns += ms * 1000000ull;
    buf_pool_trim(&pool, now_ns);
}

static void what_nobody_needs_for_a_while_goes_back_to_the_system(void **state)
{
    (void)state;
    use(BUF_SMALL, 40);
    use(BUF_BIG, 40);
    use(BUF_HUGE, 2);
    pass(BUF_REST_MS); /* they begin to rest */
    pass(BUF_REST_MS - 1);
    assert_int_equal(count(pool.classes[BUF_BIG].rested), 40);
    pass(1);
    for (int c = 0; c < BUF_CLASSES; c++)
        assert_null(pool.classes[c].rested);
    assert_int_equal(kept(BUF_SMALL), 0);
    assert_int_equal(kept(BUF_BIG), 0);
    assert_int_equal(kept(BUF_HUGE), 0);
}

static void what_was_free_for_a_moment_only_stays(void **state)
{
    (void)state;
    use(BUF_BIG, 40);
    for (int i = 0; i < 49; i++) {
        pass(BUF_REST_MS / 10);
        use(BUF_BIG, i % 10 == 0 ? 25 : 3); /* a peak now and then, but more often than that */
    }
    assert_int_equal(kept(BUF_BIG), 25);
}

static void who_lends_a_buffer_keeps_its_bytes(void **state)
{
    (void)state;
    struct buf *b = buf_get(&pool, BUF_BIG);
    use(BUF_BIG, 10);
    memset(b->mem, 0x11, b->cap);
    for (int i = 0; i < 5; i++)
        pass(BUF_REST_MS);
    for (uint32_t i = 0; i < b->cap; i++)
        assert_int_equal(b->mem[i], 0x11);
    buf_unref(b);
    assert_int_equal(kept(BUF_BIG), 0);
}

static void a_step_gives_back_a_bounded_part(void **state)
{
    (void)state;
    enum { STEP = BUF_TRIM_BYTES / BUF_BIG_BYTES };
    use(BUF_BIG, MANY);
    pass(BUF_REST_MS);
    pass(BUF_REST_MS);
    assert_int_equal(count(pool.classes[BUF_BIG].rested), MANY - STEP);
    pass(BUF_TRIM_STEP_MS - 1); /* not yet */
    assert_int_equal(count(pool.classes[BUF_BIG].rested), MANY - STEP);
    pass(1);
    assert_int_equal(count(pool.classes[BUF_BIG].rested), MANY - 2 * STEP);
    use(BUF_BIG, 100); /* of what is left, nothing that went */
    assert_int_equal(count(pool.classes[BUF_BIG].rested), MANY - 2 * STEP - 100);
    for (int i = 0; i < 3; i++)
        pass(BUF_TRIM_STEP_MS);
    assert_int_equal(kept(BUF_BIG), 100);
}

static void pages_larger_than_a_buffer_are_left_alone(void **state)
{
    (void)state;
    pool.page_bytes = BUF_BIG_BYTES;
    use(BUF_SMALL, 40);
    use(BUF_BIG, 40);
    for (int i = 0; i < 3; i++)
        pass(BUF_REST_MS);
    assert_int_equal(kept(BUF_SMALL), 40);
    assert_int_equal(kept(BUF_BIG), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_class_is_bounded_and_whole),
        TEST(the_smallest_class_that_fits_is_chosen),
        TEST(a_buffer_comes_home_with_its_last_segment),
        TEST(a_starving_pool_says_when_a_buffer_comes_home),
        TEST(a_pool_of_nothing_gives_nothing),
#define TRIM(name) cmocka_unit_test_setup_teardown(name, setup_many, teardown)
        TRIM(what_nobody_needs_for_a_while_goes_back_to_the_system),
        TRIM(what_was_free_for_a_moment_only_stays),
        TRIM(who_lends_a_buffer_keeps_its_bytes),
        TRIM(a_step_gives_back_a_bounded_part),
        TRIM(pages_larger_than_a_buffer_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
