/* broker/callers.c — see callers.h.
 *
 * The table is open addressing over numbers of entries. An entry is filled before its number is published by
 * compare-and-swap, and is never changed after; whoever loses that race to an equal key keeps the unpublished
 * entry for its next new caller. Counts have one writer each; readers may see them a moment late. */
#include "broker/callers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 4096,                /* a power of two, never more than a quarter full */
    ENTRIES = CALLERS_MAX + 1,   /* CALLER_OTHERS is one */
    COUNT_AGAIN_NS = 1000 * 1000 /* how many are active is asked only near a limit, and may be so old */
};

struct tally {
    _Alignas(CACHE_LINE) _Atomic uint32_t held[CALLER_USES][ENTRIES];
    _Atomic uint32_t total[CALLER_USES];
    uint32_t spare; /* an entry taken and not published; 0: none */
    uint32_t active[CALLER_USES];
    uint64_t counted_ns[CALLER_USES];
};

struct callers {
    unsigned workers;
    uint32_t limits[CALLER_USES];
    struct tally *tallies;  /* by worker */
    _Atomic uint32_t taken; /* entries, the first included */
    _Atomic uint32_t slots[SLOTS];
    struct caller_key entries[ENTRIES];
};

static const bool per_worker[CALLER_USES] = {[CALLER_DIAL] = true};

bool caller_share_admits(const struct caller_share *s)
{
    if (s->total >= s->limit)
        return false;
    if (s->total < s->limit - s->limit / 4)
        return true;
    uint32_t share = s->active > 0 ? s->limit / s->active : s->limit;
    return s->held < (share > 0 ? share : 1);
}

int callers_new(unsigned workers, const uint32_t limits[CALLER_USES], struct callers **ret_callers)
{
    struct callers *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->workers = workers;
    memcpy(c->limits, limits, sizeof(c->limits));
    c->tallies = aligned_alloc(CACHE_LINE, workers * sizeof(*c->tallies));
    if (!c->tallies) {
        callers_free(&c);
        return -ENOMEM;
    }
    memset(c->tallies, 0, workers * sizeof(*c->tallies));
    atomic_init(&c->taken, CALLER_OTHERS + 1);
    *ret_callers = c;
    return 0;
}

void callers_free(struct callers **callers)
{
    struct callers *c = *callers;
    *callers = NULL;
    if (!c)
        return;
    free(c->tallies);
    free(c);
}

/* -- names --------------------------------------------------------------------------------------------------
 */

static uint32_t hash(const struct caller_key *key)
{
    uint32_t words[sizeof(*key) / sizeof(uint32_t)];
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, four bytes at a time */
    memcpy(words, key, sizeof(words));
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        h = (h ^ words[i]) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}

/* CALLER_OTHERS when all entries are taken. */
static uint32_t take_entry(struct callers *c, struct tally *own, const struct caller_key *key)
{
    uint32_t number = own->spare;
    own->spare = 0;
    if (number == 0) {
        if (atomic_load_explicit(&c->taken, memory_order_relaxed) >= ENTRIES) /* do not count on for ever */
            return CALLER_OTHERS;
        number = atomic_fetch_add_explicit(&c->taken, 1, memory_order_relaxed);
        if (number >= ENTRIES)
            return CALLER_OTHERS;
    }
    c->entries[number] = *key;
    return number;
}

uint32_t caller_of(struct callers *c, unsigned worker, const struct caller_key *key)
{
    struct tally *own = &c->tallies[worker];
    uint32_t mine = 0, at = hash(key);
    for (;; at++) { /* ends: there are more slots than entries */
        _Atomic uint32_t *slot = &c->slots[at % SLOTS];
        uint32_t there = atomic_load_explicit(slot, memory_order_acquire);
        if (there == 0) {
            if (mine == 0)
                mine = take_entry(c, own, key);
            if (mine == CALLER_OTHERS || atomic_compare_exchange_strong_explicit(
                                             slot, &there, mine, memory_order_acq_rel, memory_order_acquire))
                return mine;
        }
        if (memcmp(&c->entries[there], key, sizeof(*key)) == 0) {
            own->spare = mine ? mine : own->spare;
            return there;
        }
    }
}

/* -- counts -------------------------------------------------------------------------------------------------
 */

static void add(_Atomic uint32_t *count, uint32_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint32_t get(const _Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static uint32_t held_by(const struct callers *c, unsigned worker, uint32_t caller, enum caller_use use)
{
    uint32_t n = 0;
    if (per_worker[use])
        return get(&c->tallies[worker].held[use][caller]);
    for (unsigned i = 0; i < c->workers; i++)
        n += get(&c->tallies[i].held[use][caller]);
    return n;
}

static uint32_t active_callers(struct callers *c, unsigned worker, enum caller_use use, uint64_t now_ns)
{
    struct tally *own = &c->tallies[worker];
    if (own->counted_ns[use] != 0 && now_ns - own->counted_ns[use] < COUNT_AGAIN_NS)
        return own->active[use];
    uint32_t taken = get(&c->taken), n = 0;
    for (uint32_t i = 0; i < ENTRIES && i < taken; i++)
        n += held_by(c, worker, i, use) > 0;
    own->active[use] = n;
    own->counted_ns[use] = now_ns;
    return n;
}

uint32_t callers_held_any_thread(const struct callers *c, enum caller_use use)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < c->workers; i++)
        n += get(&c->tallies[i].total[use]);
    return n;
}

bool caller_admit(struct callers *c, unsigned worker, uint32_t caller, enum caller_use use, uint64_t now_ns)
{
    ASSERT(caller < ENTRIES);
    struct tally *own = &c->tallies[worker];
    struct caller_share share = {.limit = c->limits[use]};
    share.total = per_worker[use] ? get(&own->total[use]) : callers_held_any_thread(c, use);
    if (share.total >= share.limit - share.limit / 4) {
        share.held = held_by(c, worker, caller, use);
        share.active = active_callers(c, worker, use, now_ns) + (share.held == 0);
    }
    if (!caller_share_admits(&share))
        return false;
    add(&own->held[use][caller], 1);
    add(&own->total[use], 1);
    return true;
}

void caller_leave(struct callers *c, unsigned worker, uint32_t caller, enum caller_use use)
{
    struct tally *own = &c->tallies[worker];
    ASSERT(get(&own->held[use][caller]) > 0);
    add(&own->held[use][caller], (uint32_t)-1);
    add(&own->total[use], (uint32_t)-1);
}
