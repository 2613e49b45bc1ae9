/* broker/kube/token_cache.c — see token_cache.h. Hashes are SHA-256 of secrets, so nobody can choose their
 * buckets. */
#include "broker/kube/token_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 /* a power of two; more agents than that share some */ };

#define B(s) (1u << TOKEN_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[TOKEN_STATES] = {
    [TOKEN_NEW] = {"new",     B(ASKED)                     },
    [TOKEN_ASKED] = {"asked",   B(NEW) | B(GOOD) | B(REFUSED)},
    [TOKEN_GOOD] = {"good",    B(NEW)                       },
    [TOKEN_REFUSED] = {"refused", 0                            },
};
#undef B

static void set_state(struct token_cache *c, struct token_entry *e, enum token_state next)
{
    ASSERT(states[e->state].next & (1u << next));
    c->count[e->state]--;
    list_remove(&e->order);
    e->state = next;
    c->count[next]++;
    list_add_tail(&c->order[next], &e->order);
}

static struct list *bucket_of(const struct token_cache *c, const uint8_t *hash)
{
    uint32_t index;
    memcpy(&index, hash, sizeof(index));
    return &c->buckets[index & (BUCKETS - 1)];
}

void token_cache_drop(struct token_cache *c, struct token_entry *e)
{
    c->count[e->state]--;
    list_remove(&e->order);
    list_remove(&e->bucket);
    slab_give(&c->entries, e);
}

/* Makes room for one more of a state: the longest unused of it goes. */
static void evict(struct token_cache *c, enum token_state state)
{
    while (c->count[state] >= c->max[state])
        token_cache_drop(c, list_entry(c->order[state].next, struct token_entry, order));
}

int token_cache_init(struct token_cache *c, uint32_t asked_max, uint32_t good_max, uint32_t refused_max)
{
    const uint32_t max[TOKEN_STATES] = {[TOKEN_NEW] = good_max,
                                        [TOKEN_ASKED] = asked_max,
                                        [TOKEN_GOOD] = good_max,
                                        [TOKEN_REFUSED] = refused_max};
    *c = (struct token_cache){.buckets = calloc(BUCKETS, sizeof(struct list))};
    if (!c->buckets)
        return -ENOMEM;
    memcpy(c->max, max, sizeof(max));
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&c->buckets[i]);
    for (unsigned i = 0; i < TOKEN_STATES; i++)
        list_init(&c->order[i]);
    slab_init(&c->entries, "tokens", sizeof(struct token_entry), 2 * good_max + asked_max + refused_max + 1);
    return 0;
}

void token_cache_fini(struct token_cache *c)
{
    for (unsigned i = 0; c->buckets && i < TOKEN_STATES; i++)
        while (!list_empty(&c->order[i]))
            token_cache_drop(c, list_entry(c->order[i].next, struct token_entry, order));
    if (c->buckets)
        slab_fini(&c->entries);
    free(c->buckets);
    c->buckets = NULL;
}

struct token_entry *token_cache_find(struct token_cache *c, const uint8_t hash[TOKEN_HASH_BYTES],
                                     uint64_t now_ns)
{
    struct list *bucket = bucket_of(c, hash);
    list_each_safe(node, tmp, bucket)
    {
        struct token_entry *e = list_entry(node, struct token_entry, bucket);
        if (memcmp(e->hash, hash, TOKEN_HASH_BYTES) != 0)
            continue;
        bool over = now_ns >= e->expires_ns;
        if (e->state == TOKEN_REFUSED && over) {
            token_cache_drop(c, e);
            return NULL;
        }
        if (e->state == TOKEN_GOOD && over) {
            evict(c, TOKEN_NEW);
            set_state(c, e, TOKEN_NEW);
        }
        list_remove(&e->order);
        list_add_tail(&c->order[e->state], &e->order);
        return e;
    }
    return NULL;
}

struct token_entry *token_cache_add(struct token_cache *c, const uint8_t hash[TOKEN_HASH_BYTES])
{
    evict(c, TOKEN_NEW);
    struct token_entry *e = token_cache_may_ask(c) ? slab_take(&c->entries) : NULL;
    if (!e)
        return NULL;
    memcpy(e->hash, hash, sizeof(e->hash));
    list_init(&e->bucket);
    list_init(&e->order);
    list_add_tail(bucket_of(c, hash), &e->bucket);
    list_add_tail(&c->order[TOKEN_NEW], &e->order);
    c->count[TOKEN_NEW]++;
    return e;
}

bool token_cache_may_ask(const struct token_cache *c)
{
    return c->count[TOKEN_ASKED] < c->max[TOKEN_ASKED];
}

void token_cache_ask(struct token_cache *c, struct token_entry *e)
{
    ASSERT(token_cache_may_ask(c));
    set_state(c, e, TOKEN_ASKED);
}

void token_cache_know(struct token_cache *c, struct token_entry *e, bool good, uint64_t expires_ns)
{
    evict(c, good ? TOKEN_GOOD : TOKEN_REFUSED);
    e->flight = NULL;
    e->was_good = good;
    e->expires_ns = expires_ns;
    set_state(c, e, good ? TOKEN_GOOD : TOKEN_REFUSED);
}

void token_cache_forget(struct token_cache *c, struct token_entry *e)
{
    e->flight = NULL;
    if (!e->was_good) {
        token_cache_drop(c, e);
        return;
    }
    evict(c, TOKEN_NEW);
    set_state(c, e, TOKEN_NEW);
}
