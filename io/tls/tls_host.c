/* io/tls/tls_host.c — see tls_host.h. An IPv4 address inside an IPv6 one is that IPv4 address: certificates
 * name it so, and verifiers compare it so. */
#include "io/tls/tls_host.h"

#include <string.h>

#include "io/net.h"

enum { NAME_MAX_BYTES = 253, LABEL_MAX_BYTES = 63 }; /* RFC 1035 section 2.3.4 */

static void set_address(const struct net_address *a, struct tls_host *h)
{
    struct net_address plain = *a;
    const struct in6_addr *v6 = &a->in6.sin6_addr;
    char text[NET_TEXT_MAX];
    if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) {
        plain = (struct net_address){.len = sizeof(plain.in), .in = {.sin_family = AF_INET}};
        memcpy(&plain.in.sin_addr, v6->s6_addr + 12, 4);
    }
    bool v4 = plain.sa.sa_family == AF_INET;
    h->ip_len = v4 ? 4 : 16;
    memcpy(h->ip, v4 ? (const void *)&plain.in.sin_addr : (const void *)&plain.in6.sin6_addr, h->ip_len);
    net_address_host(&plain, text);
    memcpy(h->text, text, strlen(text) + 1);
}

static bool is_label(const char *label, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    return len > 0 && len <= LABEL_MAX_BYTES && strspn(label, allowed) >= len && label[0] != '-' &&
           label[len - 1] != '-';
}

/* "10.0.0.256", "0x7f.1": not addresses to us, and not names to everybody. */
static bool is_number(const char *label)
{
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

static bool is_name(const char *name)
{
    const char *label = name;
    for (;;) {
        size_t len = strcspn(label, ".");
        if (!is_label(label, len))
            return false;
        if (label[len] == '\0')
            return !is_number(label);
        label += len + 1;
    }
}

bool tls_host_parse(const char *text, struct tls_host *ret, struct tls_detail d)
{
    struct tls_host h = {0};
    struct net_address literal;
    size_t len = strlen(text);
    if (net_address_parse(text, len, 0, &literal)) {
        set_address(&literal, &h);
        *ret = h;
        return true;
    }
    if (len > 1 && text[len - 1] == '.')
        len--;
    if (len <= NAME_MAX_BYTES)
        memcpy(h.text, text, len);
    if (len > NAME_MAX_BYTES || !is_name(h.text)) {
        tls_detail_set(d, "the destination is neither an address nor a DNS name in lower case, so no "
                          "certificate can be made for it");
        return false;
    }
    *ret = h;
    return true;
}
