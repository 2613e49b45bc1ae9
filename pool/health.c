/* pool/health.c — see health.h. health_set() is the only writer of the breaker; the table says which way it
 * may go and whether the gauge of open breakers counts it. Backing off is decorrelated jitter: each pause is
 * drawn between the minimum and three times the previous one, never beyond the maximum, so that brokers which
 * lost an endpoint together do not come back together. */
#include "pool/health.h"

#include <stdio.h>

#include "io/worker.h"

#define B(state) (1u << (state))

static const struct {
    uint32_t next;
    bool open;
} breakers[] = {
    [BREAKER_CLOSED] = {B(BREAKER_OPEN),                          false},
    [BREAKER_OPEN] = {B(BREAKER_HALF_OPEN) | B(BREAKER_CLOSED), true },
    [BREAKER_HALF_OPEN] = {B(BREAKER_OPEN) | B(BREAKER_CLOSED),      true },
};
_Static_assert(ARRAY_SIZE(breakers) == BREAKER_STATES, "a row per state");

/* What speaks against an endpoint. While dialling: that it could not be reached, or did not prove itself, in
 * time. While leased: only that the way to it is gone. A slow answer, a broken one or a reset in the middle
 * of one is a fact about one request. What is our own doing (limits, cancelling, draining) never counts, and
 * neither does what became of an agent on the way: another one may do, or the same one once it is back. */
static const struct {
    bool dialling, leased;
} failures[ENDING_COUNT] = {
    [ENDING_REFUSED] = {true, true },
    [ENDING_UNREACHABLE] = {true, true },
    [ENDING_FILTERED] = {true, true },
    [ENDING_CONNECT_TIMEOUT] = {true, true },
    [ENDING_NAME_UNKNOWN] = {true, false},
    [ENDING_NAME_TIMEOUT] = {true, false},
    [ENDING_TLS_TIMEOUT] = {true, false},
    [ENDING_TLS_UNTRUSTED] = {true, false},
    [ENDING_TLS_NAME_MISMATCH] = {true, false},
    [ENDING_TLS_EXPIRED] = {true, false},
    [ENDING_TLS_ALERT] = {true, false},
    [ENDING_TLS_PROTOCOL] = {true, false},
    [ENDING_PEER_RESET] = {true, false},
    [ENDING_PEER_LOST] = {true, false}, /* or a middlebox on the way forgot an idle connection */
    [ENDING_TRUNCATED] = {true, false},
    [ENDING_HOST_KEY_MISMATCH] = {true, false},
};

static void health_set(struct health *h, struct worker *w, enum breaker to)
{
    ASSERT(breakers[h->breaker].next & B(to));
    if (breakers[to].open && !breakers[h->breaker].open)
        counter_add(w, COUNTER_breakers_open, 1);
    if (!breakers[to].open && breakers[h->breaker].open)
        gauge_sub(w, COUNTER_breakers_open, 1);
    h->breaker = to;
}

bool health_counts(enum ending ending, enum health_phase phase)
{
    ASSERT((unsigned)ending < ENDING_COUNT);
    return phase == HEALTH_DIALLING ? failures[ending].dialling : failures[ending].leased;
}

bool health_refuses(const struct health *h, uint64_t now_ns)
{
    return h->breaker == BREAKER_HALF_OPEN || (h->breaker == BREAKER_OPEN && now_ns < h->open_until_ns);
}

bool health_dial_started(struct health *h, struct worker *w)
{
    ASSERT(!health_refuses(h, w->now_ns));
    if (h->breaker == BREAKER_CLOSED)
        return false;
    health_set(h, w, BREAKER_HALF_OPEN);
    return true;
}

void health_succeeded(struct health *h, struct worker *w)
{
    h->failures = 0;
    h->backoff_ms = 0;
    if (h->breaker != BREAKER_CLOSED)
        health_set(h, w, BREAKER_CLOSED);
}

static void health_open(struct health *h, struct worker *w, const struct pool_limits *limits)
{
    uint64_t low = limits->backoff_min_ms ? limits->backoff_min_ms : 1;
    uint64_t high = h->backoff_ms ? h->backoff_ms * 3ull : low * 3;
    if (high > limits->backoff_max_ms)
        high = limits->backoff_max_ms;
    h->backoff_ms = (uint32_t)(high <= low ? low : low + worker_random(w) % (high - low + 1));
    h->open_until_ns = w->now_ns + h->backoff_ms * 1000000ull;
    counter_add(w, COUNTER_breakers_opened, 1);
    health_set(h, w, BREAKER_OPEN);
}

bool health_failed(struct health *h, struct worker *w, const struct pool_limits *limits, enum ending ending,
                   const char *detail)
{
    h->last_failure = ending;
    snprintf(h->detail, sizeof(h->detail), "%s", detail);
    h->failures++;
    /* A dial that began before the breaker opened may fail afterwards: that prolongs nothing. */
    bool opens = h->breaker == BREAKER_HALF_OPEN ||
                 (h->breaker == BREAKER_CLOSED && limits->breaker_failures > 0 &&
                  h->failures >= limits->breaker_failures);
    if (opens)
        health_open(h, w, limits);
    return opens;
}

void health_probe_undecided(struct health *h, struct worker *w)
{
    if (h->breaker != BREAKER_HALF_OPEN)
        return;
    h->open_until_ns = w->now_ns;
    health_set(h, w, BREAKER_OPEN);
}

void health_forget(struct health *h, struct worker *w)
{
    if (h->breaker != BREAKER_CLOSED)
        health_set(h, w, BREAKER_CLOSED);
}

void health_check(const struct health *h)
{
    ASSERT((unsigned)h->breaker < BREAKER_STATES);
    ASSERT(h->breaker == BREAKER_CLOSED || h->failures > 0);
    ASSERT(h->breaker == BREAKER_CLOSED || h->backoff_ms > 0);
}
