/* io/tls/tls_mint.c — see tls_mint.h. A table of buckets, and all entries in one list from the longest unused
 * to the last one asked for. An entry always has a context; one whose renewal fails keeps the old until that
 * expires. A certificate that ends with its issuer is not renewed: the next would end at the same time.
 */
#include "io/tls/tls_mint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "io/list.h"
#include "io/slab.h"
#include "io/tls/tls.h"
#include "io/tls/tls_issuer.h"
#include "io/tls/tls_roots.h"
#include "io/worker.h"

struct lifetime {
    int64_t from_s, renew_s, until_s;
};

struct entry {
    struct list node; /* of tls_mint.used */
    struct entry *bucket_next;
    uint64_t hash;
    struct tls_host host;
    struct tls_context *context;
    struct lifetime life;
};

struct tls_mint {
    struct worker *worker;
    struct tls_mint_options options;
    char *alpn; /* of the options */
    struct slab entries;
    struct list used;
    uint64_t seed;
    uint32_t buckets_mask;
    struct entry *buckets[];
};

int tls_mint_new(struct worker *w, const struct tls_mint_options *o, struct tls_mint **ret)
{
    ASSERT(o->issuer && o->client_roots);
    uint32_t entries_max = o->entries_max ? o->entries_max : TLS_MINT_ENTRIES, buckets = 16;
    while (buckets < entries_max && buckets < 1u << 24)
        buckets *= 2;
    struct tls_mint *m = calloc(1, sizeof(*m) + buckets * sizeof(struct entry *));
    if (!m || (o->alpn && !(m->alpn = strdup(o->alpn)))) {
        free(m);
        return -ENOMEM;
    }
    m->worker = w;
    m->options = *o;
    m->options.alpn = m->alpn;
    m->options.life_s = o->life_s ? o->life_s : TLS_MINT_LIFE_S;
    tls_issuer_ref(o->issuer);
    tls_roots_ref(o->client_roots);
    slab_init(&m->entries, "minted", sizeof(struct entry), entries_max);
    list_init(&m->used);
    m->seed = worker_random(w);
    m->buckets_mask = buckets - 1;
    *ret = m;
    return 0;
}

