/* test/support/renewal_rig.h — a broker with a file of every kind that may change below it, on poll engines
 * that the test turns, and time that is the test's. One at a time. Link with --wrap for tls_context_new,
 * sem_wait and sem_clockwait. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/broker.h"
#include "pool/pool.h"
#include "test/support/certs.h"

enum { RENEWAL_INTERVAL_MS = 5000 };

/* Routes: k by mutual TLS, t by a token and with names of nodes, b a bridge. */
struct renewal {
    const char *dir;
    struct cert ca;
    struct broker *broker;
    uint64_t now_ms;
    int log_fd;
    void (*while_loading)(void);    /* in the middle of a load, once */
    unsigned waits_for_time, waits; /* which are over at once: those for a time because it has come, those
                                       without one because somebody woke it */
};

extern struct renewal renewal;

/* The server and the user of the kubeconfig. */
#define RENEWAL_API  "https://10.0.0.1:6443"
#define RENEWAL_USER "client-certificate: api.crt, client-key: api.key, token: first"

enum renewal_part { CERTIFICATE = 1, KEY = 2, PAIR = 3 };

void renewal_start(unsigned workers);
void renewal_stop(void);
void renewal_turn_all(void);
uint64_t renewal_look_after(uint64_t ms);
/* Looks after so many milliseconds; when the next look is due. */
void renewal_settle(void);
/* A change is seen, has settled, is read, adopted and told. */

void renewal_write_token(const char *token);
void renewal_write_nodes(const char *text);
void renewal_write_kubeconfig(const char *server, const char *user);
void renewal_write_identity(const char *name, const char *cn, unsigned which);
void renewal_write_ca(const char *name, const char *cn);

/* What a worker has in force. */
const struct pool_profile *renewal_profile(unsigned worker, unsigned route);
const char *renewal_token(unsigned worker);
const char *renewal_node(unsigned worker, const char *host);

unsigned renewal_lines(const char *with);
/* How often the log has that. */
void renewal_assert_metric(const char *line);

int renewal_global_init(void **state);
int renewal_global_fini(void **state);
