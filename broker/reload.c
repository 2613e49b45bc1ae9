/* broker/reload.c — see reload.h.
 *
 * Each set of files (credential_set.h) is judged by itself, so that a broken one keeps no other from being
 * renewed:
 *
 *   in force -> settling   its files look changed
 *   settling -> in force   two looks agreed, and what was read is good or what was there already
 *   settling -> refused    it is not good: said once, read again when it changes or after a while
 *
 * All sets that are good at one look are published together. No further look reads anything before all
 * workers have adopted what was published, so that there are never more than two snapshots.
 */
#include "broker/reload.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/broker.h"
#include "broker/config/config.h"
#include "broker/config/config_nodes.h"
#include "broker/credential_set.h"
#include "broker/credentials.h"
#include "io/log.h"

enum { ADOPTION_CHECK_MS = 100 }; /* workers turn every 250 ms at least */

enum set_state { SET_IN_FORCE, SET_SETTLING, SET_REFUSED };

struct watch {
    enum set_state state;
    uint64_t due_ms;                /* settling, refused: it is read then */
    char said[CREDENTIAL_TEXT_MAX]; /* refused: why */
    bool published;                 /* to be said when all workers have adopted it: */
    struct credential_report report;
};

struct reload {
    struct broker *broker;
    struct credential_set *sets;
    struct watch *watches; /* [set] */
    unsigned count;
    struct credentials *before; /* the snapshot before the newest, until all have left it */
    struct list identities;     /* replaced, and perhaps still used */
    uint64_t next_ms;
    sem_t wake;
    _Atomic bool asked;
    unsigned results[CREDENTIAL_MOVED + 1]; /* of the last look, by enum credential_result */
    bool answer_due;                        /* that look was asked for: they are said */
    _Atomic uint64_t done, failed;          /* of sets */
    _Atomic unsigned refused;               /* sets whose files are not those in force */
};

/* -- publishing ---------------------------------------------------------------------------------------------
 */

static struct credentials *newest(const struct reload *r)
{
    return atomic_load_explicit(&r->broker->credentials, memory_order_relaxed);
}

static void leave_identity(struct reload *r, const struct pool_profile *profile)
{
    struct identity *i = container_of((struct pool_profile *)(uintptr_t)profile, struct identity, profile);
    atomic_store_explicit(&i->users, r->broker->count, memory_order_relaxed);
    list_add_tail(&r->identities, &i->node);
}

static void publish(struct reload *r, struct credentials *next)
{
    struct credentials *now = newest(r);
    ASSERT(r->before == NULL);
    for (uint32_t i = 0; i < now->profile_count; i++)
        if (now->profiles[i] != next->profiles[i])
            leave_identity(r, now->profiles[i]);
    r->before = now;
    atomic_store_explicit(&r->broker->credentials, next, memory_order_release);
}

unsigned reload_identities_left(const struct reload *r)
{
    unsigned n = 0;
    for (const struct list *node = r->identities.next; node != &r->identities; node = node->next)
        n++;
    return n;
}

/* -- looking ------------------------------------------------------------------------------------------------
 */

static uint64_t settle_ms(const struct reload *r)
{
    uint32_t interval = r->broker->config->reload_ms;
    return interval > 0 && interval < RELOAD_SETTLE_MS ? interval : RELOAD_SETTLE_MS;
}

static void watch_set_state(struct watch *w, enum set_state state, uint64_t due_ms)
{
    w->state = state;
    w->due_ms = due_ms;
}

static void count_refused(struct reload *r)
{
    unsigned refused = 0;
    for (unsigned i = 0; i < r->count; i++)
        refused += r->watches[i].said[0] != '\0';
    atomic_store_explicit(&r->refused, refused, memory_order_relaxed);
}

