/* io/resolve.c — see resolve.h: the names a worker knows or asks for, and the questions that wait for them.
 *
 * A name is being asked for or known (for a while, or no longer); it is pinned by its query and by each
 * question that has it in hand, and stands in the LRU list exactly when nobody pins it. A question waits on
 * its name's list under a timer; answered, it moves to the resolver's `answered` list, which one deferred
 * task works off. c-ares cannot call off a single query, so a query whose askers have left runs on and feeds
 * the cache; queries are bounded in number and by their tries.
 */
#include "io/resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/resolve_channel.h"
#include "io/worker.h"

enum { NAMES_MAX = 4096, QUERIES_MAX = 256 };
enum { TTL_MIN_S = 1, TTL_MAX_S = 30, TTL_NEGATIVE_S = 1 };

static const uint64_t second_ns = 1000000000u;

enum name_state { NAME_KNOWN, NAME_ASKING };

struct resolve_name {
    struct list bucket, lru;
    struct resolver *resolver;
    enum name_state state;
    uint32_t pins;
    struct list waiting; /* struct resolve */
    uint64_t expires_ns;
    enum ending ending; /* DONE: addresses */
    uint16_t count;
    struct {
        sa_family_t family;
        uint8_t bytes[16];
    } addresses[RESOLVE_ADDRESSES_MAX];
    char text[RESOLVE_NAME_MAX + 2]; /* lower case; with a trailing dot only where search is on */
};

struct resolver {
    struct worker *worker;
    struct resolve_channel *channel;
    bool search;
    uint32_t queries_max;
    struct slab names;
    struct list lru;      /* oldest first */
    struct list answered; /* struct resolve */
    struct task deliver;
    uint64_t hash_seed;
    uint32_t bucket_mask;
    struct list *buckets;
    struct resolver_status status;
};

int resolve_global_init(void)
{
    return ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS ? 0 : -ENOMEM;
}

void resolve_global_fini(void)
{
    ares_library_cleanup();
}

/* -- names -------------------------------------------------------------------------------------------------
 */

static bool label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool resolve_name_is_valid(const char *name)
{
    size_t len = strnlen(name, RESOLVE_NAME_MAX + 2);
    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len == 0 || len > RESOLVE_NAME_MAX)
        return false;
    size_t label = 0;
    bool number = true;
    for (size_t i = 0; i <= len; i++) {
        if (i == len || name[i] == '.') {
            if (label == 0 || label > 63 || name[i - 1] == '-')
                return false;
            if (i == len)
                return !number;
            label = 0;
            number = true;
            continue;
        }
        if (!label_char(name[i]) && (name[i] != '-' || label == 0))
            return false;
        number = number && name[i] >= '0' && name[i] <= '9';
        label++;
    }
    return false;
}

