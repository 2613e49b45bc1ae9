/* broker/client.h — who a client is, and patterns of clients as configuration writes them. Pure.
 *
 * A client is known by its certificate or, on a Unix socket, by the kernel's word; on a plain loopback
 * listener by nothing. A pattern asks for one kind of proof: a certificate that calls itself "uid:0" is not
 * user 0. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

struct net_peer;
struct stream;

enum client_kind { CLIENT_UNKNOWN, CLIENT_PROCESS, CLIENT_CERTIFICATE };

struct client {
    enum client_kind kind;
    uint32_t uid, gid;        /* of CLIENT_PROCESS */
    const struct stream *tls; /* of CLIENT_CERTIFICATE; after its handshake */
    bool (*has_name)(const struct stream *, bool (*match)(const char *name, void *arg), void *arg);
};

enum client_pattern_kind { CLIENT_BY_NAME, CLIENT_BY_UID, CLIENT_BY_GID };

struct client_pattern {
    enum client_pattern_kind kind;
    uint32_t id;
    const char *name; /* as written, borrowed */
};

struct client client_of(const struct net_peer *, const struct stream *tls);
/* tls NULL: a listener without it. */
MUST_USE bool client_pattern_parse(const char *text, struct client_pattern *ret_pattern);
/* "uid:N", "gid:N", else a name or '*.domain', whose form is not judged here. The text must outlive the
 * pattern. */
void client_name(const struct client *, char *ret_name, size_t size);
/* The first name of its certificate, the common name if it has one; "" without any. Cut when longer. */
bool client_matches(const struct client *, const struct client_pattern *);