/* Said once, unless somebody asks. */
static void say_refused(struct reload *r, struct watch *w, const struct credential_report *report, bool asked)
{
    if (!asked && strcmp(w->said, report->text) == 0)
        return;
    snprintf(w->said, sizeof(w->said), "%s", report->text);
    atomic_fetch_add_explicit(&r->failed, 1, memory_order_relaxed);
    log_any_thread(LOG_ERROR, "reload_failed", "%s; what was in force stays", report->text);
}

static void say_same(const struct reload *r, unsigned i)
{
    if (r->watches[i].said[0])
        log_any_thread(LOG_INFO, "reloaded", "%s %s: its files are those in force again",
                       credential_kind_text(r->sets[i].kind), r->sets[i].name);
}

static enum credential_result read_set(struct reload *r, unsigned i, struct credentials *next,
                                       uint64_t now_ms, bool asked)
{
    struct watch *w = &r->watches[i];
    struct credential_report report;
    enum credential_result result = credential_set_load(&r->sets[i], r->broker->config, next, &report);
    switch (result) {
    case CREDENTIAL_LOADED:
        w->published = true;
        w->report = report;
        break;
    case CREDENTIAL_SAME: say_same(r, i); break;
    case CREDENTIAL_REFUSED:
        say_refused(r, w, &report, asked);
        watch_set_state(w, SET_REFUSED, now_ms + RELOAD_RETRY_MS);
        return result;
    case CREDENTIAL_MOVED: watch_set_state(w, SET_SETTLING, now_ms + settle_ms(r)); return result;
    }
    w->said[0] = '\0';
    watch_set_state(w, asked ? SET_SETTLING /* it may be written to at this moment */ : SET_IN_FORCE,
                    now_ms + settle_ms(r));
    return result;
}

/* Is it time to read the set? */
static bool is_due(struct reload *r, unsigned i, uint64_t now_ms, bool asked)
{
    struct watch *w = &r->watches[i];
    if (credential_set_looks_changed(&r->sets[i]) && !asked)
        watch_set_state(w, SET_SETTLING, now_ms + settle_ms(r));
    return asked || (w->state != SET_IN_FORCE && now_ms >= w->due_ms);
}

/* What was published is told when it is in force everywhere. */
static void say_adopted(struct reload *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        struct watch *w = &r->watches[i];
        if (!w->published)
            continue;
        w->published = false;
        atomic_fetch_add_explicit(&r->done, 1, memory_order_relaxed);
        log_any_thread(LOG_INFO, "reloaded", "%s", w->report.text);
        if (w->report.doubt[0])
            log_any_thread(LOG_WARN, "reloaded", "%s", w->report.doubt);
    }
    if (r->answer_due)
        log_any_thread(LOG_INFO, "reload", "asked: %u changed, %u refused, %u as they were",
                       r->results[CREDENTIAL_LOADED],
                       r->results[CREDENTIAL_REFUSED] + r->results[CREDENTIAL_MOVED],
                       r->results[CREDENTIAL_SAME]);
    r->answer_due = false;
}

/* Frees what nobody can refer to any more. False while some worker has yet to adopt the newest. */
static bool clear_away(struct reload *r)
{
    if (r->before && atomic_load_explicit(&newest(r)->adopted, memory_order_acquire) == r->broker->count)
        credentials_free(&r->before);
    if (!r->before)
        say_adopted(r);
    list_each_safe(node, tmp, &r->identities)
    {
        struct identity *i = list_entry(node, struct identity, node);
        if (atomic_load_explicit(&i->users, memory_order_acquire) == 0)
            identity_free(&i);
    }
    return r->before == NULL;
}

static bool look(struct reload *r, uint64_t now_ms, bool asked)
{
    struct credentials *next = NULL;
    memset(r->results, 0, sizeof(r->results));
    for (unsigned i = 0; i < r->count; i++) {
        if (!is_due(r, i, now_ms, asked))
            continue;
        if (!next)
            next = credentials_copy(newest(r));
        if (!next)
            return false;
        r->results[read_set(r, i, next, now_ms, asked)]++;
    }
    if (r->results[CREDENTIAL_LOADED] > 0)
        publish(r, next);
    else
        credentials_free(&next);
    count_refused(r);
    r->answer_due |= asked;
    return true;
}

