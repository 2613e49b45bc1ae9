/* io/net.c — see net.h. */
#include "io/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool net_address_parse(const char *host, size_t host_len, uint16_t port, struct net_address *ret)
{
    char text[INET6_ADDRSTRLEN];
    if (host_len == 0 || host_len >= sizeof(text) || memchr(host, '\0', host_len))
        return false; /* a NUL would hide what stands behind it */
    memcpy(text, host, host_len);
    text[host_len] = '\0';
    struct net_address a;
    memset(&a, 0, sizeof(a));
    if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
        a.len = sizeof(a.in);
        a.in.sin_family = AF_INET;
        a.in.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
        a.len = sizeof(a.in6);
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
    } else {
        return false;
    }
    *ret = a;
    return true;
}

bool net_address_unix(const char *path, struct net_address *ret)
{
    struct net_address a;
    memset(&a, 0, sizeof(a));
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(a.un.sun_path))
        return false;
    a.un.sun_family = AF_UNIX;
    memcpy(a.un.sun_path, path, len + 1);
    a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    *ret = a;
    return true;
}

const char *net_address_host(const struct net_address *a, char text[NET_TEXT_MAX])
{
    text[0] = '\0';
    switch (a->sa.sa_family) {
    case AF_INET: inet_ntop(AF_INET, &a->in.sin_addr, text, NET_TEXT_MAX); break;
    case AF_INET6: inet_ntop(AF_INET6, &a->in6.sin6_addr, text, NET_TEXT_MAX); break;
    case AF_UNIX: snprintf(text, NET_TEXT_MAX, "unix:%.108s", a->un.sun_path); break;
    default: snprintf(text, NET_TEXT_MAX, "unknown"); break;
    }
    return text;
}

/* As much as fits. Returns where the next one goes. */
static size_t put(char *to, size_t at, size_t size, const char *text, size_t len)
{
    size_t n = len < size - at ? len : size - at;
    memcpy(to + at, text, n);
    return at + n;
}

/* Every dial has such a text, and most of them are read by nobody: not a job for snprintf(). */
size_t net_host_text(const char *host, uint16_t port, char *to, size_t size)
{
    bool ipv6 = strchr(host, ':') != NULL;
    char digits[8], *first = digits + sizeof(digits);
    do
        *--first = (char)('0' + port % 10);
    while ((port /= 10) > 0);
    size_t at = put(to, 0, size - 1, "[", ipv6);
    at = put(to, at, size - 1, host, strlen(host));
    at = put(to, at, size - 1, ipv6 ? "]:" : ":", ipv6 ? 2 : 1);
    at = put(to, at, size - 1, first, (size_t)(digits + sizeof(digits) - first));
    to[at] = '\0';
    return at;
}

const char *net_address_text(const struct net_address *a, char text[NET_TEXT_MAX])
{
    char host[NET_TEXT_MAX];
    net_address_host(a, host);
    if (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6)
        net_host_text(host, net_address_port(a), text, NET_TEXT_MAX);
    else
        memcpy(text, host, NET_TEXT_MAX);
    return text;
}

uint16_t net_address_port(const struct net_address *a)
{
    switch (a->sa.sa_family) {
    case AF_INET: return ntohs(a->in.sin_port);
    case AF_INET6: return ntohs(a->in6.sin6_port);
    default: return 0;
    }
}

void net_address_set_port(struct net_address *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = htons(port);
    else if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons(port);
}

void net_address_unmap(struct net_address *a)
{
    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
        return;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = a->in6.sin6_port};
    memcpy(&in.sin_addr, a->in6.sin6_addr.s6_addr + 12, sizeof(in.sin_addr));
    a->in = in;
    a->len = sizeof(in);
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    switch (a->sa.sa_family) {
    case AF_INET: return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
    case AF_UNIX: return strcmp(a->un.sun_path, b->un.sun_path) == 0;
    default: return false;
    }
}
