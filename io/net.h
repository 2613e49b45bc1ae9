/* io/net.h — socket addresses as text and back; who is at the other end of an accepted connection. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "io/attributes.h"

struct net_address {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

enum { NET_TEXT_MAX = 120 }; /* "[v6]:port" or "unix:" and a socket path */

struct net_peer {
    struct net_address address; /* of the peer; family AF_UNIX without a name for Unix sockets */
    bool has_credentials;       /* Unix sockets: SO_PEERCRED at the time of connect */
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

MUST_USE bool net_address_parse(const char *host, size_t host_len, uint16_t port, struct net_address *ret);
/* IPv4 or IPv6 literal without brackets. False when it is not a literal. Any thread. */
MUST_USE bool net_address_unix(const char *path, struct net_address *ret);
/* False when the path is too long. */
const char *net_address_text(const struct net_address *, char text[NET_TEXT_MAX]);
/* "1.2.3.4:80", "[::1]:80", "unix:/path". Returns text. */
const char *net_address_host(const struct net_address *, char text[NET_TEXT_MAX]);
/* The address without port and brackets. */
size_t net_host_text(const char *host, uint16_t port, char *to, size_t size);
/* "host:port", an IPv6 literal in brackets; cut where it does not fit. Returns its length. */
uint16_t net_address_port(const struct net_address *);
void net_address_set_port(struct net_address *, uint16_t port);
void net_address_unmap(struct net_address *);
/* An IPv4 address in IPv6's clothes, as sockets for both show them, becomes what it is. */
bool net_address_equal(const struct net_address *, const struct net_address *);
/* Family, address and port. */
