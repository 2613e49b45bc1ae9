/* broker/konnectivity/agents_choose.c — which agent a dial goes through, and how many there are of each kind.
 *
 * An agent that may not carry it is worse than one of a strategy that is liked less, so the best standing
 * that any strategy has is looked for first. Among those of one strategy the one with the fewest connections
 * is taken, and of equal ones one whose home is this worker, which saves the messages their way; else chance
 * decides. Of many agents eight are compared: two random ones do nearly as well as all, a few more make up
 * for those that are left out.
 *
 * The streams of one id count as one agent, which is the oldest of them that stands best: a stock agent that
 * finds itself connected twice closes the newer stream at once. */
#include "broker/broker_worker.h"
#include "broker/konnectivity/agents_index.h"
#include "io/worker.h"

enum {
    COMPARE_ALL_MAX = 32, /* so many are all compared; guesses, as the next two */
    COMPARE_RANDOM = 8,
    SAME_ID_MAX = 8, /* streams of one id that are looked at; a stock agent has one, for a moment two */
    DISLIKED_MS = 5000,
};

enum standing_of_agent {
    AGENT_STANDS_WELL,
    AGENT_IS_SUSPECT,
    AGENT_IS_DRAINING,
    AGENT_STANDINGS,
};

static enum standing_of_agent standing_of(const struct agent_card *card, uint64_t now_ns)
{
    if (atomic_load_explicit(&card->draining, memory_order_relaxed))
        return AGENT_IS_DRAINING;
    bool suspect = atomic_load_explicit(&card->suspect_until_ns, memory_order_relaxed) > now_ns;
    return suspect ? AGENT_IS_SUSPECT : AGENT_STANDS_WELL;
}

struct choice {
    struct agents *agents;
    const struct agents_request *request;
    enum config_strategy strategy;
    const struct agents_set *set;
    enum standing_of_agent wanted;
    struct agent_seen *best; /* NULL: none yet */
};

static uint64_t now_of(const struct agents *a)
{
    return a->bw->worker->now_ns;
}

static bool may_be(const struct choice *c, const struct agent_seen *seen)
{
    for (unsigned i = 0; i < c->request->tried_count; i++)
        if (c->request->tried[i] == seen->card->serial)
            return false;
    return standing_of(seen->card, now_of(c->agents)) == c->wanted;
}

/* Which stream stands for this one's agent. Those that stand better are none that it may be: they would have
 * been chosen before. */
static struct agent_seen *first_of_id(const struct choice *c, struct agent_seen *seen)
{
    const struct agents_set *same = c->strategy == CONFIG_STRATEGY_DEFAULT_ROUTE ? &seen->by_route->set
                                                                                 : &seen->by_id->set;
    for (uint32_t i = 0; i < same->count && i < SAME_ID_MAX; i++) {
        struct agent_seen *other = same->members[i];
        bool meant = c->strategy != CONFIG_STRATEGY_DEST_HOST || agents_set_has(c->set, other);
        if (meant && may_be(c, other))
            return other;
    }
    return seen;
}

static bool is_better(const struct choice *c, const struct agent_seen *a, const struct agent_seen *b)
{
    uint64_t now = now_of(c->agents);
    bool a_disliked = a->disliked_until_ns > now, b_disliked = b->disliked_until_ns > now;
    if (a_disliked != b_disliked)
        return b_disliked;
    uint32_t a_load = atomic_load_explicit(&a->card->load, memory_order_relaxed);
    uint32_t b_load = atomic_load_explicit(&b->card->load, memory_order_relaxed);
    if (a_load != b_load)
        return a_load < b_load;
    unsigned here = c->agents->bw->worker->number;
    return a->card->home == here && b->card->home != here;
}

static void consider(struct choice *c, struct agent_seen *seen)
{
    if (!may_be(c, seen))
        return;
    seen = first_of_id(c, seen);
    if (!c->best || is_better(c, seen, c->best))
        c->best = seen;
}

static void choose_of_set(struct choice *c)
{
    uint32_t count = c->set->count;
    struct worker *w = c->agents->bw->worker;
    if (count > COMPARE_ALL_MAX)
        for (unsigned i = 0; i < COMPARE_RANDOM; i++)
            consider(c, c->set->members[worker_random(w) % count]);
    if (c->best || count == 0)
        return;
    uint32_t from = (uint32_t)(worker_random(w) % count); /* the first of equal ones wins */
    for (uint32_t i = 0; i < count; i++)
        consider(c, c->set->members[(from + i) % count]);
}

static const struct agents_set *set_of(const struct agents *a, enum config_strategy strategy,
                                       const char *host)
{
    switch (strategy) {
    case CONFIG_STRATEGY_DEFAULT: return &a->index.all;
    case CONFIG_STRATEGY_DEST_HOST: return agents_index_host(&a->index, host);
    case CONFIG_STRATEGY_DEFAULT_ROUTE: return &a->index.routes;
    case CONFIG_STRATEGIES: break;
    }
    ASSERT(!"no strategy");
    return NULL;
}

static struct agent_seen *choose(struct agents *a, const struct agents_request *r)
{
    struct choice c = {.agents = a, .request = r};
    for (unsigned wanted = 0; wanted < AGENT_STANDINGS; wanted++) {
        c.wanted = (enum standing_of_agent)wanted;
        for (unsigned i = 0; i < r->wish->count && !c.best; i++) {
            c.strategy = r->wish->strategies[i];
            c.set = set_of(a, c.strategy, r->host);
            if (c.set)
                choose_of_set(&c);
        }
    }
    return c.best;
}

struct agent_seen *agents_choose(struct agents *a, const struct agents_request *r)
{
    struct agent_seen *seen = choose(a, r);
    if (!seen)
        return NULL;
    seen->halves++;
    atomic_fetch_add_explicit(&seen->card->load, 1, memory_order_relaxed);
    return seen;
}

void agents_note_dial(struct agents *a, struct agent_seen *seen, bool answered)
{
    seen->disliked_until_ns = answered ? 0 : now_of(a) + DISLIKED_MS * 1000000ull;
}

/* -- counts -------------------------------------------------------------------------------------------------
 */

static bool is_ready(const struct agents_set *s, uint64_t now_ns)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (standing_of(s->members[i]->card, now_ns) == AGENT_STANDS_WELL)
            return true;
    return false;
}

void agents_count(const struct agents *a, struct agents_counts *ret)
{
    const struct agents_index *index = &a->index;
    uint64_t now = now_of(a);
    struct agents_counts counts = {.streams = index->all.count};
    for (uint32_t i = 0; i < index->all.count; i++) {
        enum standing_of_agent standing = standing_of(index->all.members[i]->card, now);
        counts.draining += standing == AGENT_IS_DRAINING;
        counts.suspect += standing == AGENT_IS_SUSPECT;
    }
    for (unsigned strategy = 0; strategy < CONFIG_STRATEGIES; strategy++) {
        const struct agents_keys *keys = &index->keys[strategy];
        counts.keys[strategy] = keys->count;
        for (uint32_t i = 0; i <= keys->mask; i++)
            for (const struct agents_key *key = keys->buckets[i]; key; key = key->next)
                counts.ready[strategy] += is_ready(&key->set, now);
    }
    *ret = counts;
}
