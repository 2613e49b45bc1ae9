/* broker/policy.h — who may use a listener, and which addresses are out of bounds. Pure functions over an
 * immutable configuration. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/cidr.h"

struct client_pattern;
struct config_listener;
struct config_unix;
struct net_address;
struct route;

/* Where a request must not be led by accident: the broker's own machine, its link, a cloud's secrets. */
#define ADDRESS_KINDS(X)                                                                                     \
    X(ORDINARY, "ordinary")                                                                                  \
    X(LOOPBACK, "loopback")                                                                                  \
    X(UNSPECIFIED, "unspecified") /* connects to this machine, listens on all of its addresses */            \
    X(LINK_LOCAL, "link-local")                                                                              \
    X(METADATA, "cloud metadata")                                                                            \
    X(MULTICAST, "multicast or broadcast")

enum address_kind {
#define ADDRESS_SYMBOL(symbol, text) ADDRESS_##symbol,
    ADDRESS_KINDS(ADDRESS_SYMBOL)
#undef ADDRESS_SYMBOL
};

enum address_kind policy_address_kind(const struct ip *);
/* IPv4 inside IPv6 (mapped, NAT64, 6to4) is judged as the IPv4 address it stands for. */
bool policy_block_names(const struct cidr *, const struct ip *);
/* A block names an address when it holds it and, for a special address, lies wholly within the smallest
 * special block around it: 127.16.0.0/12 names 127.16.0.1, 0.0.0.0/0 does not. */
const char *policy_address_kind_text(enum address_kind);
bool policy_name_is_special(const char *name);
/* Lower case, no closing dot: a name that leads to whoever resolves it (localhost), or to a cloud's metadata.
 * Of names that are resolved elsewhere, and so not judged by the address, these are known by themselves. */
bool policy_address_allowed(const struct route *, const char *host, const struct net_address *);
/* For every address a name was resolved to, and for every address dialled: may a request for `host` that took
 * this route go there? Ordinary addresses: yes. Special ones only when the route's cidrs name them, or its
 * hosts name that very address; the host "localhost", when the route names it, may be a loopback address. A
 * name an outsider controls can thus never lead to the broker's own machine or to a cloud's metadata. */

bool policy_client_name_matches(const char *pattern, const char *name);
/* Equal without regard to case, or '*.domain' for one label before the domain. */
bool policy_client_allowed(char *const *patterns, uint32_t count, const char *name);
/* One of the patterns matches. `name`: a client certificate's common name or a DNS name of it. */
bool policy_may_meet(const struct config_listener *, const struct client_pattern *);
/* Could a client of this pattern come in there? Where it takes more than the listener's kind and allowedNames
 * to say no: yes. A certificate that is let in for another of its names is not thought of. */
bool policy_peer_allowed(const struct config_unix *, uint32_t uid, uint32_t gid, uint32_t own_uid);
/* A process at the other end of a Unix socket. With both lists empty: root and the broker's own user. */
