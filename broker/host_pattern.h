/* broker/host_pattern.h — host names, and patterns of them with one wildcard at an end. Pure.
 *
 * A pattern is a name or IP literal, '*' (any host), '*.domain' (one or more labels before it) or 'prefix*'
 * (node-*: any name that begins so; never an IP literal). Case does not matter, nor one closing dot. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "io/attributes.h"

enum { HOST_NAME_MAX_BYTES = 254 }; /* 253 characters (RFC 1035) and the NUL */

bool host_name_is_valid(const char *);
/* Labels of letters, digits, '-' and '_'; the last one no number, which a resolver would read as an address.
 */
bool host_pattern_is_valid(const char *);
bool host_pattern_matches(const char *pattern, const char *host);
/* `host` is normal (below); the pattern is as written. */
MUST_USE bool host_normal(const char *host, char ret_normal[HOST_NAME_MAX_BYTES]);
/* Lower case, no closing dot, an IP literal in its shortest spelling. False when it is neither name nor
 * literal. */
