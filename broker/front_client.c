/* broker/front_client.c — who a client is, in words: put together when a line is written, and not for each
 * connection. */
#include <stdio.h>

#include "broker/broker_worker.h"
#include "broker/front.h"
#include "io/log.h"
#include "io/worker.h"

const char *front_peer_text(const struct front_conn *c, char text[NET_TEXT_MAX])
{
    if (!c->peer.has_credentials)
        return net_address_text(&c->peer.address, text);
    snprintf(text, NET_TEXT_MAX, "unix:pid=%d", (int)c->peer.pid);
    return text;
}

void front_log_client(const struct front_conn *c)
{
    struct worker *w = c->bw->worker;
    char peer[NET_TEXT_MAX], uid[16];
    bool by_uid = c->peer.has_credentials && !c->client_name[0];
    if (by_uid)
        snprintf(uid, sizeof(uid), "uid=%u", (unsigned)c->peer.uid);
    log_str(w, "peer", front_peer_text(c, peer));
    log_str(w, "client", by_uid ? uid : c->client_name);
}