/* By itself only at intervals; sooner where something settles, is to be read again, or waits for workers. */
static uint64_t due_next(const struct reload *r, uint64_t now_ms)
{
    uint32_t interval = r->broker->config->reload_ms;
    uint64_t due = interval ? now_ms + interval : UINT64_MAX;
    for (unsigned i = 0; i < r->count; i++)
        if (r->watches[i].state != SET_IN_FORCE && r->watches[i].due_ms < due)
            due = r->watches[i].due_ms;
    if (r->before && now_ms + ADOPTION_CHECK_MS < due)
        due = now_ms + ADOPTION_CHECK_MS;
    else if (!list_empty(&r->identities) && now_ms + RELOAD_RETRY_MS < due)
        due = now_ms + RELOAD_RETRY_MS;
    return due;
}

uint64_t reload_look(struct reload *r, uint64_t now_ms, bool asked)
{
    if (!clear_away(r)) {
        if (asked)
            atomic_store_explicit(&r->asked, true, memory_order_relaxed); /* not forgotten */
        return now_ms + ADOPTION_CHECK_MS;
    }
    if (!look(r, now_ms, asked))
        log_any_thread(LOG_ERROR, "reload_failed", "out of memory; what was in force stays");
    (void)clear_away(r);
    return due_next(r, now_ms);
}

/* -- the thread ---------------------------------------------------------------------------------------------
 */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Who drains looks at nothing any more, so only waking ends the wait. */
static bool waits_for_time(const struct reload *r)
{
    return r->next_ms != UINT64_MAX && !atomic_load_explicit(&r->broker->draining, memory_order_relaxed);
}

void reload_wait(struct reload *r)
{
    struct timespec until = {.tv_sec = (time_t)(r->next_ms / 1000),
                             .tv_nsec = (long)(r->next_ms % 1000) * 1000000};
    int rc = waits_for_time(r) ? sem_clockwait(&r->wake, CLOCK_MONOTONIC, &until) : sem_wait(&r->wake);
    if (rc == 0 || errno == ETIMEDOUT) {
        bool asked = atomic_exchange_explicit(&r->asked, false, memory_order_relaxed);
        uint64_t now = now_ms();
        if (!atomic_load_explicit(&r->broker->draining, memory_order_relaxed) && (asked || now >= r->next_ms))
            r->next_ms = reload_look(r, now, asked);
    }
}

void reload_wake_any_thread(struct reload *r)
{
    sem_post(&r->wake);
}

void reload_ask_any_thread(struct reload *r)
{
    atomic_store_explicit(&r->asked, true, memory_order_relaxed);
    sem_post(&r->wake);
}

/* -- life ---------------------------------------------------------------------------------------------------
 */

/* What needs no files: identities, and names of nodes. */
static int make_own(struct reload *r, struct credentials *c)
{
    for (uint32_t n = 0; n < c->route_count; n++)
        c->nodes[n] = config_nodes_ref(r->broker->config->routes[n].nodes);
    for (uint32_t n = IDENTITY_PLAIN; n < IDENTITIES_OWN; n++) {
        struct identity *i = identity_new(r->broker->count);
        if (!i)
            return -ENOMEM;
        i->profile = (struct pool_profile){.id = n, .single_use = n == IDENTITY_OPAQUE};
        c->profiles[n] = &i->profile;
    }
    return 0;
}

static int load_first(struct reload *r, struct credentials *c, char *detail, size_t detail_size)
{
    struct credential_report report;
    int rc = make_own(r, c);
    snprintf(detail, detail_size, "out of memory for credentials");
    for (unsigned i = 0; rc == 0 && i < r->count; i++) {
        enum credential_result result = credential_set_load(&r->sets[i], r->broker->config, c, &report);
        if (result == CREDENTIAL_LOADED)
            continue;
        snprintf(detail, detail_size, "%s",
                 result == CREDENTIAL_MOVED ? "files were changed while they were read" : report.text);
        rc = -EINVAL;
    }
    return rc;
}

