/* test/unit/test_slab.c — objects taken and given back, bounded. */
#include "io/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include <cmocka.h>

static void objects_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    static const size_t sizes[] = {8, 24, 100, 4096, 65472, 70000, 300000};
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        struct slab slab;
        slab_init(&slab, "test", sizes[s], 40);
        unsigned char *objects[40];
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 40; i++) {
                objects[i] = slab_take(&slab);
                assert_non_null(objects[i]);
                assert_int_equal((uintptr_t)objects[i] % 16, 0);
                for (size_t b = 0; b < sizes[s]; b++)
                    assert_int_equal(objects[i][b], 0);
                memset(objects[i], i + 1, sizes[s]);
            }
            for (int i = 0; i < 40; i++) {
                assert_int_equal(objects[i][0], i + 1);
                assert_int_equal(objects[i][sizes[s] - 1], i + 1);
                slab_give(&slab, objects[i]);
            }
        }
        slab_fini(&slab);
    }
}

static void the_bound_is_exact(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {0, 1, 7, 1000, 5000};
    for (size_t n = 0; n < ARRAY_SIZE(bounds); n++) {
        struct slab slab;
        slab_init(&slab, "test", 48, bounds[n]);
        void **objects = calloc(bounds[n] + 1, sizeof(*objects));
        for (uint32_t i = 0; i < bounds[n]; i++)
            assert_non_null(objects[i] = slab_take(&slab));
        assert_null(slab_take(&slab));
        assert_int_equal(slab.used, bounds[n]);
        if (bounds[n]) {
            slab_give(&slab, objects[0]);
            void *again = slab_take(&slab);
            assert_ptr_equal(again, objects[0]); /* the warmest first */
            assert_null(slab_take(&slab));
        }
        for (uint32_t i = 0; i < bounds[n]; i++)
            slab_give(&slab, objects[i]);
        slab_fini(&slab);
        free(objects);
    }
}

static void neighbours_on_the_heap_stay_guarded(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    /* slab_fini used to unpoison 64 KiB from the start of a chunk that was smaller. */
    char *freed[128]; /* as large as the chunk will be, so before and behind it on the heap */
    for (int i = 0; i < 64; i++)
        freed[i] = aligned_alloc(CACHE_LINE, 1024);
    struct slab slab;
    slab_init(&slab, "test", 480, 2);
    slab_give(&slab, slab_take(&slab));
    for (int i = 64; i < 128; i++)
        freed[i] = aligned_alloc(CACHE_LINE, 1024);
    for (int i = 0; i < 128; i++)
        free(freed[i]);
    slab_fini(&slab);
    for (int i = 0; i < 128; i++)
        assert_true(__asan_address_is_poisoned(freed[i] + 512));
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_aligned_and_apart),
        cmocka_unit_test(the_bound_is_exact),
        cmocka_unit_test(neighbours_on_the_heap_stay_guarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
