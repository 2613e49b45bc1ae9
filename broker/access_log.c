/* broker/access_log.c — one line per request: who asked for what, how it was carried, how long each phase
 * took, why it ended. Never a query string, a header or a body: they may hold secrets. */
#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/front.h"
#include "broker/front_bridge.h"
#include "io/worker.h"

static const char *how_text(const struct access_record *a)
{
    if (!a->leased)
        return "none";
    switch (a->how) {
    case LEASE_REUSED: return "hit";
    case LEASE_RESUMED: return "resumed";
    case LEASE_NEW: return "new";
    }
    return "none";
}

void access_log_write(struct front_conn *c, const struct exchange *ex)
{
    struct worker *w = c->bw->worker;
    const struct access_record *a = &ex->access;
    log_begin(w, LOG_INFO, "access");
    front_log_client(c);
    log_str(w, "protocol", a->protocol);
    if (c->bridge && !ex->bridged)
        log_str(w, "tunnel", c->bridge->protocol);
    log_str(w, "method", a->method);
    log_str(w, "host", a->host);
    log_u64(w, "port", a->port);
    log_str(w, "path", a->path ? a->path : "");
    if (a->route)
        log_str(w, "route", a->route);
    log_u64(w, "status", a->status);
    log_u64(w, "bytes_in", a->bytes_in);
    log_u64(w, "bytes_out", a->bytes_out);
    log_str(w, "connection", how_text(a));
    log_ms(w, "queue_ms", a->phases.queue_us * 1000ull);
    log_ms(w, "dial_ms", a->phases.dial_us * 1000ull);
    log_ms(w, "tls_ms", a->phases.tls_us * 1000ull);
    log_ms(w, "first_byte_ms", a->phases.first_byte_us * 1000ull);
    log_ms(w, "total_ms", w->now_ns - a->started_ns);
    if (a->retry != RETRY_NONE)
        log_str(w, "retry", a->retry == RETRY_UNSENT ? "unsent" : "idempotent");
    if (a->insecure)
        log_str(w, "verified", "no");
    log_str(w, "end", ending_name(ex->ending));
    if (a->detail)
        log_str(w, "detail", a->detail);
    log_end(w);
}
