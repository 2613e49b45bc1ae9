/* io/tls/tls_host.h — a destination as a certificate names it: an address or a DNS name, checked, in one
 * spelling. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/tls/tls_pem.h"

enum { TLS_HOST_MAX = 256 }; /* RFC 1035 section 2.3.4: 253 octets of text */

struct tls_host {
    char text[TLS_HOST_MAX]; /* IPv6 as RFC 5952 spells it; a name without the root's dot */
    uint8_t ip[16];
    uint8_t ip_len; /* 4 or 16; 0: a DNS name */
};

MUST_USE bool tls_host_parse(const char *text, struct tls_host *ret, struct tls_detail);
/* An address without brackets, or a name in lower case whose labels are letters, digits, '-' and '_'. A name
 * that ends in a number is none: some would take it for an address. False with one line. */
