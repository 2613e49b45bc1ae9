/* tools/kubelet-sim/timers.h — a binary heap of deadlines, one per connection. Owner worker only. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct timer {
    uint64_t due_ns;  /* what the owner wants; 0: nothing */
    uint64_t heap_ns; /* where it sorts; never later than due_ns while armed */
    size_t at;        /* position in the heap + 1; 0: not in it */
};

struct timers {
    struct timer **heap;
    size_t n, cap;
};

void timers_arm(struct timers *, struct timer *, uint64_t due_ns);
/* Putting a deadline off costs a store; the heap learns of it when the old one comes up. */
void timers_disarm(struct timers *, struct timer *);
struct timer *timers_pop_due(struct timers *, uint64_t now_ns);
/* NULL: nothing is due. The timer returned is disarmed. */
uint64_t timers_next_ns(const struct timers *);
/* UINT64_MAX: none. May be early. */
void timers_fini(struct timers *);
