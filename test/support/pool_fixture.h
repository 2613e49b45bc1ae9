/* test/support/pool_fixture.h — a pool on a scripted engine, and clients that remember how they were
 * answered. */
#pragma once

#include "pool/pool.h"
#include "test/support/script_engine.h"

struct pool_fixture {
    struct script_engine engine;
    struct pool *pool;
    int shares;           /* what the next new connection of a profile that may share is said to carry */
    struct list sessions; /* newest first */
    unsigned sessions_ended;
    struct pool_profile plain, single, shared, tls,
        tls_next; /* tls_next: the same profile, a generation later */
};

/* Has the events of a shared connection and knows its lessees. */
struct session {
    struct list node;
    struct pool_fixture *f;
    struct conn *conn;
    struct list clients;
};

struct client {
    struct lease lease;
    struct list node; /* of the session */
    struct pool_fixture *f;
    unsigned answers;
    struct conn *conn;
    enum lease_how how;
    enum ending ending; /* when conn is NULL and answers > 0 */
    char detail[POOL_DETAIL_MAX];
    unsigned ended, closed; /* events seen while it held the stream */
    enum ending closed_with;
};

struct pool_options fixture_options(void);
/* Small limits, see pool_fixture.c; to be changed before fixture_start(). */
void fixture_start(struct pool_fixture *, const struct pool_options *);
void fixture_stop(struct pool_fixture *);
/* Drains, closes what is left, and asserts that nothing remains. */
void fixture_settle(struct pool_fixture *);
/* Runs the engine and checks the pool. */

struct endpoint_key fixture_key(const struct pool_profile *, const char *host);
void client_ask(struct client *, struct pool_fixture *, const struct endpoint_key *, uint64_t deadline_ms);
/* Leases; the answer comes with fixture_settle(). */
void client_ask_fresh(struct client *, struct pool_fixture *, const struct endpoint_key *,
                      uint64_t deadline_ms);
void client_ask_at_once(struct client *, struct pool_fixture *, const struct endpoint_key *,
                        uint64_t deadline_ms);
void client_give_back(struct client *);
struct conn *client_connect(struct client *, struct pool_fixture *, const struct endpoint_key *);
/* Leases, opens the stream that is dialled, and asserts that it was granted. Plain profiles only. */
struct session *client_session(const struct client *);
struct script_stream *client_stream(const struct client *);
void client_assert_refused(const struct client *, enum ending);
uint64_t fixture_count(const struct pool_fixture *, enum counter);
