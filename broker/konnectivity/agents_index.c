/* broker/konnectivity/agents_index.c — see agents_index.h.
 *
 * Agents come and go seldom, by people's measure, and are looked up with each dial: adding and removing move
 * pointers about, finding is a hash and a binary search. Keys live as long as they have members. */
#include "broker/konnectivity/agents_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 64 }; /* a power of two; doubled when there are as many keys */

/* -- sets ---------------------------------------------------------------------------------------------------
 */

/* Where the stream stands, or would stand. */
static uint32_t place_of(const struct agents_set *s, uint64_t serial)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->members[middle]->card->serial < serial)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool agents_set_has(const struct agents_set *s, const struct agent_seen *seen)
{
    uint32_t at = place_of(s, seen->card->serial);
    return at < s->count && s->members[at] == seen;
}

/* True also if it is there already: an agent may say a host twice. */
static bool set_add(struct agents_set *s, struct agent_seen *seen)
{
    uint32_t at = place_of(s, seen->card->serial);
    bool there = at < s->count && s->members[at]->card->serial == seen->card->serial;
    ASSERT(!there || s->members[at] == seen); /* serials are the process's */
    if (there)
        return true;
    if (s->count == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 1;
        struct agent_seen **members = realloc(s->members, cap * sizeof(struct agent_seen *));
        if (!members)
            return false;
        s->members = members;
        s->cap = cap;
    }
    memmove(&s->members[at + 1], &s->members[at], (s->count - at) * sizeof(struct agent_seen *));
    s->members[at] = seen;
    s->count++;
    return true;
}

static void set_remove(struct agents_set *s, const struct agent_seen *seen)
{
    uint32_t at = place_of(s, seen->card->serial);
    if (at == s->count || s->members[at] != seen)
        return;
    s->count--;
    memmove(&s->members[at], &s->members[at + 1], (s->count - at) * sizeof(struct agent_seen *));
}

/* -- keys ---------------------------------------------------------------------------------------------------
 */

