/* tools/kubelet-sim/fault.c — the faults' table, their syntax and their dice.
 *
 * Which of the faults can befall a node is worked out once per set, as a 64-bit mask per node, so that a
 * healthy node costs one load per request. Chance is a hash of (seed, node, fault, occasion) and not a stream
 * of random numbers: it does not depend on how the kernel spread the connections over the threads, so a run
 * can be repeated. */
#include "tools/kubelet-sim/fault.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/kubelet-sim/options.h"

static const struct {
    const char *name, *help;
    enum fault_moment moment;
    int32_t value, min, max;
} kinds[] = {
#define X(symbol, name, moment, value, min, max, help) {name, help, MOMENT_##moment, value, min, max},
    FAULT_KINDS(X)
#undef X
};
static_assert(FAULT_KINDS_N <= 32, "fault_plan.on holds a bit per kind");

struct fault {
    char target[64];
    enum fault_kind kind;
    int32_t value;
    double probability;
    bool by_node;
};

struct fault_set {
    size_t n;
    struct fault rows[FAULTS_MAX];
    struct fault_fleet fleet;
    uint64_t masks[]; /* per node: which rows can befall it */
};

/* splitmix64's finalizer: enough to make neighbours independent. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static bool chance(double probability, uint64_t a, uint64_t b, uint64_t c)
{
    if (probability >= 1)
        return true;
    return (double)(mix(mix(mix(a) ^ b) ^ c) >> 11) / 9007199254740992.0 < probability; /* 2^53 */
}

bool fault_node_matches(const char *pattern, uint32_t node, uint32_t address)
{
    char text[64];
    struct in_addr network;
    const char *slash = strchr(pattern, '/');
    if (snprintf(text, sizeof(text), "%.*s", slash ? (int)(slash - pattern) : 60, pattern) <
            (int)sizeof(text) &&
        inet_pton(AF_INET, text, &network) == 1) {
        unsigned long bits = slash ? strtoul(slash + 1, NULL, 10) : 32;
        uint32_t mask = bits == 0 ? 0 : bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);
        return ((ntohl(network.s_addr) ^ address) & mask) == 0;
    }
    snprintf(text, sizeof(text), "node-%05u", node + 1);
    return fnmatch(pattern, text, 0) == 0;
}

static bool parse_probability(const char *text, struct fault *f)
{
    char *end = NULL;
    f->probability = strtod(text, &end);
    if (end == text)
        return false;
    if (*end == '%') {
        f->probability /= 100;
        end++;
    }
    if (*end == 'n') {
        f->by_node = true;
        end++;
    }
    return *end == '\0' && f->probability >= 0 && f->probability <= 1;
}

static bool parse(const char *spec, struct fault *ret_fault)
{
    struct fault f = {.probability = 1};
    char text[160];
    if (snprintf(text, sizeof(text), "%s", spec) >= (int)sizeof(text))
        return false;
    char *save = NULL, *end = NULL;
    const char *target = strtok_r(text, ":", &save);
    char *kind = strtok_r(NULL, ":", &save), *probability = strtok_r(NULL, ":", &save);
    if (!target || !kind || strtok_r(NULL, ":", &save) || strlen(target) >= sizeof(f.target))
        return false;
    memcpy(f.target, target, strlen(target) + 1);
    char *value = strchr(kind, '=');
    if (value)
        *value++ = '\0';
    while (f.kind < FAULT_KINDS_N && strcmp(kinds[f.kind].name, kind) != 0)
        f.kind++;
    if (f.kind == FAULT_KINDS_N)
        return false;
    long n = value ? strtol(value, &end, 10) : kinds[f.kind].value;
    if ((value && (end == value || *end)) || n < kinds[f.kind].min || n > kinds[f.kind].max)
        return false;
    f.value = (int32_t)n;
    if (probability && !parse_probability(probability, &f))
        return false;
    f.by_node = f.by_node || kinds[f.kind].moment == MOMENT_CERT; /* a node has one certificate */
    *ret_fault = f;
    return true;
}

struct fault_set *fault_set_new(const char *const *specs, size_t n, const struct fault_fleet *fleet,
                                const char **ret_bad)
{
    struct fault_set *set = calloc(1, sizeof(*set) + fleet->count * sizeof(*set->masks));
    *ret_bad = n > FAULTS_MAX ? specs[FAULTS_MAX] : "out of memory";
    if (!set || n > FAULTS_MAX) {
        free(set);
        return NULL;
    }
    set->n = n;
    set->fleet = *fleet;
    for (size_t i = 0; i < n; i++) {
        const struct fault *f = &set->rows[i];
        if (!parse(specs[i], &set->rows[i])) {
            *ret_bad = specs[i];
            free(set);
            return NULL;
        }
        for (uint32_t node = 0; node < fleet->count; node++)
            if (fault_node_matches(f->target, node, fleet->base + node) &&
                (!f->by_node || chance(f->probability, fleet->seed, node, i)))
                set->masks[node] |= 1ULL << i;
    }
    return set;
}

void fault_set_free(struct fault_set *set)
{
    free(set);
}

uint32_t fault_draw(const struct fault_set *set, uint32_t node, enum fault_moment moment, uint64_t occasion,
                    struct fault_plan *plan)
{
    uint32_t added = 0;
    for (uint64_t mask = set->masks[node]; mask; mask &= mask - 1) {
        size_t i = (size_t)__builtin_ctzll(mask);
        const struct fault *f = &set->rows[i];
        if (kinds[f->kind].moment != moment)
            continue;
        if (!f->by_node &&
            !chance(f->probability, set->fleet.seed ^ (uint64_t)node << 32, i + 1000, occasion))
            continue;
        added |= 1U << f->kind;
        plan->value[f->kind] = f->value;
    }
    plan->on |= added;
    return added;
}

size_t fault_count(const struct fault_set *set)
{
    return set->n;
}

void fault_print_kinds(void)
{
    for (size_t i = 0; i < FAULT_KINDS_N; i++) {
        char left[32];
        snprintf(left, sizeof(left), "%s%s", kinds[i].name, kinds[i].max ? "=N" : "");
        printf("    %-18s %s\n", left, kinds[i].help);
    }
}
