/* tools/kubelet-sim/fault.h — what goes wrong at which node. A fault_set is immutable once published; any
 * thread may read it, and sets replaced at run time are kept until the process ends, so no reader can meet a
 * freed one. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*   symbol, name, when it is drawn, value: default, min, max, help */
#define FAULT_KINDS(X)                                                                                       \
    X(BLACKHOLE, "blackhole", ACCEPT, 0, 0, 0, "accepts TCP and never answers the handshake")                \
    X(WRONG_CA, "wrong-ca", CERT, 0, 0, 0, "certificate of another CA of the same name")                     \
    X(EXPIRED, "expired", CERT, 0, 0, 0, "certificate that ended an hour ago")                               \
    X(WRONG_IP, "wrong-ip", CERT, 0, 0, 0, "certificate for another address")                                \
    X(SELF_SIGNED, "self-signed", CERT, 0, 0, 0, "certificate signed by itself")                             \
    X(WRONG_NODE, "wrong-node", CERT, 0, 0, 0, "certificate of another node's name, with the right address") \
    X(NO_TICKETS, "no-tickets", ACCEPT, 0, 0, 0, "issues and accepts no session tickets")                    \
    X(TLS12_ONLY, "tls12-only", ACCEPT, 0, 0, 0, "speaks TLS 1.2 at most")                                   \
    X(BLACKHOLE_HTTP, "blackhole-http", REQUEST, 0, 0, 0, "handshakes, reads the request and never answers") \
    X(DELAY, "delay", REQUEST, 100, 0, 86400000, "so many ms before answering")                              \
    X(ERROR, "error", REQUEST, 500, 400, 599, "answers with that status")                                    \
    X(RESET, "reset", REQUEST, 0, 0, 0, "TCP reset instead of an answer")                                    \
    X(RESET_HEAD, "reset-head", REQUEST, 0, 0, 0, "TCP reset in the middle of the response head")            \
    X(RESET_BODY, "reset-body", REQUEST, 0, 0, INT32_MAX, "TCP reset after so many body bytes (0: half)")    \
    X(TRUNCATE, "truncate", REQUEST, 0, 0, INT32_MAX,                                                        \
      "clean TLS and TCP end after so many body bytes (0: half)")                                            \
    X(CUT, "cut", REQUEST, 0, 0, INT32_MAX, "the same without close_notify")                                 \
    X(GARBAGE, "garbage", REQUEST, 0, 0, 0, "answers with bytes that are not HTTP")                          \
    X(DRIP, "drip", REQUEST, 20, 1, 1000000, "answers at so many bytes per second")                          \
    X(IDLE_CLOSE, "idle-close", REQUEST, 0, 0, 86400000,                                                     \
      "promises keep-alive, closes so many ms after answering")                                              \
    X(IDLE_RESET, "idle-reset", REQUEST, 0, 0, 86400000, "the same with a TCP reset")

enum fault_kind {
#define X(symbol, ...) FAULT_##symbol,
    FAULT_KINDS(X)
#undef X
        FAULT_KINDS_N
};

enum fault_moment { MOMENT_ACCEPT, MOMENT_CERT, MOMENT_REQUEST };

struct fault_set;

/* The outcome of a draw. */
struct fault_plan {
    uint32_t on; /* bit per kind */
    int32_t value[FAULT_KINDS_N];
};

struct fault_fleet {
    uint32_t base, count; /* the first address, host order */
    uint64_t seed;
};

struct fault_set *fault_set_new(const char *const *specs, size_t n, const struct fault_fleet *,
                                const char **ret_bad);
/* NULL: *ret_bad is the spec that makes no sense. */
void fault_set_free(struct fault_set *);

uint32_t fault_draw(const struct fault_set *, uint32_t node, enum fault_moment, uint64_t occasion,
                    struct fault_plan *plan);
/* Adds what happens this time to the plan and returns the bits it added. The same seed, node and occasion
 * draw the same. */
bool fault_node_matches(const char *pattern, uint32_t node, uint32_t address);
/* pattern: a name with * and ?, an address or a CIDR. */
size_t fault_count(const struct fault_set *);
void fault_print_kinds(void);

static inline bool fault_on(const struct fault_plan *plan, enum fault_kind kind)
{
    return plan->on >> kind & 1;
}
