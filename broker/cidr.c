/* broker/cidr.c — see cidr.h. */
#include "broker/cidr.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool ip_parse(const char *text, struct ip *ret_ip)
{
    struct ip ip;
    bool v4 = strchr(text, ':') == NULL;
    if (v4)
        memcpy(ip.bytes, mapped_prefix, sizeof(mapped_prefix));
    if (inet_pton(v4 ? AF_INET : AF_INET6, text, ip.bytes + (v4 ? 12 : 0)) != 1)
        return false;
    *ret_ip = ip;
    return true;
}

bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool ip_of_address(const struct net_address *address, struct ip *ret_ip)
{
    switch (address->sa.sa_family) {
    case AF_INET:
        memcpy(ret_ip->bytes, mapped_prefix, sizeof(mapped_prefix));
        memcpy(ret_ip->bytes + 12, &address->in.sin_addr, 4);
        return true;
    case AF_INET6: memcpy(ret_ip->bytes, &address->in6.sin6_addr, 16); return true;
    default: return false;
    }
}

/* Decimal without sign, leading zeros or anything around it. */
static bool number_parse(const char *text, size_t len, unsigned max, unsigned *ret)
{
    unsigned n = 0;
    if (len == 0 || len > 5 || (text[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (unsigned)(text[i] - '0');
    }
    if (n > max)
        return false;
    *ret = n;
    return true;
}

static bool bits_beyond_are_zero(const struct ip *ip, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if (ip->bytes[i / 8] & (0x80 >> (i % 8)))
            return false;
    return true;
}

bool cidr_parse(const char *text, struct cidr *ret_cidr)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    struct cidr cidr;
    if (!ip_parse(address, &cidr.base))
        return false;
    bool v6 = strchr(address, ':') != NULL;
    unsigned bits = v6 ? 128 : 32;
    if (slash && !number_parse(slash + 1, strlen(slash + 1), bits, &bits))
        return false;
    cidr.bits = (uint8_t)(v6 ? bits : bits + 96);
    if (!bits_beyond_are_zero(&cidr.base, cidr.bits))
        return false;
    *ret_cidr = cidr;
    return true;
}

/* Whether the first bits of eight bytes are the same; all of them where there are more. */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return bits == 0 || be64toh(x ^ y) >> (bits < 64 ? 64 - bits : 0) == 0;
}

/* Without a call: every request asks it of dozens of blocks (policy.c). */
bool cidr_has(const struct cidr *cidr, const struct ip *ip)
{
    unsigned bits = cidr->bits, low_bits = bits > 64 ? bits - 64 : 0;
    if (bits < 96 && ip_is_v4(ip)) /* ::/0 means every IPv6 address, not every address */
        return false;
    return same_bits(cidr->base.bytes + 8, ip->bytes + 8, low_bits) &&
           same_bits(cidr->base.bytes, ip->bytes, bits);
}

bool cidr_within(const struct cidr *inner, const struct cidr *outer)
{
    return inner->bits >= outer->bits && cidr_has(outer, &inner->base);
}

bool port_range_parse(const char *text, struct port_range *ret_range)
{
    const char *dash = strchr(text, '-');
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    unsigned first, last;
    if (!number_parse(text, len, 65535, &first))
        return false;
    last = first;
    if (dash && !number_parse(dash + 1, strlen(dash + 1), 65535, &last))
        return false;
    if (first == 0 || first > last)
        return false;
    ret_range->first = (uint16_t)first;
    ret_range->last = (uint16_t)last;
    return true;
}
