/* io/mailbox.c — see mailbox.h.
 *
 * The wake protocol is the store-buffer pattern: the producer stores its message and then loads `sleeping`;
 * the consumer stores `sleeping` and then looks for messages. Without a full fence on both sides each can
 * miss the other, on x86 too. ck_ring's own fences order stores with stores and do not replace it. The
 * exchange keeps it to one wake per sleep; every wait is bounded all the same.
 */
#include "io/mailbox.h"

#include <ck_ring.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "io/worker.h"

#if defined(__SANITIZE_THREAD__)
/* ck's atomics are inline assembly, which ThreadSanitizer cannot see: tell it what a ring hand-over orders.
 * Put before take: released before the tail is published, acquired after the tail was seen to move. Take
 * before the next put into that slot: one slot of a ring stays empty, so a slot is filled again only after
 * the message behind it was taken too, and each take first releases what the ones before it have read. */
void __tsan_acquire(void *);
void __tsan_release(void *);
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
CK_RING_PROTOTYPE(msg, msg)
#pragma GCC diagnostic pop

enum { DRAIN_PER_SENDER = 256 };

struct overflow {
    struct msg *msgs;
    uint32_t head, count, cap;
};

struct pair {
    _Alignas(CACHE_LINE) ck_ring_t ring;
    struct msg *slots;
    struct overflow overflow; /* sender's */
};

struct mailboxes {
    unsigned workers;
    uint32_t entries;
    struct pair *pairs; /* [from * workers + to] */
    struct {
        _Alignas(CACHE_LINE) _Atomic unsigned sleeping;
    } * flags;
};

static struct pair *pair_of(const struct mailboxes *m, unsigned from, unsigned to)
{
    return &m->pairs[from * m->workers + to];
}

int mailboxes_new(unsigned workers, uint32_t entries, struct mailboxes **ret)
{
    struct mailboxes *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->workers = workers;
    m->entries = entries;
    m->pairs = aligned_alloc(CACHE_LINE, sizeof(struct pair) * workers * workers);
    m->flags = aligned_alloc(CACHE_LINE, sizeof(*m->flags) * workers);
    if (m->pairs)
        memset(m->pairs, 0, sizeof(struct pair) * workers * workers);
    if (m->flags)
        memset(m->flags, 0, sizeof(*m->flags) * workers);
    for (unsigned i = 0; m->pairs && m->flags && i < workers * workers; i++) {
        struct pair *p = &m->pairs[i];
        ck_ring_init(&p->ring, entries);
        p->slots = aligned_alloc(CACHE_LINE, sizeof(struct msg) * entries);
        if (!p->slots) {
            mailboxes_free(&m);
            return -ENOMEM;
        }
    }
    if (!m->pairs || !m->flags) {
        mailboxes_free(&m);
        return -ENOMEM;
    }
    *ret = m;
    return 0;
}

void mailboxes_free(struct mailboxes **mp)
{
    struct mailboxes *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    for (unsigned i = 0; m->pairs && i < m->workers * m->workers; i++) {
        free(m->pairs[i].slots);
        free(m->pairs[i].overflow.msgs);
    }
    free(m->pairs);
    free(m->flags);
    free(m);
}

static bool ring_put(struct pair *p, const struct msg *msg)
{
#if defined(__SANITIZE_THREAD__)
    if (ck_ring_size(&p->ring) + 1 >= ck_ring_capacity(&p->ring))
        return false;
    __tsan_acquire(&p->slots);
    __tsan_release(&p->ring);
#endif
    return ck_ring_enqueue_spsc_msg(&p->ring, p->slots, (struct msg *)msg);
}

static bool ring_take(struct pair *p, struct msg *ret)
{
#if defined(__SANITIZE_THREAD__)
    if (ck_ring_size(&p->ring) == 0)
        return false;
    __tsan_release(&p->slots);
    __tsan_acquire(&p->ring);
#endif
    return ck_ring_dequeue_spsc_msg(&p->ring, p->slots, ret);
}

