/* tools/kubelet-sim/ledger.c — counting side effects by request id.
 *
 * A request is entered when its head is dispatched to a handler, before any fault acts on the answer: a real
 * kubelet would have done the deed by then, whether or not the client ever hears of it. At most once means:
 * no count above 1. */
#include "tools/kubelet-sim/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/kubelet-sim/fleet.h"

struct ledger_entry {
    struct ledger_entry *next;
    uint32_t count, node, hash;
    char method[12];
    char id[];
};

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){0};
    pthread_mutex_init(&ledger->lock, NULL);
}

static void clear(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->slots_n; i++) {
        for (struct ledger_entry *e = ledger->slots[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    }
    free(ledger->slots);
    ledger->slots = NULL;
    ledger->slots_n = ledger->entries = ledger->duplicates = 0;
    ledger->effects = ledger->dropped = 0;
}

void ledger_clear(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    clear(ledger);
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_fini(struct ledger *ledger)
{
    clear(ledger);
    pthread_mutex_destroy(&ledger->lock);
}

static uint32_t hash_of(const char *id, size_t n)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)id[i]) * 16777619u;
    return h;
}

static bool grow(struct ledger *ledger)
{
    size_t n = ledger->slots_n ? ledger->slots_n * 2 : 1024;
    struct ledger_entry **slots = calloc(n, sizeof(struct ledger_entry *));
    if (!slots)
        return ledger->slots_n > 0; /* longer chains will do */
    for (size_t i = 0; i < ledger->slots_n; i++) {
        for (struct ledger_entry *e = ledger->slots[i], *next; e; e = next) {
            next = e->next;
            e->next = slots[e->hash & (n - 1)];
            slots[e->hash & (n - 1)] = e;
        }
    }
    free(ledger->slots);
    ledger->slots = slots;
    ledger->slots_n = n;
    return true;
}

static struct ledger_entry *find(struct ledger *ledger, const char *id, size_t n)
{
    uint32_t hash = hash_of(id, n);
    if (ledger->slots_n == 0)
        return NULL;
    for (struct ledger_entry *e = ledger->slots[hash & (ledger->slots_n - 1)]; e; e = e->next)
        if (e->hash == hash && strlen(e->id) == n && memcmp(e->id, id, n) == 0)
            return e;
    return NULL;
}

static void record(struct ledger *ledger, const struct http_request *request, uint32_t node)
{
    struct slice id = request->request_id;
    struct ledger_entry *e = find(ledger, id.at, id.n);
    ledger->effects++;
    if (e) {
        e->count++;
        ledger->duplicates += e->count == 2;
        return;
    }
    if (ledger->entries >= LEDGER_ENTRIES_MAX || (ledger->entries >= ledger->slots_n && !grow(ledger)) ||
        !(e = calloc(1, sizeof(*e) + id.n + 1))) {
        ledger->dropped++;
        return;
    }
    e->count = 1;
    e->node = node;
    e->hash = hash_of(id.at, id.n);
    memcpy(e->id, id.at, id.n);
    snprintf(e->method, sizeof(e->method), "%.*s", (int)request->method.n, request->method.at);
    e->next = ledger->slots[e->hash & (ledger->slots_n - 1)];
    ledger->slots[e->hash & (ledger->slots_n - 1)] = e;
    ledger->entries++;
}

void ledger_record(struct ledger *ledger, const struct http_request *request, uint32_t node)
{
    static const char *const idempotent[] = {"GET",    "HEAD",    "PUT",
                                             "DELETE", "OPTIONS", "TRACE"}; /* RFC 9110 9.2.2 */
    for (size_t i = 0; i < sizeof(idempotent) / sizeof(*idempotent); i++)
        if (slice_is(request->method, idempotent[i]))
            return;
    if (request->request_id.n == 0)
        return;
    pthread_mutex_lock(&ledger->lock);
    record(ledger, request, node);
    pthread_mutex_unlock(&ledger->lock);
}

static void report_entry(struct text *out, const struct ledger_entry *e)
{
    char name[NAME_MAX_BYTES];
    fleet_name(e->node, name);
    text_addf(out, "{\"id\":");
    text_add_json(out, e->id);
    text_addf(out, ",\"count\":%u,\"method\":", e->count);
    text_add_json(out, e->method);
    text_addf(out, ",\"node\":\"%s\"}", name);
}

void ledger_report(struct ledger *ledger, struct text *out, const char *id, bool all)
{
    pthread_mutex_lock(&ledger->lock);
    if (id) {
        struct ledger_entry *e = find(ledger, id, strlen(id));
        if (e) {
            report_entry(out, e);
        } else {
            text_addf(out, "{\"id\":");
            text_add_json(out, id);
            text_addf(out, ",\"count\":0}");
        }
    } else {
        const char *separator = "";
        text_addf(out, "{\"ids\":%zu,\"effects\":%llu,\"duplicates\":%zu,\"dropped\":%llu,\"%s\":[",
                  ledger->entries, (unsigned long long)ledger->effects, ledger->duplicates,
                  (unsigned long long)ledger->dropped, all ? "entries" : "duplicated");
        for (size_t i = 0; i < ledger->slots_n; i++) {
            for (struct ledger_entry *e = ledger->slots[i]; e; e = e->next) {
                if (!all && e->count < 2)
                    continue;
                text_addf(out, "%s", separator);
                report_entry(out, e);
                separator = ",";
            }
        }
        text_addf(out, "]}");
    }
    text_addf(out, "\n");
    pthread_mutex_unlock(&ledger->lock);
}
