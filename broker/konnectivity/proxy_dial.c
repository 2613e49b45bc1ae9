/* broker/konnectivity/proxy_dial.c — DIAL_REQ: judged, refused or begun as the CONNECT that it is. */
#include <stdio.h>

#include "broker/broker_worker.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/proxy.h"
#include "io/worker.h"

/* NULL, or what is wrong with it. */
static const char *read_dial(const struct packet *packet, struct head_view *view)
{
    memset(view, 0, offsetof(struct head_view, fields));
    view->kind = HEAD_REQUEST;
    view->minor = 1;
    view->method = HTTP_METHOD_CONNECT;
    view->method_text = SLICE("CONNECT");
    view->form = TARGET_AUTHORITY;
    view->target = packet->address;
    view->path = SLICE("");
    if (!slice_eq(packet->protocol, SLICE("tcp")))
        return "DIAL_REQ: the protocol is not tcp";
    enum authority_result result = authority_parse(packet->address, &view->authority);
    if (result != AUTHORITY_OK)
        return authority_result_text(result);
    return view->authority.has_port ? NULL : "DIAL_REQ: the address has no port; expected host:port";
}

static void refuse(struct proxy_tunnel *t, const char *text)
{
    proxy_tunnel_set_error(t, text);
    proxy_tunnel_set_state(t, PROXY_REFUSED);
}

static void refuse_malformed(struct proxy_tunnel *t, const char *text)
{
    struct worker *w = proxy_stream_worker(t->stream);
    const struct front_conn *c = t->stream->call.http2->session->conn;
    char room[PACKET_TEXT_MAX];
    counter_add(w, COUNTER_requests_malformed, 1);
    log_begin(w, LOG_INFO, "request_refused");
    front_log_client(c);
    log_str(w, "refusal", text);
    log_end(w);
    snprintf(room, sizeof(room), "%s: %s", ending_text(ENDING_BAD_REQUEST), text);
    refuse(t, room);
}

void proxy_tunnel_dial(struct proxy_stream *p, const struct packet *packet)
{
    struct head_view view;
    struct front_conn *c = p->call.http2->session->conn;
    struct proxy_tunnel *t = p->tunnel_count < PROXY_TUNNELS_MAX ? proxy_tunnel_new(p, packet->random) : NULL;
    if (!t) {
        proxy_stream_fail(p, GRPC_RESOURCE_EXHAUSTED, "too many connections on one stream");
        return;
    }
    const char *wrong = read_dial(packet, &view);
    if (wrong)
        refuse_malformed(t, wrong);
    else if (c->bw->draining)
        refuse(t, ending_text(ENDING_DRAINING));
    else if (!exchange_begin(c, &proxy_tunnel_asker, t, &t->exchange, &view))
        refuse(t, ending_text(ENDING_LIMIT));
    else if (t->state == PROXY_REFUSED && t->exchange->progress == EXCHANGE_BEGUN)
        proxy_tunnel_asker.heard(t);
}