int reload_new(struct broker *b, struct reload **ret, char *ret_detail, size_t detail_size)
{
    struct reload *r = calloc(1, sizeof(*r));
    struct credentials *first = r ? credentials_new(b->config) : NULL;
    snprintf(ret_detail, detail_size, "out of memory for credentials");
    if (!first || credential_sets_new(b->config, &r->sets, &r->count) < 0 ||
        !(r->watches = calloc(r->count + 1u, sizeof(*r->watches)))) {
        credentials_free(&first);
        if (r)
            free(r->sets);
        free(r);
        return -ENOMEM;
    }
    r->broker = b;
    list_init(&r->identities);
    sem_init(&r->wake, 0, 0);
    r->next_ms = b->config->reload_ms ? now_ms() + b->config->reload_ms : UINT64_MAX;
    atomic_store_explicit(&b->credentials, first, memory_order_release);
    *ret = r;
    return load_first(r, first, ret_detail, detail_size);
}

void reload_free(struct reload **reload)
{
    struct reload *r = *reload;
    *reload = NULL;
    if (!r)
        return;
    struct credentials *last = newest(r);
    for (uint32_t i = 0; i < last->profile_count; i++)
        if (last->profiles[i])
            leave_identity(r, last->profiles[i]);
    list_each_safe(node, tmp, &r->identities)
    {
        struct identity *i = list_entry(node, struct identity, node);
        identity_free(&i);
    }
    credentials_free(&last);
    credentials_free(&r->before);
    atomic_store_explicit(&r->broker->credentials, NULL, memory_order_relaxed);
    sem_destroy(&r->wake);
    for (unsigned i = 0; i < r->count; i++)
        explicit_bzero(r->sets[i].files, sizeof(r->sets[i].files));
    free(r->sets);
    free(r->watches);
    free(r);
}

/* -- /metrics -----------------------------------------------------------------------------------------------
 */

static void print_dates(const struct reload *r, FILE *out)
{
    fputs("# HELP hawser_certificate_not_after_seconds when a certificate in force expires, since 1970; of a "
          "file of CAs, the first to do so\n"
          "# TYPE hawser_certificate_not_after_seconds gauge\n",
          out);
    for (unsigned i = 0; i < r->count; i++) {
        const struct credential_set *s = &r->sets[i];
        for (unsigned f = 0; f < s->file_count; f++) {
            int64_t when = atomic_load_explicit(&s->files[f].not_after_s, memory_order_relaxed);
            if (when)
                fprintf(out, "hawser_certificate_not_after_seconds{%s=\"%s\",file=\"%s\"} %lld\n",
                        credential_kind_text(s->kind), s->name, s->files[f].field, (long long)when);
        }
    }
}

void reload_print_metrics(const struct reload *r, FILE *out)
{
    fprintf(out,
            "# HELP hawser_reloads_total sets of certificates, keys, CAs, tokens and node names that were "
            "read again, by "
            "what came of it\n"
            "# TYPE hawser_reloads_total counter\n"
            "hawser_reloads_total{result=\"done\"} %llu\n"
            "hawser_reloads_total{result=\"failed\"} %llu\n",
            (unsigned long long)atomic_load_explicit(&r->done, memory_order_relaxed),
            (unsigned long long)atomic_load_explicit(&r->failed, memory_order_relaxed));
    fprintf(out,
            "# HELP hawser_reloads_refused sets whose files are not those in force, because they are not fit "
            "for use\n"
            "# TYPE hawser_reloads_refused gauge\nhawser_reloads_refused %u\n",
            atomic_load_explicit(&r->refused, memory_order_relaxed));
    print_dates(r, out);
}
