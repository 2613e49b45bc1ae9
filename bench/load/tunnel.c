/* bench/load/tunnel.c — a tunnel's two messages, and the proof that it led where it should.
 *
 * The target names the address it was dialled at and counts what it received, so a proxy that joins two
 * clients' tunnels crosswise, loses bytes or invents some shows up as failures and not as speed. */
#include "bench/load/tunnel.h"

#include "bench/load/link.h"
#include "bench/target.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void tunnel_write_connect(struct link *l)
{
    const struct load_options *o = l->options;
    struct in_addr in = {.s_addr = htonl(o->base_ipv4 + l->request.endpoint)};
    char ip[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &in, ip, sizeof(ip));
    int n = snprintf(l->head, sizeof(l->head), "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n\r\n", ip, o->port,
                     ip, o->port);
    assert(n > 0 && (size_t)n < sizeof(l->head));
    l->head_bytes = (size_t)n;
    l->head_sent = 0;
    l->body_left = 0;
}

/* A few bytes go together with the order: callers that speak TLS send their first flight in one piece too. */
void tunnel_write_order(struct link *l)
{
    const struct load_options *o = l->options;
    struct target_order order = {TARGET_MAGIC, o->upload_bytes, o->expected_bytes};
    size_t together = sizeof(l->head) - sizeof(order);
    if (o->upload_bytes <= together)
        together = (size_t)o->upload_bytes;
    memcpy(l->head, &order, sizeof(order));
    memset(l->head + sizeof(order), 0, together);
    l->head_bytes = sizeof(order) + together;
    l->head_sent = 0;
    l->body_left = o->upload_bytes - together;
}

bool tunnel_judge(const struct link *l, char *note, size_t note_bytes)
{
    const struct load_options *o = l->options;
    struct target_answer said;
    memcpy(&said, l->answer.body_start, sizeof(said));
    if (said.ipv4 != o->base_ipv4 + l->request.endpoint)
        snprintf(note, note_bytes, "endpoint %u: the target at %08" PRIx32 " answered", l->request.endpoint,
                 said.ipv4);
    else if (said.received != o->upload_bytes)
        snprintf(note, note_bytes, "endpoint %u: counted %" PRIu64 " bytes", l->request.endpoint,
                 said.received);
    else
        return true;
    return false;
}