static uint64_t hash_of(const struct agents_index *index, const char *text)
{
    uint64_t h = 0xcbf29ce484222325u ^ index->seed; /* FNV-1a */
    for (const char *c = text; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    h = (h ^ (h >> 30) ^ index->seed) * 0xbf58476d1ce4e5b9u;
    return h ^ (h >> 31);
}

static struct agents_key **link_of(const struct agents_keys *keys, uint64_t hash, const char *text)
{
    struct agents_key **link = &keys->buckets[hash & keys->mask];
    while (*link && ((*link)->hash != hash || strcmp((*link)->text, text) != 0))
        link = &(*link)->next;
    return link;
}

/* Without memory for more buckets it goes on with longer chains. */
static void grow(struct agents_keys *keys)
{
    uint32_t mask = keys->mask * 2 + 1;
    struct agents_key **buckets = calloc(mask + 1u, sizeof(*buckets));
    if (!buckets)
        return;
    for (uint32_t i = 0; i <= keys->mask; i++) {
        struct agents_key *key = keys->buckets[i];
        while (key) {
            struct agents_key *next = key->next;
            key->next = buckets[key->hash & mask];
            buckets[key->hash & mask] = key;
            key = next;
        }
    }
    free(keys->buckets);
    keys->buckets = buckets;
    keys->mask = mask;
}

static struct agents_key *key_get(struct agents_index *index, enum config_strategy strategy, const char *text)
{
    struct agents_keys *keys = &index->keys[strategy];
    uint64_t hash = hash_of(index, text);
    struct agents_key *key = *link_of(keys, hash, text);
    if (key)
        return key;
    size_t size = strlen(text) + 1;
    key = calloc(1, sizeof(*key) + size);
    if (!key)
        return NULL;
    memcpy(key->text, text, size);
    key->hash = hash;
    if (keys->count > keys->mask)
        grow(keys);
    *link_of(keys, hash, text) = key;
    keys->count++;
    return key;
}

static void key_free_unused(struct agents_keys *keys, struct agents_key *key)
{
    if (key->set.count > 0)
        return;
    *link_of(keys, key->hash, key->text) = key->next;
    keys->count--;
    free(key->set.members);
    free(key);
}

static struct agents_key *key_add(struct agents_index *index, enum config_strategy strategy, const char *text,
                                  struct agent_seen *seen)
{
    struct agents_key *key = key_get(index, strategy, text);
    if (!key || set_add(&key->set, seen))
        return key;
    key_free_unused(&index->keys[strategy], key);
    return NULL;
}

static void key_remove(struct agents_index *index, enum config_strategy strategy, const char *text,
                       const struct agent_seen *seen)
{
    struct agents_keys *keys = &index->keys[strategy];
    struct agents_key *key = *link_of(keys, hash_of(index, text), text);
    if (!key)
        return;
    set_remove(&key->set, seen);
    key_free_unused(keys, key);
}

/* -- all of it ----------------------------------------------------------------------------------------------
 */

int agents_index_init(struct agents_index *index, uint64_t seed)
{
    memset(index, 0, sizeof(*index));
    index->seed = seed;
    for (unsigned i = 0; i < CONFIG_STRATEGIES; i++) {
        struct agents_keys *keys = &index->keys[i];
        keys->buckets = calloc(BUCKETS_FIRST, sizeof(*keys->buckets));
        keys->mask = BUCKETS_FIRST - 1;
        if (!keys->buckets) {
            agents_index_fini(index);
            return -ENOMEM;
        }
    }
    return 0;
}

void agents_index_fini(struct agents_index *index)
{
    ASSERT(index->all.count == 0 && index->routes.count == 0);
    for (unsigned i = 0; i < CONFIG_STRATEGIES; i++) {
        ASSERT(index->keys[i].count == 0);
        free(index->keys[i].buckets);
    }
    free(index->all.members);
    free(index->routes.members);
}

static bool add(struct agents_index *index, struct agent_seen *seen)
{
    const struct agent_card *card = seen->card;
    seen->by_id = key_add(index, CONFIG_STRATEGY_DEFAULT, card->id, seen);
    if (!seen->by_id || !set_add(&index->all, seen))
        return false;
    if (card->default_route) {
        seen->by_route = key_add(index, CONFIG_STRATEGY_DEFAULT_ROUTE, card->id, seen);
        if (!seen->by_route || !set_add(&index->routes, seen))
            return false;
    }
    for (uint32_t i = 0; i < card->host_count; i++)
        if (!key_add(index, CONFIG_STRATEGY_DEST_HOST, card->hosts[i], seen))
            return false;
    return true;
}

struct agent_seen *agents_index_add(struct agents_index *index, struct agent_card *card)
{
    struct agent_seen *seen = calloc(1, sizeof(*seen));
    if (!seen)
        return NULL;
    seen->card = card;
    if (add(index, seen))
        return seen;
    agents_index_remove(index, seen);
    free(seen);
    return NULL;
}

struct agent_seen *agents_index_find(const struct agents_index *index, const struct agent_card *card)
{
    uint32_t at = place_of(&index->all, card->serial);
    struct agent_seen *seen = at < index->all.count ? index->all.members[at] : NULL;
    return seen && seen->card == card ? seen : NULL;
}

void agents_index_remove(struct agents_index *index, struct agent_seen *seen)
{
    const struct agent_card *card = seen->card;
    set_remove(&index->all, seen);
    set_remove(&index->routes, seen);
    key_remove(index, CONFIG_STRATEGY_DEFAULT, card->id, seen);
    key_remove(index, CONFIG_STRATEGY_DEFAULT_ROUTE, card->id, seen);
    for (uint32_t i = 0; i < card->host_count; i++)
        key_remove(index, CONFIG_STRATEGY_DEST_HOST, card->hosts[i], seen);
    seen->by_id = seen->by_route = NULL;
}

const struct agents_set *agents_index_host(const struct agents_index *index, const char *host)
{
    const struct agents_key *key = *link_of(&index->keys[CONFIG_STRATEGY_DEST_HOST], hash_of(index, host),
                                            host);
    return key ? &key->set : NULL;
}
