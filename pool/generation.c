/* pool/generation.c — trust generations of profiles: a reload of roots or of a client certificate makes a new
 * one, and what was verified or resumed under an old one is not lent any more. */
#include <stdlib.h>

#include "pool/pool_priv.h"

bool pool_generation_is_over(const struct pool *pool, const struct pool_profile *profile)
{
    for (uint32_t i = 0; i < pool->generations_count; i++)
        if (pool->generations[i].profile_id == profile->id)
            return profile->generation < pool->generations[i].generation;
    return false;
}

static void generation_set(struct pool *pool, uint32_t profile_id, uint32_t generation)
{
    for (uint32_t i = 0; i < pool->generations_count; i++) {
        if (pool->generations[i].profile_id != profile_id)
            continue;
        if (pool->generations[i].generation < generation)
            pool->generations[i].generation = generation;
        return;
    }
    struct pool_generation *more = realloc(pool->generations,
                                           (pool->generations_count + 1u) * sizeof(*pool->generations));
    ASSERT(more); /* a few bytes at a reload: not the place to live on half informed */
    pool->generations = more;
    more[pool->generations_count++] = (struct pool_generation){profile_id, generation};
}

void pool_retire_generation(struct pool *pool, uint32_t profile_id, uint32_t generation)
{
    generation_set(pool, profile_id, generation);
    list_each_safe(n, tmp, &pool->endpoints.all)
    {
        struct endpoint *e = list_entry(n, struct endpoint, all_node);
        if (e->retired || !pool_generation_is_over(pool, e->key.profile))
            continue;
        pool_retire_unused(e, ENDING_CANCELLED);
        endpoint_retire(e);
    }
}

bool pool_uses_generation(const struct pool *pool, uint32_t profile_id, uint32_t generation)
{
    for (const struct list *n = pool->endpoints.all.next; n != &pool->endpoints.all; n = n->next) {
        const struct pool_profile *profile = list_entry(n, struct endpoint, all_node)->key.profile;
        if (profile->id == profile_id && profile->generation == generation)
            return true;
    }
    return false;
}
