/* io/resolve.h — names to addresses by c-ares: one resolver per worker, with a bounded cache. Owner worker
 * only.
 *
 * Questions for one name that meet share one query. An answer is an event (never from inside a call) and
 * comes by its deadline. Positive answers live as long as the record says, within [1 s, 30 s]; negative ones
 * 1 s.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/ending.h"
#include "io/list.h"
#include "io/net.h"
#include "io/timer.h"

struct resolve_name;
struct resolver;
struct worker;

enum {
    RESOLVE_ADDRESSES_MAX = 16,
    RESOLVE_NAME_MAX = 253, /* RFC 1035 section 2.3.4, as text without the trailing dot */
};

struct resolver_options {
    const char *servers;     /* "127.0.0.1:5353,[::1]:53"; NULL: those of resolv.conf */
    const char *resolv_conf; /* another file in its place; NULL: /etc/resolv.conf */
    bool no_hosts_file;      /* do not look into /etc/hosts */
    bool search;
    /* Also try the search domains of resolv.conf. Off by default: what a name means should not depend on the
     * machine, and a search sends private names to more zones. A name with a trailing dot is absolute. */
    uint32_t names_max;     /* names remembered; 0: 4096 */
    uint32_t queries_max;   /* names asked for at once; 0: 256 */
    uint32_t try_ms, tries; /* of one server: first wait (doubled each round), rounds; 0: 600 ms, 2 */
};

MUST_USE int resolve_global_init(void);
/* Once, before threads. 0 or -ENOMEM. */
void resolve_global_fini(void);

MUST_USE int resolver_new(struct worker *, const struct resolver_options *, struct resolver **ret);
/* After worker_start_clock(). NULL options: defaults. 0, -ENOMEM, -EINVAL for servers that do not parse. */
void resolver_free(struct resolver **);
/* Asserts that nobody waits for an answer: cancel first. Not from inside done(). */

/* Embedded by the one who asks. resolve_init() once, then any number of questions, one at a time. */
struct resolve {
    struct list node;          /* resolver's */
    struct timer timer;        /* resolver's */
    struct resolver *resolver; /* NULL when not pending */
    struct resolve_name *name; /* resolver's; NULL when the answer needs none */
    uint16_t port;
    enum ending refusal; /* resolver's: the answer when name is NULL */
    void (*done)(struct resolve *, enum ending, const struct net_address *addresses, unsigned count);
    /* DONE with 1 to 16 addresses (lent, in order of preference by RFC 6724); or none with NAME_UNKNOWN,
     * NAME_TIMEOUT or LIMIT. May start the same question anew, and may free it. */
};

void resolve_init(struct resolve *, void (*done)(struct resolve *, enum ending,
                                                 const struct net_address *addresses, unsigned count));
void resolve_start(struct resolver *, struct resolve *, const char *name, uint16_t port,
                   uint64_t deadline_ns);
/* Asserts that name is no IP literal; an invalid name is answered with NAME_UNKNOWN. */
void resolve_cancel(struct resolve *);
/* done() will not come. Harmless when not pending. The query goes on for the cache. */
static inline bool resolve_is_pending(const struct resolve *r)
{
    return r->resolver != NULL;
}

bool resolve_name_is_valid(const char *name);
/* RFC 1123 labels, underscore tolerated, at most 253 bytes, one trailing dot allowed; the last label is not a
 * number, so that no misspelt IPv4 address passes for a name. Any thread. */

struct resolver_status {
    uint32_t names, asking,
        waiting; /* remembered (asking included), queries under way, unanswered questions */
    uint64_t queries, hits;
};
struct resolver_status resolver_status(const struct resolver *);
void resolver_check(const struct resolver *);
/* Asserts every invariant. For tests. */
