/* broker/konnectivity/agents.c — agents are announced to all workers, known to them, and forgotten. See
 * agents.h.
 *
 *   home to all     KNOWN, then LEFT          to: the card
 *   all to home     FORGOTTEN                 to: the card
 *
 * Order holds between two workers, so whatever a worker had to say to a card's home comes there before
 * FORGOTTEN does, and the last of them frees the card. A worker that has no memory for an agent does without
 * it and answers LEFT all the same. Nothing waits for a clock here: when the workers have stopped and what
 * they posted was delivered, every card that was withdrawn is freed. */
#include <errno.h>
#include <stdlib.h>

#include "broker/broker_worker.h"
#include "broker/konnectivity/agents_index.h"
#include "io/worker.h"

struct agent_card *agent_card_new(uint32_t host_count)
{
    struct agent_card *card = calloc(1, sizeof(*card));
    if (!card)
        return NULL;
    card->hosts = calloc(host_count + 1u, sizeof(*card->hosts));
    if (!card->hosts) {
        free(card);
        return NULL;
    }
    return card;
}

void agent_card_free(struct agent_card **cardp)
{
    struct agent_card *card = *cardp;
    *cardp = NULL;
    free(card->hosts);
    free(card);
}

/* -- at home ------------------------------------------------------------------------------------------------
 */

static void deliver_forgotten(struct worker *w, struct msg *msg)
{
    struct agent_card *card = msg->to;
    ASSERT(card->home == w->number);
    ASSERT(card->holders > 0);
    if (--card->holders == 0)
        agent_card_free(&card);
}

static void tell_all(struct broker_worker *home, struct agent_card *card,
                     void (*deliver)(struct worker *, struct msg *))
{
    struct msg msg = {.deliver = deliver, .to = card};
    for (unsigned i = 0; i < home->worker->count; i++)
        mailbox_post(home->worker, i, &msg);
}

/* -- everywhere ---------------------------------------------------------------------------------------------
 */

static void say_forgotten(struct agents *a, struct agent_card *card)
{
    struct msg msg = {.deliver = deliver_forgotten, .to = card};
    mailbox_post(a->bw->worker, card->home, &msg);
}

static void forget_unused(struct agents *a, struct agent_seen *seen)
{
    if (!seen->withdrawn || seen->halves > 0)
        return;
    say_forgotten(a, seen->card);
    ASSERT(a->leaving > 0);
    a->leaving--;
    free(seen);
}

static void show_counts(struct agents *a)
{
    struct konnectivity_stats *stats = &a->bw->stats;
    const struct agents_keys *keys = a->index.keys;
    stats_set_backends(stats, STATS_DEFAULT, keys[CONFIG_STRATEGY_DEFAULT].count);
    stats_set_backends(stats, STATS_DEST_HOST, keys[CONFIG_STRATEGY_DEST_HOST].count);
    stats_set_backends(stats, STATS_DEFAULT_ROUTE, keys[CONFIG_STRATEGY_DEFAULT_ROUTE].count);
}

static void deliver_known(struct worker *w, struct msg *msg)
{
    struct agents *a = broker_worker_of(w)->agents;
    struct agent_card *card = msg->to;
    bool known = agents_index_add(&a->index, card) != NULL;
    show_counts(a);
    if (known)
        return;
    log_begin(w, LOG_WARN, "agent_unknown");
    log_str(w, "agent", card->id);
    log_str(w, "detail", "out of memory for it on this worker");
    log_end(w);
}

static void deliver_left(struct worker *w, struct msg *msg)
{
    struct agents *a = broker_worker_of(w)->agents;
    struct agent_seen *seen = agents_index_find(&a->index, msg->to);
    if (!seen) { /* there was no memory for it */
        say_forgotten(a, msg->to);
        return;
    }
    agents_index_remove(&a->index, seen);
    seen->withdrawn = true;
    show_counts(a);
    a->leaving++;
    forget_unused(a, seen);
}

void agents_announce(struct broker_worker *home, struct agent_card *card)
{
    ASSERT(card->home == home->worker->number);
    card->holders = home->worker->count;
    tell_all(home, card, deliver_known);
}

void agents_withdraw(struct broker_worker *home, struct agent_card **cardp)
{
    struct agent_card *card = *cardp;
    *cardp = NULL;
    ASSERT(card->home == home->worker->number);
    ASSERT(card->call == NULL);
    tell_all(home, card, deliver_left);
}

void agents_let_go(struct agents *a, struct agent_seen **seenp)
{
    struct agent_seen *seen = *seenp;
    *seenp = NULL;
    ASSERT(seen->halves > 0);
    seen->halves--;
    atomic_fetch_sub_explicit(&seen->card->load, 1, memory_order_relaxed);
    forget_unused(a, seen);
}

struct agent_card *agents_card(const struct agent_seen *seen)
{
    return seen->card;
}

void agents_each(const struct agents *a, bool (*visit)(const struct agent_card *, void *), void *arg)
{
    for (uint32_t i = 0; i < a->index.all.count && visit(a->index.all.members[i]->card, arg); i++) {
    }
}

int agents_new(struct broker_worker *bw, struct agents **ret)
{
    struct agents *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->bw = bw;
    int rc = agents_index_init(&a->index, worker_random(bw->worker));
    if (rc < 0) {
        free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

void agents_free(struct agents **ap)
{
    struct agents *a = *ap;
    *ap = NULL;
    if (!a)
        return;
    ASSERT(a->leaving == 0);
    agents_index_fini(&a->index);
    free(a);
}
