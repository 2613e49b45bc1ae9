/* broker/host_pattern.h — destinations as hosts, and patterns of them with one wildcard at an end. Pure.
 *
 * A pattern is a name or IP literal, '*' (any host), '*.domain' (one or more labels before it) or 'prefix*'
 * (any name that begins so; never an IP literal). Case does not matter, nor one closing dot. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/cidr.h"
#include "io/attributes.h"

enum { HOST_BYTES = 254 }; /* 253 characters of a DNS name (RFC 1035) and the NUL */

struct host {
    char text[HOST_BYTES]; /* lower case, no closing dot; an IP literal in its shortest spelling */
    bool literal;
    struct ip ip; /* when literal */
};

enum host_pattern_kind { HOST_ANY, HOST_LITERAL, HOST_EXACT, HOST_BELOW, HOST_PREFIX };

struct host_pattern {
    enum host_pattern_kind kind;
    const char *text; /* what must be equal, borrowed from the pattern as written */
    size_t len;
    struct ip ip; /* of HOST_LITERAL */
};

bool host_name_is_valid(const char *);
/* Labels of letters, digits, '-' and '_'; the last one no number, which a resolver would read as an address.
 */
MUST_USE bool host_parse(const char *text, struct host *ret_host);
/* False when it is neither a name nor an IP literal (without brackets). */
MUST_USE bool host_pattern_parse(const char *text, struct host_pattern *ret_pattern);
/* The text must outlive the pattern. */
bool host_pattern_matches(const struct host_pattern *, const struct host *);
