/* io/timer.c — see timer.h. Level l holds timers whose distance is below 64^(l+1) ticks; when the wheel
 * passes a boundary of level l, the slot of level l+1 that begins there is filed anew ("cascade"). */
#include "io/timer.h"

static const unsigned level_shift[TIMER_LEVELS] = {0, 6, 12, 18};

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns)
{
    *w = (struct timer_wheel){.now_tick = now_ns >> TIMER_TICK_SHIFT};
    for (int l = 0; l < TIMER_LEVELS; l++)
        for (int s = 0; s < TIMER_SLOTS; s++)
            list_init(&w->slots[l][s]);
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
    *t = (struct timer){.fire = fire};
    list_init(&t->node);
}

/* now_tick is the next tick to be processed: timers at now_tick are still in the future. */
static void wheel_file(struct timer_wheel *w, struct timer *t)
{
    uint64_t tick = t->expires_tick < w->now_tick ? w->now_tick : t->expires_tick;
    /* One slot short of a whole turn of the top level, so that nothing is filed into the slot the wheel
     * stands on. */
    uint64_t horizon = w->now_tick + ((uint64_t)(TIMER_SLOTS - 1) << level_shift[TIMER_LEVELS - 1]) - 1;
    if (tick > horizon)
        tick = horizon;
    /* The level is that of the highest 6-bit digit in which tick and now differ. */
    uint64_t differ = tick ^ w->now_tick;
    int level = 0;
    while (level < TIMER_LEVELS - 1 && (differ >> level_shift[level + 1]) != 0)
        level++;
    unsigned index = (unsigned)(tick >> level_shift[level]) & (TIMER_SLOTS - 1);
    t->slot = (uint16_t)(level * TIMER_SLOTS + (int)index);
    w->occupied[level] |= (uint64_t)1 << index;
    list_add_tail(&w->slots[level][index], &t->node);
}

static void wheel_unfile(struct timer_wheel *w, struct timer *t)
{
    unsigned level = t->slot / TIMER_SLOTS, index = t->slot % TIMER_SLOTS;
    list_remove(&t->node);
    if (list_empty(&w->slots[level][index]))
        w->occupied[level] &= ~((uint64_t)1 << index);
}

void timer_arm_at(struct timer_wheel *w, struct timer *t, uint64_t at_ns)
{
    /* Rounded up without overflow: UINT64_MAX is a time that never comes. */
    uint64_t tick = (at_ns >> TIMER_TICK_SHIFT) + ((at_ns & (((uint64_t)1 << TIMER_TICK_SHIFT) - 1)) != 0);
    if (timer_is_armed(t)) {
        if (t->expires_tick == tick)
            return;
        wheel_unfile(w, t);
        w->armed--;
    }
    t->expires_tick = tick;
    wheel_file(w, t);
    w->armed++;
}

void timer_disarm(struct timer_wheel *w, struct timer *t)
{
    if (!timer_is_armed(t))
        return;
    wheel_unfile(w, t);
    w->armed--;
}

static void wheel_cascade(struct timer_wheel *w, int level)
{
    unsigned index = (unsigned)(w->now_tick >> level_shift[level]) & (TIMER_SLOTS - 1);
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &w->slots[level][index]);
    w->occupied[level] &= ~((uint64_t)1 << index);
    struct list *node;
    while ((node = list_pop(&due)))
        wheel_file(w, list_entry(node, struct timer, node));
}

static void wheel_fire_slot(struct timer_wheel *w)
{
    unsigned index = (unsigned)w->now_tick & (TIMER_SLOTS - 1);
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &w->slots[0][index]);
    w->occupied[0] &= ~((uint64_t)1 << index);
    /* From here on a re-armed timer belongs to a later tick; one disarmed by a callback leaves `due` by
     * itself, and clearing the bit of a slot it no longer is in is harmless only if that slot is empty, which
     * unfile checks. */
    w->now_tick++;
    for (int level = 1; level < TIMER_LEVELS; level++) {
        if (w->now_tick & (((uint64_t)1 << level_shift[level]) - 1))
            break;
        wheel_cascade(w, level);
    }
    struct list *node;
    while ((node = list_pop(&due))) {
        struct timer *t = list_entry(node, struct timer, node);
        if (t->expires_tick >= w->now_tick) { /* clamped to the horizon when armed */
            wheel_file(w, t);
            continue;
        }
        w->armed--;
        t->fire(t);
    }
}

void timer_advance(struct timer_wheel *w, uint64_t now_ns)
{
    uint64_t until = now_ns >> TIMER_TICK_SHIFT;
    while (w->now_tick <= until) {
        if (w->armed == 0) {
            w->now_tick = until + 1;
            return;
        }
        if (!w->occupied[0]) { /* jump to the last tick before the next cascade */
            uint64_t boundary = w->now_tick | (TIMER_SLOTS - 1);
            if (boundary > until) {
                w->now_tick = until + 1;
                return;
            }
            w->now_tick = boundary;
        }
        wheel_fire_slot(w);
    }
}

uint64_t timer_next_ns(const struct timer_wheel *w)
{
    if (w->armed == 0)
        return UINT64_MAX;
    for (int level = 0; level < TIMER_LEVELS; level++) {
        if (!w->occupied[level])
            continue;
        uint64_t digit = (w->now_tick >> level_shift[level]) & (TIMER_SLOTS - 1);
        uint64_t ahead = w->occupied[level] >> digit;
        if (!ahead)
            continue;
        uint64_t base = w->now_tick >> level_shift[level] << level_shift[level];
        uint64_t tick = base + ((uint64_t)__builtin_ctzll(ahead) << level_shift[level]);
        if (tick < w->now_tick)
            tick = w->now_tick;
        return tick << TIMER_TICK_SHIFT;
    }
    return (w->now_tick | (TIMER_SLOTS - 1)) << TIMER_TICK_SHIFT;
}
