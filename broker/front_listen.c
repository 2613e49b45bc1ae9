/* broker/front_listen.c — listening sockets and the placing of connections on workers.
 *
 * A TCP listener has a socket on every worker (SO_REUSEPORT); a Unix socket listens on worker 0 only, because
 * one shared accept queue puts everything on one worker (measured). In both cases a few long-lived
 * connections clump, so an accepted connection goes to the worker with the fewest clients: the descriptor
 * travels before anything was read.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front.h"
#include "broker/policy.h"
#include "io/tls/tls.h"
#include "io/worker.h"

enum { BACKLOG = 4096 };

static uint64_t clients_of(const struct broker *b, unsigned worker)
{
    return atomic_load_explicit(&b->workers[worker].counters.values[COUNTER_front_connections],
                                memory_order_relaxed);
}

static unsigned least_loaded(const struct broker *b, unsigned self)
{
    unsigned best = self;
    uint64_t fewest = clients_of(b, self);
    for (unsigned i = 0; i < b->count; i++) {
        uint64_t n = clients_of(b, i);
        if (n < fewest) {
            fewest = n;
            best = i;
        }
    }
    return best;
}

static unsigned listener_index(const struct front_listener *l)
{
    return (unsigned)(l - l->bw->listeners);
}

static void deliver_handle(struct worker *w, struct msg *msg)
{
    struct broker_worker *bw = broker_worker_of(w);
    struct net_peer peer;
    memset(&peer, 0, sizeof(peer));
    peer.has_credentials = msg->kind & 1;
    peer.uid = (uid_t)(msg->extra[0] >> 32);
    peer.gid = (gid_t)msg->extra[0];
    peer.pid = (pid_t)msg->extra[1];
    if (msg->seg.buf) {
        memcpy(&peer.address, msg->seg.data, sizeof(peer.address));
        worker_release_seg(w, msg->seg);
    } else {
        peer.address.un.sun_family = AF_UNIX;
        peer.address.len = sizeof(sa_family_t);
    }
    front_adopt(bw, &bw->listeners[msg->kind >> 1], (int)msg->value, &peer);
}

static void send_away(struct front_listener *l, unsigned to, int handle, const struct net_peer *peer)
{
    struct worker *w = l->bw->worker;
    struct msg msg = {
        .deliver = deliver_handle,
        .kind = listener_index(l) << 1 | (peer->has_credentials ? 1u : 0u),
        .value = (uint32_t)handle,
        .extra = {(uint64_t)peer->uid << 32 | peer->gid, (uint64_t)peer->pid}
    };
    if (!peer->has_credentials) {
        struct buf *b = buf_get(&w->bufs, BUF_SMALL);
        if (!b) {
            w->engine->ops->refuse(w->engine, handle);
            return;
        }
        memcpy(b->mem, &peer->address, sizeof(peer->address));
        msg.seg = (struct seg){b, b->mem, sizeof(peer->address), 0};
    }
    mailbox_post(w, to, &msg);
}

static void on_accepted(struct listener *listener, int handle, const struct net_peer *peer)
{
    struct front_listener *l = listener->owner;
    unsigned self = l->bw->worker->number;
    unsigned to = l->config ? least_loaded(l->bw->broker, self) : self;
    if (to == self)
        front_adopt(l->bw, l, handle, peer);
    else
        send_away(l, to, handle, peer);
}

static const char *name_of(const struct front_listener *l)
{
    static const char *const pages[PAGES_COUNT] = {[PAGES_ADMIN] = "admin", [PAGES_HEALTH] = "health"};
    return l->config ? l->config->name : pages[l->pages];
}

static const char *refusal(const struct front_listener *l, const struct net_peer *peer)
{
    const struct broker *b = l->bw->broker;
    if (l->bw->draining)
        return "draining";
    uint64_t clients = 0;
    for (unsigned i = 0; i < b->count; i++)
        clients += clients_of(b, i);
    if (b->config->limits.connections_max && clients >= b->config->limits.connections_max)
        return "limits.connectionsMax is reached";
    if (l->config && l->config->socket && peer->has_credentials &&
        !policy_peer_allowed(l->config->socket, peer->uid, peer->gid, b->own_uid))
        return "the peer's uid and gid are not allowed on this listener";
    return NULL;
}

void front_adopt(struct broker_worker *bw, struct front_listener *l, int handle, const struct net_peer *peer)
{
    struct worker *w = bw->worker;
    const char *why = refusal(l, peer);
    struct stream *stream = NULL;
    if (!why) {
        stream = w->engine->ops->adopt(w->engine, handle, peer);
        if (!stream || !front_conn_new(bw, l, stream, peer))
            why = "out of memory for connections";
    } else {
        w->engine->ops->refuse(w->engine, handle);
    }
    if (!why)
        return;
    counter_add(w, COUNTER_front_refused, 1);
    char text[NET_TEXT_MAX];
    log_begin(w, LOG_WARN, "client_refused");
    log_str(w, "listener", name_of(l));
    log_str(w, "peer", net_address_text(&peer->address, text));
    if (peer->has_credentials) {
        log_u64(w, "uid", peer->uid);
        log_u64(w, "gid", peer->gid);
    }
    log_str(w, "reason", why);
    log_end(w);
}

static bool listens_here(const struct front_listener *l)
{
    bool everywhere = l->config && l->config->tcp;
    return everywhere || l->bw->worker->number == 0;
}

static bool tcp_options(const char *address, uint32_t port, struct listen_options *o)
{
    o->both_kinds = strcmp(address, "*") == 0;
    if (o->both_kinds)
        address = "::";
    return net_address_parse(address, strlen(address), (uint16_t)port, &o->address);
}

static bool options_of(const struct front_listener *l, struct listen_options *o)
{
    const struct broker *b = l->bw->broker;
    *o = (struct listen_options){.backlog = BACKLOG, .unix_owner = (uid_t)-1, .unix_group = (gid_t)-1};
    if (!l->config) {
        const struct config_admin *pages = l->pages == PAGES_ADMIN ? &b->config->admin : &b->config->health;
        return tcp_options(pages->address, pages->port, o);
    }
    if (l->config->tcp) {
        o->share_port = true;
        return tcp_options(l->config->tcp->address, l->config->tcp->port, o);
    }
    o->unix_mode = (mode_t)l->config->socket->mode_bits;
    if (l->config->socket->owner_uid != CONFIG_ID_UNSET)
        o->unix_owner = l->config->socket->owner_uid;
    if (l->config->socket->group_gid != CONFIG_ID_UNSET)
        o->unix_group = l->config->socket->group_gid;
    return net_address_unix(l->config->socket->path, &o->address);
}

static const char *proof_of(const struct front_listener *l)
{
    return !l->tls ? "" : l->config->tls->client_ca_file ? ", mutual TLS" : ", TLS";
}

int front_listeners_start(struct broker_worker *bw)
{
    struct worker *w = bw->worker;
    for (unsigned i = 0; i < bw->listener_count; i++) {
        struct front_listener *l = &bw->listeners[i];
        if (!listens_here(l))
            continue;
        struct listen_options options;
        char text[NET_TEXT_MAX];
        l->listener.owner = l;
        l->listener.accepted = on_accepted;
        int rc = options_of(l, &options) ? w->engine->ops->listen(w->engine, &l->listener, &options)
                                         : -EINVAL;
        if (rc < 0) {
            log_any_thread(LOG_ERROR, "listen_failed", "listener %s at %s: %s", name_of(l),
                           net_address_text(&options.address, text), strerror(-rc));
            return rc;
        }
        l->listening = true;
        if (w->number == 0)
            log_any_thread(LOG_INFO, "listening", "%s at %s%s", name_of(l),
                           net_address_text(&options.address, text), proof_of(l));
        if (w->number == 0 && l->config && l->config->insecure)
            log_any_thread(LOG_WARN, "insecure_listener", "%s takes TCP clients without TLS (insecure: true)",
                           l->config->name);
    }
    return 0;
}

void front_listeners_stop(struct broker_worker *bw)
{
    for (unsigned i = 0; i < bw->listener_count; i++) {
        struct front_listener *l = &bw->listeners[i];
        if (l->listening)
            bw->worker->engine->ops->unlisten(&l->listener);
        l->listening = false;
    }
}