/* Bounded by the credits of the sender's objects, not by a number of its own. */
static void overflow_put(struct overflow *o, const struct msg *msg)
{
    if (o->count == o->cap) {
        uint32_t cap = o->cap ? o->cap * 2 : 256;
        struct msg *msgs = malloc(sizeof(*msgs) * cap);
        ASSERT(msgs != NULL); /* a lost message is a lost exchange: there is no good way on */
        for (uint32_t i = 0; i < o->count; i++)
            msgs[i] = o->msgs[(o->head + i) % o->cap];
        free(o->msgs);
        o->msgs = msgs;
        o->head = 0;
        o->cap = cap;
    }
    o->msgs[(o->head + o->count++) % o->cap] = *msg;
}

static void wake_at_flush(struct worker *w, unsigned to)
{
    if (to == w->number || w->dirty_target[to])
        return;
    w->dirty_target[to] = true;
    w->dirty_targets[w->dirty_count++] = (uint16_t)to;
}

void mailbox_post_lazy(struct worker *w, unsigned to, const struct msg *msg)
{
    struct pair *p = pair_of(w->mail, w->number, to);
    if (UNLIKELY(p->overflow.count > 0) || UNLIKELY(!ring_put(p, msg))) {
        overflow_put(&p->overflow, msg);
        counter_add(w, COUNTER_mailbox_overflows, 1);
    }
    counter_add(w, COUNTER_mailbox_messages, 1);
}

void mailbox_post(struct worker *w, unsigned to, const struct msg *msg)
{
    mailbox_post_lazy(w, to, msg);
    wake_at_flush(w, to);
}

unsigned mailbox_drain(struct worker *w)
{
    unsigned n = 0;
    for (unsigned from = 0; from < w->mail->workers; from++) {
        struct pair *p = pair_of(w->mail, from, w->number);
        struct msg msg;
        for (unsigned i = 0; i < DRAIN_PER_SENDER && ring_take(p, &msg); i++, n++)
            msg.deliver(w, &msg);
    }
    return n;
}

bool mailbox_has_mail(const struct worker *w)
{
    for (unsigned from = 0; from < w->mail->workers; from++)
        if (ck_ring_size(&pair_of(w->mail, from, w->number)->ring) > 0)
            return true;
    return false;
}

bool mailbox_is_overflowing(const struct worker *w)
{
    for (unsigned to = 0; to < w->mail->workers; to++)
        if (pair_of(w->mail, w->number, to)->overflow.count > 0)
            return true;
    return false;
}

uint32_t mailbox_depth(const struct worker *w)
{
    uint32_t depth = 0;
    for (unsigned from = 0; from < w->mail->workers; from++)
        depth += ck_ring_size(&pair_of(w->mail, from, w->number)->ring);
    return depth;
}

void mailbox_flush(struct worker *w)
{
    struct mailboxes *m = w->mail;
    for (unsigned to = 0; to < m->workers; to++) {
        struct pair *p = pair_of(m, w->number, to);
        struct overflow *o = &p->overflow;
        while (o->count > 0 && ring_put(p, &o->msgs[o->head])) {
            o->head = (o->head + 1) % o->cap;
            o->count--;
            wake_at_flush(w, to); /* it may have emptied the ring and gone to sleep since */
        }
    }
    if (w->dirty_count == 0)
        return;
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < w->dirty_count; i++) {
        unsigned to = w->dirty_targets[i];
        w->dirty_target[to] = false;
        if (atomic_load_explicit(&m->flags[to].sleeping, memory_order_relaxed) &&
            atomic_exchange(&m->flags[to].sleeping, 0)) {
            counter_add(w, COUNTER_mailbox_wakes, 1);
            w->engine->ops->wake(w->engine, to);
        }
    }
    w->dirty_count = 0;
}

bool mailbox_prepare_sleep(struct worker *w)
{
    if (w->dirty_count > 0)
        mailbox_flush(w); /* posted between two turns: its receivers were not told yet */
    atomic_store_explicit(&w->mail->flags[w->number].sleeping, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (!mailbox_has_mail(w))
        return true;
    mailbox_awake(w);
    return false;
}

void mailbox_awake(struct worker *w)
{
    atomic_store_explicit(&w->mail->flags[w->number].sleeping, 0, memory_order_relaxed);
}
