/* io/segq.h — a queue of segments, its nodes taken from a slab of the worker's engine. Owner worker only. */
#pragma once

#include <stdbool.h>

#include "io/buf.h"
#include "io/slab.h"

struct segq_node {
    struct seg seg;
    struct segq_node *next;
};

struct segq {
    struct segq_node *head, *tail;
    uint32_t bytes;
};

MUST_USE static inline bool segq_push(struct segq *q, struct slab *nodes, struct seg seg)
{
    struct segq_node *n = slab_take(nodes);
    if (!n)
        return false;
    n->seg = seg;
    if (q->tail)
        q->tail->next = n;
    else
        q->head = n;
    q->tail = n;
    q->bytes += seg.len;
    return true;
}

static inline bool segq_empty(const struct segq *q)
{
    return q->head == NULL;
}

/* The queue must not be empty. */
static inline struct seg segq_pop(struct segq *q, struct slab *nodes)
{
    struct segq_node *n = q->head;
    struct seg seg = n->seg;
    q->head = n->next;
    if (!q->head)
        q->tail = NULL;
    q->bytes -= seg.len;
    slab_give(nodes, n);
    return seg;
}
