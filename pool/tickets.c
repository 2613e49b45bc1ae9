/* pool/tickets.c — see tickets.h. Blobs are kept in three sizes of slabs, because a session is 0.2 KiB
 * without and above 1 KiB with a client's certificate chain in it, and ten thousand endpoints have some each.
 * The largest class is rare and gets fewer places; what finds no place is not kept. */
#include "pool/tickets.h"

#include <string.h>

#include "io/tls/tls.h"
#include "io/worker.h"

static const struct {
    const char *name;
    uint32_t bytes, share; /* places: one for so many tickets allowed */
} classes[] = {
    {"tickets 512", 512,                  1},
    {"tickets 2k",  2048,                 1},
    {"tickets 8k",  TLS_TICKET_BYTES_MAX, 8},
};
_Static_assert(ARRAY_SIZE(classes) == TICKET_CLASSES, "a slab per class");
_Static_assert(TLS_TICKET_BYTES_MAX <= UINT16_MAX, "struct ticket counts its bytes in 16 bits");

void ticket_store_init(struct ticket_store *s, struct worker *w, uint32_t tickets_max)
{
    s->worker = w;
    for (int c = 0; c < TICKET_CLASSES; c++)
        slab_init(&s->classes[c], classes[c].name, sizeof(struct ticket) + classes[c].bytes,
                  tickets_max / classes[c].share + 1);
}

void ticket_store_fini(struct ticket_store *s)
{
    for (int c = 0; c < TICKET_CLASSES; c++)
        slab_fini(&s->classes[c]);
}

void tickets_init(struct tickets *t)
{
    *t = (struct tickets){0};
    list_init(&t->list);
}

static void ticket_drop(struct ticket_store *s, struct tickets *t, struct ticket *ticket)
{
    list_remove(&ticket->node);
    t->count--;
    gauge_sub(s->worker, COUNTER_tickets, 1);
    explicit_bzero(ticket->bytes, ticket->len);
    slab_give(&s->classes[ticket->class], ticket);
}

static struct ticket *ticket_oldest(struct tickets *t)
{
    return list_entry(t->list.prev, struct ticket, node);
}

void tickets_add(struct ticket_store *s, struct tickets *t, uint32_t count_max, const uint8_t *bytes,
                 size_t len, bool single_use)
{
    if (count_max == 0 || len == 0 || len > TLS_TICKET_BYTES_MAX)
        return;
    while (t->count >= count_max)
        ticket_drop(s, t, ticket_oldest(t));
    uint8_t class = 0;
    while (len > classes[class].bytes)
        class ++;
    struct ticket *ticket = slab_take(&s->classes[class]);
    if (!ticket)
        return;
    ticket->stored_ns = s->worker->now_ns;
    ticket->len = (uint16_t)len;
    ticket->class = class;
    ticket->single_use = single_use;
    memcpy(ticket->bytes, bytes, len);
    list_init(&ticket->node);
    list_add_head(&t->list, &ticket->node);
    t->count++;
    counter_add(s->worker, COUNTER_tickets, 1);
    counter_add(s->worker, COUNTER_tickets_stored, 1);
}

const struct ticket *tickets_newest(struct ticket_store *s, struct tickets *t)
{
    uint64_t now = s->worker->now_ns;
    while (!list_empty(&t->list) && now - ticket_oldest(t)->stored_ns >= TICKET_AGE_MAX_S * 1000000000ull)
        ticket_drop(s, t, ticket_oldest(t));
    if (list_empty(&t->list) || now < t->quiet_until_ns)
        return NULL;
    return list_entry(t->list.next, struct ticket, node);
}

/* RFC 8446 appendix C.4: a ticket used twice lets an observer link the two connections, so each is used once
 * as long as there is another. The last one is kept: several dials may start before the first of them brings
 * a new ticket, Go's servers (kubelets) take a ticket any number of times, and who watches the wire knows
 * both addresses anyway. A server that takes each ticket once answers with a full handshake, which is what we
 * would have had without. */
void tickets_offered(struct ticket_store *s, struct tickets *t, const struct ticket *offered)
{
    if (offered->single_use && t->count > 1)
        ticket_drop(s, t, list_entry(t->list.next, struct ticket, node));
}

void tickets_accepted(struct tickets *t)
{
    t->refusals = 0;
}

/* A refusal nearly always says that the peer lost its ticket keys: what it issued before is worth nothing. */
void tickets_refused(struct ticket_store *s, struct tickets *t, uint64_t offered_ns)
{
    while (!list_empty(&t->list) && ticket_oldest(t)->stored_ns <= offered_ns)
        ticket_drop(s, t, ticket_oldest(t));
    if (++t->refusals < TICKET_REFUSALS_MAX)
        return;
    t->refusals = 0;
    t->quiet_until_ns = s->worker->now_ns + TICKET_QUIET_MS * 1000000ull;
}

void tickets_flush(struct ticket_store *s, struct tickets *t)
{
    while (!list_empty(&t->list))
        ticket_drop(s, t, ticket_oldest(t));
}

void tickets_check(const struct tickets *t, uint32_t count_max)
{
    uint32_t count = 0;
    uint64_t newer_ns = UINT64_MAX;
    for (const struct list *n = t->list.next; n != &t->list; n = n->next, count++) {
        const struct ticket *ticket = list_entry(n, struct ticket, node);
        ASSERT(ticket->stored_ns <= newer_ns);
        ASSERT(ticket->len > 0 && ticket->len <= classes[ticket->class].bytes);
        newer_ns = ticket->stored_ns;
    }
    ASSERT(count == t->count);
    ASSERT(count <= count_max);
}