/* FNV-1a and a final mix, as for endpoints; from a seed of our own, since clients choose the names. */
static uint64_t hash_of(const struct tls_mint *m, const struct tls_host *host)
{
    uint64_t h = 0xcbf29ce484222325u ^ m->seed;
    for (const char *p = host->text; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    return h ^ (h >> 31);
}

static struct entry *find(struct tls_mint *m, const struct tls_host *host, uint64_t hash)
{
    struct entry *e = m->buckets[hash & m->buckets_mask];
    while (e && (e->hash != hash || strcmp(e->host.text, host->text) != 0))
        e = e->bucket_next;
    return e;
}

static void entry_drop(struct tls_mint *m, struct entry *e)
{
    struct entry **link = &m->buckets[e->hash & m->buckets_mask];
    while (*link != e)
        link = &(*link)->bucket_next;
    *link = e->bucket_next;
    list_remove(&e->node);
    tls_context_unref(&e->context);
    slab_give(&m->entries, e);
    gauge_sub(m->worker, COUNTER_minted_kept, 1);
}

static struct entry *entry_new(struct tls_mint *m, const struct tls_host *host, uint64_t hash)
{
    if (m->entries.used == m->entries.objects_max)
        entry_drop(m, list_entry(m->used.next, struct entry, node));
    struct entry *e = slab_take(&m->entries);
    if (!e)
        return NULL;
    e->hash = hash;
    e->host = *host;
    struct entry **bucket = &m->buckets[hash & m->buckets_mask];
    e->bucket_next = *bucket;
    *bucket = e;
    list_init(&e->node);
    list_add_tail(&m->used, &e->node);
    counter_add(m->worker, COUNTER_minted_kept, 1);
    return e;
}

static struct lifetime lifetime_of(const struct tls_mint *m, const struct tls_minted *minted)
{
    int64_t from = minted->not_before_s, until = minted->not_after_s;
    bool last = until >= tls_issuer_not_after_s(m->options.issuer);
    return (struct lifetime){from, last ? until : until - (until - from) / 3, until};
}

/* A context with a new certificate. NULL with one line. */
static struct tls_context *make(struct tls_mint *m, const struct tls_host *host, int64_t now_s,
                                struct lifetime *ret_life, struct tls_detail d)
{
    struct tls_minted minted;
    struct tls_context *c = NULL;
    char name[TLS_HOST_MAX + 40];
    if (!tls_issuer_mint(m->options.issuer, host, now_s, m->options.life_s, &minted, d))
        return NULL;
    snprintf(name, sizeof(name), "the certificate made for %s", host->text);
    struct tls_context_options o = {
        .role = TLS_SERVER,
        .roots = m->options.client_roots,
        .own = &(struct tls_own_identity){minted.chain, minted.chain_len, minted.key, sizeof(minted.key)},
        .certificate_file = name,
        .key_file = name,
        .alpn = m->options.alpn,
        .allow_tls12 = m->options.allow_tls12,
    };
    if (tls_context_new(&o, &c, d.text, d.size) == 0) {
        counter_add(m->worker, COUNTER_minted, 1);
        *ret_life = lifetime_of(m, &minted);
    }
    tls_minted_drop(&minted);
    return c;
}

static struct entry *entry_renew(struct tls_mint *m, const struct tls_host *host, struct entry *e,
                                 int64_t now_s, struct tls_detail d)
{
    struct lifetime life;
    struct tls_context *c = make(m, host, now_s, &life, d);
    if (!c)
        return e && now_s >= e->life.from_s && now_s < e->life.until_s ? e : NULL;
    if (!e)
        e = entry_new(m, host, hash_of(m, host));
    if (!e) {
        tls_detail_set(d, "out of memory");
        tls_context_unref(&c);
        return NULL;
    }
    tls_context_unref(&e->context); /* streams have references of their own */
    e->context = c;
    e->life = life;
    return e;
}

struct tls_context *tls_mint_get(struct tls_mint *m, const char *host_text, char *ret_detail,
                                 size_t detail_size)
{
    struct tls_detail d = {ret_detail, detail_size};
    struct engine *engine = m->worker->engine;
    int64_t now_s = (int64_t)(engine->ops->wall_ns(engine) / 1000000000u);
    struct tls_host host;
    if (!tls_host_parse(host_text, &host, d))
        return NULL;
    struct entry *e = find(m, &host, hash_of(m, &host));
    if (!e || now_s < e->life.from_s || now_s >= e->life.renew_s)
        e = entry_renew(m, &host, e, now_s, d);
    if (!e)
        return NULL;
    list_remove(&e->node);
    list_add_tail(&m->used, &e->node);
    return e->context;
}

static void drop_all(struct tls_mint *m)
{
    while (!list_empty(&m->used))
        entry_drop(m, list_entry(m->used.next, struct entry, node));
}

void tls_mint_replace(struct tls_mint *m, struct tls_issuer *issuer, struct tls_roots *client_roots)
{
    drop_all(m);
    tls_issuer_unref(&m->options.issuer);
    tls_roots_unref(&m->options.client_roots);
    m->options.issuer = tls_issuer_ref(issuer);
    m->options.client_roots = tls_roots_ref(client_roots);
}

void tls_mint_free(struct tls_mint **mint)
{
    struct tls_mint *m = *mint;
    *mint = NULL;
    if (!m)
        return;
    drop_all(m);
    slab_fini(&m->entries);
    tls_issuer_unref(&m->options.issuer);
    tls_roots_unref(&m->options.client_roots);
    free(m->alpn);
    free(m);
}
