/* broker/policy.c — see policy.h. */
#include "broker/policy.h"

#include <string.h>
#include <strings.h>

#include "broker/client.h"
#include "broker/config/config.h"
#include "broker/route.h"

#define V4(a, b, c, d, n) .block.bits = 96 + n, .block.base.bytes = {[10] = 0xff, [11] = 0xff, a, b, c, d}
#define V6(n, ...)        .block.bits = n, .block.base.bytes = {__VA_ARGS__}
#define SPECIAL(what, ...)                                                                                   \
    {                                                                                                        \
        .kind = ADDRESS_##what, __VA_ARGS__                                                                  \
    }

/* Smallest first, so that the first block that has an address is the one that must be named. Sources: RFC
 * 6890 registries; the clouds' own documentation for metadata services. In bytes, because requests pass here.
 */
static const struct {
    struct cidr block;
    enum address_kind kind;
} special_blocks[] = {
    SPECIAL(METADATA, V4(169, 254, 169, 254, 32)), /* AWS, Azure, GCP, ... */
    SPECIAL(METADATA, V4(169, 254, 170, 2, 32)),   /* AWS: a task's credentials */
    SPECIAL(METADATA, V4(169, 254, 170, 23, 32)),  /* AWS: a pod's credentials */
    SPECIAL(METADATA, V4(168, 63, 129, 16, 32)),   /* Azure: the host's agent */
    SPECIAL(METADATA, V4(100, 100, 100, 200, 32)), /* Alibaba */
    SPECIAL(METADATA, V4(192, 0, 0, 192, 32)),     /* Oracle */
    SPECIAL(METADATA, V6(128, 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54)), /* AWS, fd00:ec2::254 */
    SPECIAL(METADATA, V6(128, 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23)),              /* AWS, fd00:ec2::23 */
    SPECIAL(METADATA, V6(128, 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54)), /* GCP, fd20:ce::254 */
    SPECIAL(MULTICAST, V4(255, 255, 255, 255, 32)),
    SPECIAL(UNSPECIFIED, V6(128, 0)),
    SPECIAL(LOOPBACK, V6(128, [15] = 1)),
    SPECIAL(LINK_LOCAL, V4(169, 254, 0, 0, 16)),
    SPECIAL(LOOPBACK, V4(127, 0, 0, 0, 8)),
    SPECIAL(UNSPECIFIED, V4(0, 0, 0, 0, 8)),
    SPECIAL(MULTICAST, V4(224, 0, 0, 0, 4)),
    SPECIAL(LINK_LOCAL, V6(10, 0xfe, 0x80)),
    SPECIAL(MULTICAST, V6(8, 0xff)),
};

/* IPv6 addresses that routers and gateways turn into the IPv4 address in them, which could lead a request
 * where the rule above forbids it. */
static struct ip embedded_v4(const struct ip *ip)
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t six_to_four[2] = {0x20, 0x02};
    struct ip v4 = {
        .bytes = {[10] = 0xff, [11] = 0xff}
    };
    if (memcmp(ip->bytes, nat64, sizeof(nat64)) == 0)
        memcpy(v4.bytes + 12, ip->bytes + 12, 4);
    else if (memcmp(ip->bytes, six_to_four, sizeof(six_to_four)) == 0)
        memcpy(v4.bytes + 12, ip->bytes + 2, 4);
    else
        return *ip;
    return v4;
}

static bool special_block(const struct ip *ip, struct cidr *ret_block, enum address_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(special_blocks); i++) {
        if (!cidr_has(&special_blocks[i].block, ip))
            continue;
        *ret_block = special_blocks[i].block;
        *ret_kind = special_blocks[i].kind;
        return true;
    }
    return false;
}

enum address_kind policy_address_kind(const struct ip *ip)
{
    struct ip plain = embedded_v4(ip);
    struct cidr block;
    enum address_kind kind = ADDRESS_ORDINARY;
    return special_block(&plain, &block, &kind) ? kind : ADDRESS_ORDINARY;
}

bool policy_block_names(const struct cidr *cidr, const struct ip *ip)
{
    struct ip plain = embedded_v4(ip);
    struct cidr block;
    enum address_kind kind;
    if (!special_block(&plain, &block, &kind))
        return cidr_has(cidr, ip);
    return cidr_within(cidr, &block) && cidr_has(cidr, &plain);
}

const char *policy_address_kind_text(enum address_kind kind)
{
    static const char *const texts[] = {
#define ADDRESS_TEXT(symbol, text) [ADDRESS_##symbol] = text,
        ADDRESS_KINDS(ADDRESS_TEXT)
#undef ADDRESS_TEXT
    };
    ASSERT((size_t)kind < ARRAY_SIZE(texts));
    return texts[kind];
}

bool policy_name_is_special(const char *name)
{
    static const char *const names[] = {"localhost",    "localhost.localdomain",    "ip6-localhost",
                                        "ip6-loopback", "metadata.google.internal", "metadata"};
    static const char below[] = ".localhost"; /* RFC 6761 section 6.3 */
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return len >= sizeof(below) && strcmp(name + len - (sizeof(below) - 1), below) == 0;
}

bool policy_address_allowed(const struct route *route, const char *host, const struct net_address *address)
{
    struct ip ip;
    struct host wanted;
    if (!ip_of_address(address, &ip))
        return false;
    enum address_kind kind = policy_address_kind(&ip);
    if (kind == ADDRESS_ORDINARY || route_names_address(route, &ip))
        return true;
    if (kind != ADDRESS_LOOPBACK || !host_parse(host, &wanted) || strcmp(wanted.text, "localhost") != 0)
        return false;
    return route_names_host(route, &wanted);
}

bool policy_client_name_matches(const char *pattern, const char *name)
{
    if (strcmp(pattern, "*") == 0)
        return true;
    if (pattern[0] != '*')
        return name[0] != '\0' && strcasecmp(pattern, name) == 0;
    const char *dot = strchr(name, '.');
    return dot && dot != name && name[0] != '*' && strcasecmp(dot, pattern + 1) == 0;
}

bool policy_client_allowed(char *const *patterns, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (policy_client_name_matches(patterns[i], name))
            return true;
    return false;
}

bool policy_may_meet(const struct config_listener *l, const struct client_pattern *pattern)
{
    if (pattern->kind != CLIENT_BY_NAME)
        return l->socket != NULL;
    if (!l->tls || pattern->name[0] == '*')
        return l->tls != NULL;
    return policy_client_allowed(l->tls->allowed_names, l->tls->allowed_name_count, pattern->name);
}

bool policy_peer_allowed(const struct config_unix *socket, uint32_t uid, uint32_t gid, uint32_t own_uid)
{
    if (socket->any_peer)
        return true;
    if (socket->allowed_uid_count == 0 && socket->allowed_gid_count == 0)
        return uid == 0 || uid == own_uid;
    for (uint32_t i = 0; i < socket->allowed_uid_count; i++)
        if (socket->allowed_uids[i] == uid)
            return true;
    for (uint32_t i = 0; i < socket->allowed_gid_count; i++)
        if (socket->allowed_gids[i] == gid)
            return true;
    return false;
}
