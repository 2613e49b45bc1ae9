/* broker/kube/token_cache.h — what is known of tokens, by their SHA-256: bounded, the longest unused one goes
 * first. Refused ones have a bound of their own, so that whoever sends rubbish cannot drive the good ones
 * out. Knows no API and no time but what it is told. Owner worker only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/list.h"
#include "io/slab.h"

enum { TOKEN_HASH_BYTES = 32, TOKEN_WHY_MAX = 200 };

enum token_state {
    TOKEN_NEW,     /* not asked yet */
    TOKEN_ASKED,   /* the API server is being asked */
    TOKEN_GOOD,    /* until expires_ns; afterwards it is remembered as one that was good */
    TOKEN_REFUSED, /* until expires_ns */
    TOKEN_STATES,
};

struct token_entry {
    struct list bucket;
    struct list order; /* of its state, the longest unused first */
    uint8_t hash[TOKEN_HASH_BYTES];
    enum token_state state;
    bool was_good;
    uint64_t expires_ns;
    char why[TOKEN_WHY_MAX]; /* of a refused one */
    void *flight;            /* the owner's, of one that is asked */
};

struct token_cache {
    struct list *buckets;
    struct list order[TOKEN_STATES];
    uint32_t count[TOKEN_STATES], max[TOKEN_STATES];
    struct slab entries;
};

MUST_USE int token_cache_init(struct token_cache *, uint32_t asked_max, uint32_t good_max,
                              uint32_t refused_max);
/* 0 or -ENOMEM. */
void token_cache_fini(struct token_cache *);
struct token_entry *token_cache_find(struct token_cache *, const uint8_t hash[TOKEN_HASH_BYTES],
                                     uint64_t now_ns);
/* NULL: nothing is known, or not any more. One whose state is NEW was good, and has to be asked for again. A
 * use. */
struct token_entry *token_cache_add(struct token_cache *, const uint8_t hash[TOKEN_HASH_BYTES]);
/* A new one; NULL: out of memory, or asked_max are being asked. */
bool token_cache_may_ask(const struct token_cache *);
void token_cache_ask(struct token_cache *, struct token_entry *);
/* From NEW. */
void token_cache_know(struct token_cache *, struct token_entry *, bool good, uint64_t expires_ns);
/* What was asked is known now. May forget another one. */
void token_cache_forget(struct token_cache *, struct token_entry *);
/* What was asked stays unknown; that it was good once is remembered. */
void token_cache_drop(struct token_cache *, struct token_entry *);
/* As if it had never been there. */
