/* io/timer.h — a hierarchical timing wheel, one per worker. Arming, moving and disarming cost a list relink.
 *
 * Resolution is one tick (2^23 ns, about 8.4 ms); a timer fires at its tick or later, never before. Four
 * levels of 64 slots reach 39 hours; longer delays are clamped to that. Owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/list.h"

enum { TIMER_TICK_SHIFT = 23, TIMER_LEVELS = 4, TIMER_SLOTS = 64 };

struct timer {
    struct list node;
    uint64_t expires_tick;
    uint16_t slot; /* level * TIMER_SLOTS + index while armed */
    void (*fire)(struct timer *);
};

struct timer_wheel {
    uint64_t now_tick;
    uint64_t occupied[TIMER_LEVELS]; /* bit per slot */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    uint32_t armed;
};

void timer_wheel_init(struct timer_wheel *, uint64_t now_ns);
void timer_init(struct timer *, void (*fire)(struct timer *));
void timer_arm_at(struct timer_wheel *, struct timer *, uint64_t at_ns);
/* Arms or moves. A time in the past fires on the next advance. */
void timer_disarm(struct timer_wheel *, struct timer *);
/* Harmless when not armed. */
void timer_advance(struct timer_wheel *, uint64_t now_ns);
/* Fires what is due, one at a time; a fired timer is unarmed before its callback runs and may arm itself
 * anew. */
uint64_t timer_next_ns(const struct timer_wheel *);
/* A time at or before which timer_advance() should be called next; UINT64_MAX when nothing is armed. */

static inline bool timer_is_armed(const struct timer *t)
{
    return !list_empty(&t->node);
}
