/* test/sim/sim_ledger.h — what every exchange of a simulated world was meant to be, and what became of it.
 *
 * Clients and backends share the ledger: the client writes down what it asks for, the backend finds it by the
 * number in the request and acts as told there. Every byte of a body is a function of that number and its
 * place, so a byte of another exchange is recognised at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

enum sim_method { METHOD_GET, METHOD_HEAD, METHOD_PUT, METHOD_POST, METHOD_COUNT };

/* What the backend does. */
#define SIM_ACTS(X)                                                                                          \
    X(LENGTH, "answers with a content-length")                                                               \
    X(CHUNKED, "answers in chunks")                                                                          \
    X(UNTIL_CLOSE, "answers until it closes")                                                                \
    X(NO_CONTENT, "answers 204")                                                                             \
    X(INTERIM, "sends 1xx first")                                                                            \
    X(EARLY, "answers before the request's body has come, then reads it")                                    \
    X(LAST, "answers with connection: close")                                                                \
    X(EARLY_CLOSE, "answers before the body has come and closes")                                            \
    X(SILENT, "closes without an answer")                                                                    \
    X(CUT_HEAD, "closes within the head")                                                                    \
    X(CUT_BODY, "closes within the body")                                                                    \
    X(RESET_BODY, "resets within the body")                                                                  \
    X(RESET_OPEN, "resets within a body that ends with the connection")                                      \
    X(GARBAGE, "answers nonsense")                                                                           \
    X(NEVER, "never answers")

enum sim_act {
#define X(symbol, text) ACT_##symbol,
    SIM_ACTS(X)
#undef X
        ACT_COUNT,
    ACT_FIRST_BAD = ACT_EARLY_CLOSE, /* from here on no complete answer is owed */
};

#define SIM_OUTCOMES(X)                                                                                      \
    X(PENDING)   /* not ended */                                                                             \
    X(COMPLETE)  /* the backend's whole answer arrived */                                                    \
    X(ERROR)     /* the broker answered for it */                                                            \
    X(CUT)       /* the answer began and the connection ended within it */                                   \
    X(LOST)      /* the connection ended without an answer */                                                \
    X(ABANDONED) /* the client left */

enum sim_outcome {
#define X(symbol) OUTCOME_##symbol,
    SIM_OUTCOMES(X)
#undef X
        OUTCOME_COUNT
};

struct sim_exchange {
    uint32_t id;
    unsigned backend;
    enum sim_method method;
    enum sim_act act;
    bool request_chunked;
    bool untrusted; /* the backend cannot prove who it is: it must not be asked */
    uint32_t request_len, answer_len;
    uint64_t delay_ns; /* the backend thinks */
    /* What happened. */
    enum sim_outcome outcome;
    unsigned seen; /* times a backend read its head */
    unsigned status, interims;
    uint64_t begun_ns, ended_ns, request_at_backend, answer_at_client;
    uint64_t request_at; /* bytes of the client's connection before its body */
    bool behind;         /* not the first of its connection's pipeline when it ended */
    bool disturbed; /* the client itself, or a fault of its connection, may be the cause of what happened */
};

struct sim_ledger {
    struct sim_exchange *exchanges;
    uint32_t count, cap;
    uint32_t outcomes[OUTCOME_COUNT];
    uint32_t violations;
    uint64_t connections; /* accepted by backends */
    bool quiet;
};

struct sim_exchange *sim_ledger_add(struct sim_ledger *);
/* The next number, from 1. Valid until the next call: keep the number. */
struct sim_exchange *sim_ledger_find(struct sim_ledger *, uint32_t id);
/* NULL when there is none. */
void sim_ledger_end(struct sim_ledger *, uint32_t id, enum sim_outcome, uint64_t now_ns);
/* Asserts that it ends once. */
void sim_ledger_fini(struct sim_ledger *);
void sim_violation(struct sim_ledger *, uint32_t id, const char *fmt, ...) PRINTF(3, 4);
/* Something that must hold does not: prints and counts. */

enum sim_side { SIDE_REQUEST = 1, SIDE_ANSWER = 2 };

uint8_t sim_body_byte(uint32_t id, enum sim_side, uint64_t at);
void sim_body_fill(uint32_t id, enum sim_side, uint64_t at, uint8_t *bytes, size_t len);
bool sim_body_matches(uint32_t id, enum sim_side, uint64_t at, const uint8_t *bytes, size_t len);

const char *sim_method_name(enum sim_method);
const char *sim_act_text(enum sim_act);
const char *sim_outcome_name(enum sim_outcome);
bool sim_is_idempotent(enum sim_method);
