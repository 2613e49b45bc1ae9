/* broker/audit.h — one line for every tunnel, upgrade and refused request: who, where to, by which rule, how
 * much, and how it ended. Apart from the access log (log.auditFile), and whole on its own. Never a query
 * string, a header field or a body: they may hold secrets. Owner worker only. */
#pragma once

#include <stdint.h>

#include "io/ending.h"

struct net_peer;
struct worker;

enum audit_kind {
    AUDIT_TUNNEL,  /* CONNECT that was answered with 200 */
    AUDIT_UPGRADE, /* a request that was answered with 101 */
    AUDIT_REFUSED, /* a request of any kind that policy or a limit refused, or that could not be served */
};

/* Texts are borrowed for the call; NULL or "" where there is nothing to tell. Each is cut at AUDIT_TEXT_MAX.
 */
struct audit_record {
    enum audit_kind kind;
    const char *listener;
    const struct net_peer *peer;
    const char *client;   /* name of its certificate; a process is known by uid and gid of `peer` */
    const char *protocol; /* http/1.1, h2 or grpc */
    const char *method, *host;
    const char *path;    /* of an upgrade or refused request, without the query */
    const char *address; /* that was dialled, where `host` does not say it */
    const char *route;   /* whose rule allowed or refused it; NULL: none matched */
    const char *detail;
    uint16_t port, status;
    uint64_t bytes_in, bytes_out; /* from the client, to the client */
    uint64_t duration_ns;
    enum ending ending;
};

enum { AUDIT_TEXT_MAX = 256 }; /* so that a line fits LOG_LINE_MAX even if all of it is escaped */

void audit_write(struct worker *, const struct audit_record *);
/* Nothing without log.auditFile. */
