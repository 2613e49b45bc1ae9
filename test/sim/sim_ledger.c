/* test/sim/sim_ledger.c — see sim_ledger.h. */
#include "sim_ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VIOLATIONS_TOLD = 5 };

struct sim_exchange *sim_ledger_add(struct sim_ledger *l)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->exchanges = realloc(l->exchanges, l->cap * sizeof(*l->exchanges));
        ASSERT(l->exchanges != NULL);
    }
    struct sim_exchange *x = &l->exchanges[l->count++];
    *x = (struct sim_exchange){.id = l->count};
    l->outcomes[OUTCOME_PENDING]++;
    return x;
}

struct sim_exchange *sim_ledger_find(struct sim_ledger *l, uint32_t id)
{
    return id >= 1 && id <= l->count ? &l->exchanges[id - 1] : NULL;
}

void sim_ledger_end(struct sim_ledger *l, uint32_t id, enum sim_outcome outcome, uint64_t now_ns)
{
    struct sim_exchange *x = sim_ledger_find(l, id);
    ASSERT(x != NULL && outcome != OUTCOME_PENDING);
    if (x->outcome != OUTCOME_PENDING)
        sim_violation(l, id, "ended twice: %s, then %s", sim_outcome_name(x->outcome),
                      sim_outcome_name(outcome));
    l->outcomes[x->outcome]--;
    l->outcomes[outcome]++;
    x->outcome = outcome;
    x->ended_ns = now_ns;
}

void sim_ledger_fini(struct sim_ledger *l)
{
    free(l->exchanges);
    *l = (struct sim_ledger){0};
}

void sim_violation(struct sim_ledger *l, uint32_t id, const char *fmt, ...)
{
    const struct sim_exchange *x = sim_ledger_find(l, id);
    if (l->violations++ >= VIOLATIONS_TOLD) /* hundreds may follow from one mistake */
        return;
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "\nviolation, exchange %u", id);
    if (x)
        fprintf(stderr, " (%s, backend %u %s, request %u, answer %u)", sim_method_name(x->method), x->backend,
                sim_act_text(x->act), x->request_len, x->answer_len);
    fprintf(stderr, ": ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
}

uint8_t sim_body_byte(uint32_t id, enum sim_side side, uint64_t at)
{
    uint32_t x = (id * 2 + (uint32_t)side) * 0x9e3779b1u + (uint32_t)(at * 0x85ebca6bu);
    return (uint8_t)((x ^ (x >> 15)) * 0x2c1b3c6du >> 19);
}

void sim_body_fill(uint32_t id, enum sim_side side, uint64_t at, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = sim_body_byte(id, side, at + i);
}

bool sim_body_matches(uint32_t id, enum sim_side side, uint64_t at, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != sim_body_byte(id, side, at + i))
            return false;
    return true;
}

const char *sim_method_name(enum sim_method m)
{
    static const char *const names[METHOD_COUNT] = {"GET", "HEAD", "PUT", "POST"};
    return names[m];
}

bool sim_is_idempotent(enum sim_method m)
{
    return m != METHOD_POST;
}

const char *sim_act_text(enum sim_act act)
{
    static const char *const texts[ACT_COUNT] = {
#define X(symbol, text) text,
        SIM_ACTS(X)
#undef X
    };
    return texts[act];
}

const char *sim_outcome_name(enum sim_outcome o)
{
    static const char *const names[OUTCOME_COUNT] = {
#define X(symbol) #symbol,
        SIM_OUTCOMES(X)
#undef X
    };
    return names[o];
}
