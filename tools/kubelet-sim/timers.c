/* tools/kubelet-sim/timers.c — lazy binary heap.
 *
 * An idle deadline is put off by every request, 90 s ahead each time; sifting the heap for that would cost
 * more than the request's parsing. So a later deadline is only noted, and the entry re-sorted when its old
 * time comes. */
#include "tools/kubelet-sim/timers.h"

#include <stdio.h>
#include <stdlib.h>

static void place(struct timers *t, size_t i, struct timer *timer)
{
    t->heap[i] = timer;
    timer->at = i + 1;
}

static void sift_up(struct timers *t, size_t i, struct timer *timer)
{
    while (i > 0 && t->heap[(i - 1) / 2]->heap_ns > timer->heap_ns) {
        place(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(t, i, timer);
}

static void sift_down(struct timers *t, size_t i, struct timer *timer)
{
    for (size_t child; (child = 2 * i + 1) < t->n; i = child) {
        if (child + 1 < t->n && t->heap[child + 1]->heap_ns < t->heap[child]->heap_ns)
            child++;
        if (t->heap[child]->heap_ns >= timer->heap_ns)
            break;
        place(t, i, t->heap[child]);
    }
    place(t, i, timer);
}

static void take_out(struct timers *t, struct timer *timer)
{
    size_t i = timer->at - 1;
    struct timer *last = t->heap[--t->n];
    timer->at = 0;
    if (last == timer)
        return;
    if (i > 0 && t->heap[(i - 1) / 2]->heap_ns > last->heap_ns)
        sift_up(t, i, last);
    else
        sift_down(t, i, last);
}

void timers_arm(struct timers *t, struct timer *timer, uint64_t due_ns)
{
    timer->due_ns = due_ns;
    if (timer->at && timer->heap_ns <= due_ns)
        return;
    timer->heap_ns = due_ns;
    if (timer->at) {
        sift_up(t, timer->at - 1, timer);
        return;
    }
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->heap = realloc(t->heap, t->cap * sizeof(struct timer *));
        if (!t->heap) {
            fputs("kubelet-sim: out of memory\n", stderr);
            abort();
        }
    }
    sift_up(t, t->n++, timer);
}

void timers_disarm(struct timers *t, struct timer *timer)
{
    timer->due_ns = 0;
    if (timer->at)
        take_out(t, timer);
}

struct timer *timers_pop_due(struct timers *t, uint64_t now_ns)
{
    while (t->n > 0 && t->heap[0]->heap_ns <= now_ns) {
        struct timer *timer = t->heap[0];
        if (timer->due_ns <= now_ns) {
            timers_disarm(t, timer);
            return timer;
        }
        timer->heap_ns = timer->due_ns;
        sift_down(t, 0, timer);
    }
    return NULL;
}

uint64_t timers_next_ns(const struct timers *t)
{
    return t->n > 0 ? t->heap[0]->heap_ns : UINT64_MAX;
}

void timers_fini(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){0};
}
