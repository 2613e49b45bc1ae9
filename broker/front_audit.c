/* broker/front_audit.c — which exchanges get an audit line: tunnels and upgrades when they are over, and
 * whatever was refused. An ordinary request that was answered has the access log. */
#include "broker/audit.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front.h"
#include "io/log.h"
#include "io/worker.h"

static void write_line(const struct front_conn *c, const struct access_record *a, struct audit_record *record)
{
    struct worker *w = c->bw->worker;
    record->listener = c->listener->config->name;
    record->peer = &c->peer;
    record->client = c->peer.has_credentials ? NULL : c->client_name;
    record->protocol = a->protocol;
    record->method = a->method;
    record->host = a->host;
    record->path = a->path;
    record->route = a->route;
    record->port = a->port;
    record->status = a->status;
    record->bytes_in = a->bytes_in;
    record->bytes_out = a->bytes_out;
    record->duration_ns = w->now_ns - a->started_ns;
    audit_write(w, record);
}

void front_audit_exchange(const struct exchange *ex)
{
    const struct access_record *a = &ex->access;
    struct audit_record record = {.ending = ex->ending};
    if (!log_options()->audit)
        return;
    if (ex->bridged && a->status == 200) {
        record.kind = AUDIT_TUNNEL;
        record.detail = "TLS is ended by the broker";
    } else if (ex->progress == EXCHANGE_TUNNEL) {
        record.kind = ex->form == EXCHANGE_CONNECT ? AUDIT_TUNNEL : AUDIT_UPGRADE;
        record.address = a->detail;
    } else if (ex->progress < EXCHANGE_HEAD && ending_status(ex->ending) != 0) {
        record.kind = AUDIT_REFUSED;
        record.detail = a->detail;
    } else {
        return; /* an ordinary request, or one whose client left */
    }
    write_line(ex->conn, a, &record);
}

void front_audit_limit(const struct front_conn *c, const struct access_record *a)
{
    struct audit_record record = {.kind = AUDIT_REFUSED, .ending = ENDING_LIMIT, .detail = a->detail};
    write_line(c, a, &record);
}