static void name_normalise(const struct resolver *res, const char *name, char text[RESOLVE_NAME_MAX + 2])
{
    size_t len = strlen(name);
    if (!res->search && name[len - 1] == '.')
        len--; /* absolute anyway */
    for (size_t i = 0; i < len; i++)
        text[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
    text[len] = '\0';
}

/* Seeded, so that clients who choose names cannot choose buckets. */
static struct list *bucket_of(const struct resolver *res, const char *text)
{
    uint64_t h = res->hash_seed;
    for (; *text; text++) {
        h = (h ^ (uint8_t)*text) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return &res->buckets[h & res->bucket_mask];
}

static void name_pin(struct resolve_name *n)
{
    if (n->pins++ == 0)
        list_remove(&n->lru);
}

static void name_unpin(struct resolve_name *n)
{
    ASSERT(n->pins > 0);
    if (--n->pins == 0)
        list_add_tail(&n->resolver->lru, &n->lru);
}

static void name_forget(struct resolve_name *n)
{
    ASSERT(n->pins == 0);
    ASSERT(list_empty(&n->waiting));
    list_remove(&n->bucket);
    list_remove(&n->lru);
    slab_give(&n->resolver->names, n);
}

/* Pinned, or NULL when everything that is remembered is in use. */
static struct resolve_name *name_get(struct resolver *res, const char *text)
{
    struct list *bucket = bucket_of(res, text);
    list_each_safe(it, tmp, bucket)
    {
        struct resolve_name *n = list_entry(it, struct resolve_name, bucket);
        if (strcmp(n->text, text) == 0) {
            name_pin(n);
            return n;
        }
    }
    if (res->names.used == res->names.objects_max && !list_empty(&res->lru))
        name_forget(list_entry(res->lru.next, struct resolve_name, lru));
    struct resolve_name *n = slab_take(&res->names);
    if (!n)
        return NULL;
    list_init(&n->lru);
    list_init(&n->bucket);
    list_init(&n->waiting);
    n->resolver = res;
    memcpy(n->text, text, strlen(text) + 1);
    list_add_tail(bucket, &n->bucket);
    name_pin(n);
    return n;
}

/* -- answers from c-ares -----------------------------------------------------------------------------------
 */

static void name_add_address(struct resolve_name *n, const struct ares_addrinfo_node *node)
{
    const void *bytes;
    size_t len;
    if (node->ai_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr;
        len = sizeof(struct in_addr);
    } else if (node->ai_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr;
        len = sizeof(struct in6_addr);
    } else {
        return;
    }
    for (unsigned i = 0; i < n->count; i++)
        if (n->addresses[i].family == node->ai_family && memcmp(n->addresses[i].bytes, bytes, len) == 0)
            return; /* hosts files and careless zones repeat themselves */
    n->addresses[n->count].family = (sa_family_t)node->ai_family;
    memcpy(n->addresses[n->count].bytes, bytes, len);
    n->count++;
}

static unsigned name_take_addresses(struct resolve_name *n, const struct ares_addrinfo *info)
{
    int ttl = TTL_MAX_S;
    for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
        ttl = c->ttl < ttl ? c->ttl : ttl;
    n->count = 0;
    for (const struct ares_addrinfo_node *a = info->nodes; a && n->count < RESOLVE_ADDRESSES_MAX;
         a = a->ai_next) {
        name_add_address(n, a);
        ttl = a->ai_ttl < ttl ? a->ai_ttl : ttl;
    }
    return (unsigned)(ttl < TTL_MIN_S ? TTL_MIN_S : ttl);
}

/* How long what was learnt may be used, in seconds; fills the rest. */
static unsigned name_learn(struct resolve_name *n, int status, const struct ares_addrinfo *info)
{
    n->count = 0;
    switch (status) {
    case ARES_SUCCESS: {
        unsigned ttl = name_take_addresses(n, info);
        n->ending = n->count ? ENDING_DONE : ENDING_NAME_UNKNOWN;
        return ttl;
    }
    case ARES_ETIMEOUT: n->ending = ENDING_NAME_TIMEOUT; return 0;
    case ARES_ENOMEM:
    case ARES_EFILE: n->ending = ENDING_LIMIT; return 0;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED: n->ending = ENDING_CANCELLED; return 0;
    default: /* c-ares' codes, not ours: no such name, no data, and servers that refuse, fail or talk nonsense
              */
        n->ending = ENDING_NAME_UNKNOWN;
        return TTL_NEGATIVE_S;
    }
}

static void answer_later(struct resolver *res, struct resolve *r)
{
    list_add_tail(&res->answered, &r->node);
    worker_defer(res->worker, &res->deliver);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct resolve_name *n = arg;
    struct resolver *res = n->resolver;
    ASSERT(n->state == NAME_ASKING);
    n->expires_ns = res->worker->now_ns + name_learn(n, status, info) * second_ns;
    ares_freeaddrinfo(info);
    n->state = NAME_KNOWN;
    res->status.asking--;
    struct list *node;
    while ((node = list_pop(&n->waiting))) {
        struct resolve *r = list_entry(node, struct resolve, node);
        worker_disarm(res->worker, &r->timer);
        answer_later(res, r);
    }
    name_unpin(n);
}

/* -- questions ---------------------------------------------------------------------------------------------
 */

/* The question is its owner's again from here on. */
static void question_leave(struct resolve *r)
{
    struct resolver *res = r->resolver;
    list_remove(&r->node);
    worker_disarm(res->worker, &r->timer);
    if (r->name)
        name_unpin(r->name);
    r->name = NULL;
    r->resolver = NULL;
    ASSERT(res->status.waiting > 0);
    res->status.waiting--;
}

static void question_answer(struct resolve *r)
{
    struct net_address addresses[RESOLVE_ADDRESSES_MAX];
    const struct resolve_name *n = r->name;
    enum ending ending = n ? n->ending : r->refusal;
    unsigned count = n ? n->count : 0;
    memset(addresses, 0, sizeof(*addresses) * count);
    for (unsigned i = 0; i < count; i++) {
        struct net_address *a = &addresses[i];
        a->sa.sa_family = n->addresses[i].family;
        if (a->sa.sa_family == AF_INET) {
            a->len = sizeof(a->in);
            memcpy(&a->in.sin_addr, n->addresses[i].bytes, sizeof(a->in.sin_addr));
        } else {
            a->len = sizeof(a->in6);
            memcpy(&a->in6.sin6_addr, n->addresses[i].bytes, sizeof(a->in6.sin6_addr));
        }
        net_address_set_port(a, r->port);
    }
    question_leave(r);
    r->done(r, ending, count ? addresses : NULL, count);
}

static void deliver_answers(struct task *task)
{
    struct resolver *res = container_of(task, struct resolver, deliver);
    struct list due; /* what callbacks ask now is answered by the task's next run */
    list_init(&due);
    list_splice_tail(&due, &res->answered);
    struct list *node;
    while ((node = list_pop(&due)))
        question_answer(list_entry(node, struct resolve, node));
}

static void on_deadline(struct timer *t)
{
    struct resolve *r = container_of(t, struct resolve, timer);
    question_leave(r);
    r->done(r, ENDING_NAME_TIMEOUT, NULL, 0);
}

void resolve_init(struct resolve *r, void (*done)(struct resolve *, enum ending,
                                                  const struct net_address *addresses, unsigned count))
{
    *r = (struct resolve){.done = done};
    list_init(&r->node);
    timer_init(&r->timer, on_deadline);
}

static void refuse(struct resolver *res, struct resolve *r, enum ending why)
{
    if (r->name)
        name_unpin(r->name);
    r->name = NULL;
    r->refusal = why;
    answer_later(res, r);
}

void resolve_start(struct resolver *res, struct resolve *r, const char *name, uint16_t port,
                   uint64_t deadline_ns)
{
    ASSERT(!resolve_is_pending(r));
    struct net_address literal;
    ASSERT(!net_address_parse(name, strlen(name), port, &literal));
    r->resolver = res;
    r->port = port;
    r->name = NULL;
    res->status.waiting++;
    if (!resolve_name_is_valid(name)) {
        refuse(res, r, ENDING_NAME_UNKNOWN);
        return;
    }
    char text[RESOLVE_NAME_MAX + 2];
    name_normalise(res, name, text);
    struct resolve_name *n = r->name = name_get(res, text);
    if (!n) {
        refuse(res, r, ENDING_LIMIT);
        return;
    }
    if (n->state == NAME_KNOWN && res->worker->now_ns < n->expires_ns) {
        res->status.hits++;
        answer_later(res, r);
        return;
    }
    if (n->state == NAME_KNOWN && res->status.asking >= res->queries_max) {
        refuse(res, r, ENDING_LIMIT);
        return;
    }
    list_add_tail(&n->waiting, &r->node);
    timer_arm_at(&res->worker->timers, &r->timer, deadline_ns);
    if (n->state == NAME_ASKING)
        return;
    n->state = NAME_ASKING;
    name_pin(n);
    res->status.asking++;
    res->status.queries++;
    resolve_channel_ask(res->channel, n->text, on_answer, n);
}

void resolve_cancel(struct resolve *r)
{
    if (resolve_is_pending(r))
        question_leave(r);
}

/* -- the resolver ------------------------------------------------------------------------------------------
 */

int resolver_new(struct worker *w, const struct resolver_options *options, struct resolver **ret)
{
    static const struct resolver_options defaults;
    const struct resolver_options *o = options ? options : &defaults;
    struct resolver *res = calloc(1, sizeof(*res));
    if (!res)
        return -ENOMEM;
    uint32_t names_max = o->names_max ? o->names_max : NAMES_MAX, buckets = 1;
    while (buckets < names_max)
        buckets <<= 1;
    res->worker = w;
    res->search = o->search;
    res->queries_max = o->queries_max ? o->queries_max : QUERIES_MAX;
    res->hash_seed = worker_random(w);
    res->bucket_mask = buckets - 1;
    res->buckets = malloc(sizeof(*res->buckets) * buckets);
    int r = res->buckets ? resolve_channel_new(w, o, &res->channel) : -ENOMEM;
    if (r < 0) {
        free(res->buckets);
        free(res);
        return r;
    }
    for (uint32_t i = 0; i < buckets; i++)
        list_init(&res->buckets[i]);
    list_init(&res->lru);
    list_init(&res->answered);
    task_init(&res->deliver, deliver_answers);
    slab_init(&res->names, "resolve names", sizeof(struct resolve_name), names_max);
    *ret = res;
    return 0;
}

void resolver_free(struct resolver **resp)
{
    struct resolver *res = *resp;
    *resp = NULL;
    if (!res)
        return;
    ASSERT(res->status.waiting == 0);
    resolve_channel_free(&res->channel); /* calls back every query under way */
    ASSERT(res->status.asking == 0);
    task_cancel(&res->deliver);
    while (!list_empty(&res->lru))
        name_forget(list_entry(res->lru.next, struct resolve_name, lru));
    slab_fini(&res->names);
    free(res->buckets);
    free(res);
}

struct resolver_status resolver_status(const struct resolver *res)
{
    struct resolver_status status = res->status;
    status.names = res->names.used;
    return status;
}

static uint32_t list_length(const struct list *head)
{
    uint32_t n = 0;
    for (const struct list *it = head->next; it != head; it = it->next)
        n++;
    return n;
}

void resolver_check(const struct resolver *res)
{
    uint32_t names = 0, asking = 0, pins = 0, idle = 0, waiting = list_length(&res->answered);
    for (uint32_t b = 0; b <= res->bucket_mask; b++) {
        list_each_safe(it, tmp, &res->buckets[b])
        {
            const struct resolve_name *n = list_entry(it, struct resolve_name, bucket);
            uint32_t waiters = list_length(&n->waiting);
            names++;
            pins += n->pins;
            waiting += waiters;
            asking += n->state == NAME_ASKING;
            idle += n->pins == 0;
            ASSERT(n->pins >= waiters + (n->state == NAME_ASKING));
            ASSERT((n->pins == 0) == !list_empty(&n->lru));
            ASSERT(n->state == NAME_ASKING || waiters == 0);
            ASSERT(n->count <= RESOLVE_ADDRESSES_MAX);
        }
    }
    ASSERT(names == res->names.used);
    ASSERT(names <= res->names.objects_max);
    ASSERT(asking == res->status.asking);
    ASSERT(asking <= res->queries_max);
    ASSERT(idle == list_length(&res->lru));
    ASSERT(waiting == res->status.waiting);
    ASSERT(pins <= waiting + asking);
}
