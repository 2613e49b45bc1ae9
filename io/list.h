/* io/list.h — intrusive doubly linked list. A node is on at most one list; an unlinked node points at itself.
 */
#pragma once

#include <stdbool.h>

#include "io/attributes.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Adds an unlinked node before `at`: at the tail when `at` is the head of a list. */
static inline void list_add_tail(struct list *at, struct list *node)
{
    ASSERT(list_empty(node));
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_add_head(struct list *at, struct list *node)
{
    list_add_tail(at->next, node);
}

/* Harmless on a node that is on no list. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline struct list *list_pop(struct list *l)
{
    struct list *node = l->next;
    if (node == l)
        return NULL;
    list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the tail of `to`. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)

/* The body may remove `it` but no other node. */
#define list_each_safe(it, tmp, head)                                                                        \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)
