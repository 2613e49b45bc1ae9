/* broker/audit.c — see audit.h. */
#include "broker/audit.h"

#include <string.h>

#include "io/log.h"
#include "io/net.h"
#include "io/worker.h"

enum { METHOD_MAX = 32 };

/* Client, host, path and detail can be long and all escapes; the rest is names from the configuration,
 * addresses and numbers. */
_Static_assert(LOG_LINE_MAX > 6 * (4 * AUDIT_TEXT_MAX + METHOD_MAX) + 1024, "a line always fits");

static const char *kind_text(enum audit_kind kind)
{
    switch (kind) {
    case AUDIT_TUNNEL: return "tunnel";
    case AUDIT_UPGRADE: return "upgrade";
    case AUDIT_REFUSED: return "refused";
    }
    ASSERT(false && "a kind of audit line");
    return "";
}

static void text(struct worker *w, const char *key, const char *value, size_t max)
{
    if (value && *value)
        log_strn(w, key, value, strnlen(value, max));
}

static void who(struct worker *w, const struct audit_record *r)
{
    char address[NET_TEXT_MAX];
    text(w, "listener", r->listener, AUDIT_TEXT_MAX);
    if (r->peer->has_credentials) {
        log_str(w, "peer", "unix");
        log_u64(w, "uid", r->peer->uid);
        log_u64(w, "gid", r->peer->gid);
        log_u64(w, "pid", (uint64_t)r->peer->pid);
    } else {
        log_str(w, "peer", net_address_text(&r->peer->address, address));
    }
    text(w, "client", r->client, AUDIT_TEXT_MAX);
}

static void where(struct worker *w, const struct audit_record *r)
{
    text(w, "method", r->method, METHOD_MAX);
    text(w, "host", r->host, AUDIT_TEXT_MAX);
    log_u64(w, "port", r->port);
    text(w, "path", r->path, AUDIT_TEXT_MAX);
    text(w, "address", r->address, NET_TEXT_MAX);
}

void audit_write(struct worker *w, const struct audit_record *r)
{
    log_begin_audit(w, "audit");
    log_str(w, "kind", kind_text(r->kind));
    who(w, r);
    where(w, r);
    text(w, "route", r->route, AUDIT_TEXT_MAX);
    log_u64(w, "status", r->status);
    log_u64(w, "bytes_in", r->bytes_in);
    log_u64(w, "bytes_out", r->bytes_out);
    log_ms(w, "total_ms", r->duration_ns);
    text(w, "protocol", r->protocol, METHOD_MAX);
    log_str(w, "end", ending_name(r->ending));
    text(w, "detail", r->detail, AUDIT_TEXT_MAX);
    log_end(w);
}
