/* broker/cidr.h — address blocks and port ranges as configuration writes them. Pure.
 *
 * Addresses are kept as 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one comparison serves both families and an
 * IPv4-mapped IPv6 address can not slip past a rule about IPv4. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/net.h"

struct ip {
    uint8_t bytes[16];
};

struct cidr {
    struct ip base;
    uint8_t bits; /* 0 to 128; an IPv4 block has 96 more than it was written with */
};

struct port_range {
    uint16_t first, last;
};

MUST_USE bool ip_parse(const char *text, struct ip *ret_ip);
/* IPv4 or IPv6 literal, no brackets, no zone. */
MUST_USE bool ip_of_address(const struct net_address *, struct ip *ret_ip);
/* False for other than IPv4 and IPv6. */
bool ip_is_v4(const struct ip *);
MUST_USE bool cidr_parse(const char *text, struct cidr *ret_cidr);
/* ADDRESS/BITS with no bit set beyond BITS, or ADDRESS alone for that one address. */
bool cidr_has(const struct cidr *, const struct ip *);
/* A block of IPv6 addresses never has an IPv4 one, whatever its length. */
bool cidr_within(const struct cidr *inner, const struct cidr *outer);
MUST_USE bool port_range_parse(const char *text, struct port_range *ret_range);
/* "10250" or "8000-8999": decimal, 1 to 65535, first not above last. */
