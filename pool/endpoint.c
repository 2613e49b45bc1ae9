/* pool/endpoint.c — see endpoint.h: find or make by whole key, evict the longest unused, and free what nobody
 * pins any more. */
#include "pool/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_priv.h"

/* FNV-1a over the bytes that name the endpoint, ends marked so that "a","bc" and "ab","c" differ, then a
 * final mix (splitmix64): both a power of two and a number of workers are taken from it. */
static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

uint64_t endpoint_key_hash(const struct endpoint_key *k)
{
    uint64_t h = 0xcbf29ce484222325u;
    h = hash_bytes(h, &k->profile->id, sizeof(k->profile->id));
    h = hash_bytes(h, &k->port, sizeof(k->port));
    h = hash_bytes(h, k->host, strlen(k->host));
    h = hash_bytes(h, k->node_name, strlen(k->node_name));
    h = hash_bytes(h, &k->rules, sizeof(k->rules));
    if (k->path)
        h = hash_bytes(h, &k->path->id, sizeof(k->path->id));
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

static uint32_t path_id(const struct endpoint_key *k)
{
    return k->path ? k->path->id : 0;
}

/* A profile id and generation stand for everything in the profile: roots, client certificate, verify mode,
 * ALPN. */
bool endpoint_key_equal(const struct endpoint_key *a, const struct endpoint_key *b)
{
    return a->port == b->port && a->rules == b->rules && path_id(a) == path_id(b) &&
           a->profile->id == b->profile->id && a->profile->generation == b->profile->generation &&
           strcmp(a->host, b->host) == 0 && strcmp(a->node_name, b->node_name) == 0;
}

int endpoint_table_init(struct endpoint_table *t, uint32_t endpoints_max)
{
    uint32_t buckets = 16;
    while (buckets < endpoints_max && buckets < 1u << 24)
        buckets *= 2;
    t->buckets = calloc(buckets, sizeof(*t->buckets));
    if (!t->buckets)
        return -ENOMEM;
    t->buckets_mask = buckets - 1;
    slab_init(&t->slab, "endpoints", sizeof(struct endpoint), endpoints_max);
    list_init(&t->all);
    list_init(&t->unused);
    return 0;
}

static struct endpoint **bucket_of(struct endpoint_table *t, uint64_t hash)
{
    return &t->buckets[hash & t->buckets_mask];
}

static void endpoint_free(struct endpoint *e)
{
    struct pool *pool = e->pool;
    ASSERT(e->pins == 0);
    ASSERT(e->waiting == 0);
    tickets_flush(&pool->tickets, &e->tickets);
    health_forget(&e->health, pool->worker);
    struct endpoint **link = bucket_of(&pool->endpoints, e->hash);
    while (*link != e)
        link = &(*link)->bucket_next;
    *link = e->bucket_next;
    list_remove(&e->all_node);
    list_remove(&e->unused_node);
    list_remove(&e->hungry_node); /* its waiters have left since */
    list_remove(&e->served_node);
    gauge_sub(pool->worker, COUNTER_pool_endpoints, 1);
    slab_give(&pool->endpoints.slab, e);
}

void endpoint_table_fini(struct pool *pool)
{
    struct endpoint_table *t = &pool->endpoints;
    while (!list_empty(&t->unused))
        endpoint_free(list_entry(t->unused.next, struct endpoint, unused_node));
    ASSERT(list_empty(&t->all));
    slab_fini(&t->slab);
    free(t->buckets);
    *t = (struct endpoint_table){0};
}

static struct endpoint *endpoint_new(struct pool *pool, const struct endpoint_key *key, uint64_t hash)
{
    struct endpoint_table *t = &pool->endpoints;
    if (t->slab.used == t->slab.objects_max && !list_empty(&t->unused))
        endpoint_free(list_entry(t->unused.next, struct endpoint, unused_node));
    struct endpoint *e = slab_take(&t->slab);
    if (!e)
        return NULL;
    e->pool = pool;
    e->hash = hash;
    e->key = *key;
    e->shares = key->profile->shared ? UINT32_MAX : 1;
    e->retired = pool_generation_is_over(pool, key->profile);
    const char *expected = key->profile->server_name[0] ? key->profile->server_name : key->host;
    if (!net_address_parse(key->host, strlen(key->host), key->port, &e->literal))
        e->literal.len = 0;
    if (!net_address_parse(expected, strlen(expected), key->port, &e->expect_ip))
        e->expect_ip.len = 0;
    list_init(&e->all_node);
    list_init(&e->unused_node);
    list_init(&e->hungry_node);
    list_init(&e->served_node);
    list_init(&e->waiters);
    for (int state = 0; state < CONN_DEAD; state++)
        list_init(&e->conns[state]);
    tickets_init(&e->tickets);
    struct endpoint **bucket = bucket_of(t, hash);
    e->bucket_next = *bucket;
    *bucket = e;
    list_add_tail(&t->all, &e->all_node);
    list_add_tail(&t->unused, &e->unused_node);
    counter_add(pool->worker, COUNTER_pool_endpoints, 1);
    return e;
}

struct endpoint *endpoint_get(struct pool *pool, const struct endpoint_key *key)
{
    uint64_t hash = endpoint_key_hash(key);
    struct endpoint *e = *bucket_of(&pool->endpoints, hash);
    while (e && (e->hash != hash || !endpoint_key_equal(&e->key, key)))
        e = e->bucket_next;
    if (!e)
        e = endpoint_new(pool, key, hash);
    if (e)
        endpoint_pin(e);
    return e;
}

void endpoint_pin(struct endpoint *e)
{
    e->pins++;
    list_remove(&e->unused_node);
}

void endpoint_unpin(struct endpoint *e)
{
    ASSERT(e->pins > 0);
    if (--e->pins > 0)
        return;
    if (e->retired)
        endpoint_free(e);
    else
        list_add_tail(&e->pool->endpoints.unused, &e->unused_node);
}

void endpoint_retire(struct endpoint *e)
{
    e->retired = true;
    tickets_flush(&e->pool->tickets, &e->tickets);
    if (e->pins == 0)
        endpoint_free(e);
}
