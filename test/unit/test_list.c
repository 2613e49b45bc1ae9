/* test/unit/test_list.c — the intrusive list. */
#include "io/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int number;
    struct list node;
};

static struct list head, other;
static struct item items[6];

static int setup(void **state)
{
    (void)state;
    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        list_init(&items[i].node);
    }
    return 0;
}

/* The list as decimal digits, read both ways. */
static unsigned digits(const struct list *l)
{
    unsigned n = 0, back = 0, scale = 1;
    for (const struct list *it = l->next; it != l; it = it->next)
        n = n * 10 + (unsigned)list_entry(it, const struct item, node)->number;
    for (const struct list *it = l->prev; it != l; it = it->prev, scale *= 10)
        back += scale * (unsigned)list_entry(it, const struct item, node)->number;
    assert_int_equal(n, back);
    return n;
}

static void nodes_stand_in_the_order_they_were_added(void **state)
{
    (void)state;
    assert_true(list_empty(&head));
    list_add_tail(&head, &items[2].node);
    list_add_tail(&head, &items[3].node);
    list_add_head(&head, &items[1].node);
    assert_int_equal(digits(&head), 123);
    list_add_tail(&items[3].node, &items[5].node); /* before another node */
    assert_int_equal(digits(&head), 1253);
    assert_false(list_empty(&items[1].node));
}

static void a_removed_node_is_unlinked_and_may_be_removed_again(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++)
        list_add_tail(&head, &items[i].node);
    list_remove(&items[2].node);
    assert_true(list_empty(&items[2].node));
    list_remove(&items[2].node);
    assert_int_equal(digits(&head), 13);
    list_add_head(&other, &items[2].node);
    assert_int_equal(digits(&other), 2);
}

static void pop_takes_the_head_until_nothing_is_left(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++)
        list_add_tail(&head, &items[i].node);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(list_entry(list_pop(&head), struct item, node)->number, i);
    assert_null(list_pop(&head));
    assert_true(list_empty(&head));
}

static void splice_moves_all_and_keeps_the_order(void **state)
{
    (void)state;
    list_splice_tail(&head, &other);
    assert_true(list_empty(&head));
    list_add_tail(&other, &items[1].node);
    list_splice_tail(&head, &other);
    assert_int_equal(digits(&head), 1);
    assert_true(list_empty(&other));
    list_add_tail(&other, &items[2].node);
    list_add_tail(&other, &items[3].node);
    list_splice_tail(&head, &other);
    assert_int_equal(digits(&head), 123);
    assert_true(list_empty(&other));
    list_splice_tail(&head, &other);
    assert_int_equal(digits(&head), 123);
}

static void a_walk_may_remove_where_it_stands(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++)
        list_add_tail(&head, &items[i].node);
    list_each_safe(it, tmp, &head)
    {
        if (list_entry(it, struct item, node)->number % 2)
            list_remove(it);
    }
    assert_int_equal(digits(&head), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nodes_stand_in_the_order_they_were_added, setup),
        cmocka_unit_test_setup(a_removed_node_is_unlinked_and_may_be_removed_again, setup),
        cmocka_unit_test_setup(pop_takes_the_head_until_nothing_is_left, setup),
        cmocka_unit_test_setup(splice_moves_all_and_keeps_the_order, setup),
        cmocka_unit_test_setup(a_walk_may_remove_where_it_stands, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
