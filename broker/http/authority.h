/* broker/http/authority.h — "host[:port]" as HTTP writes it: in a request target, in Host, in :authority.
 * Stricter than RFC 3986 section 3.2 on purpose: what is parsed here decides where Hawser connects to, so a
 * spelling that two programs could read differently is refused. Pure; slices live as long as the input.
 */
#pragma once

#include "broker/http/slice.h"

/* A DNS name has at most 253 characters (RFC 1035, 3.1), one more for the closing dot. */
#define AUTHORITY_HOST_MAX 254

enum host_kind { HOST_NONE, HOST_NAME, HOST_IPV4, HOST_IPV6 };

#define AUTHORITY_RESULTS(X)                                                                                 \
    X(OK, "a host and, where given, a port")                                                                 \
    X(EMPTY, "no host; expected host or host:port")                                                          \
    X(USERINFO, "user information ('@'); a host must stand alone")                                           \
    X(BAD_HOST, "characters no host name has; expected letters, digits, '-', '.', '_' or an IP literal")     \
    X(BAD_IPV6, "no valid IPv6 address between brackets (zones are not accepted)")                           \
    X(BAD_IPV4, "a numeric host that is not four decimal numbers of 0 to 255")                               \
    X(BAD_PORT, "a port that is not a decimal number of 1 to 65535")

enum authority_result {
#define AUTHORITY_SYMBOL(symbol, text) AUTHORITY_##symbol,
    AUTHORITY_RESULTS(AUTHORITY_SYMBOL)
#undef AUTHORITY_SYMBOL
};

struct authority {
    struct slice host; /* as written, an IPv6 address without its brackets */
    uint16_t port;     /* as written; without one the scheme's default if the parser knows it, else 0 */
    bool has_port;     /* it was written */
    enum host_kind kind;
};

MUST_USE enum authority_result authority_parse(struct slice text, struct authority *ret_authority);
/* RFC 3986 section 3.2.2 and 3.2.3, less: userinfo, percent-encoding, sub-delims, IPvFuture, zone ids, an
 * empty or zero port, a port with leading zeros, empty labels. A name whose last label is a number must be a
 * dotted quad, because resolvers read "127.1", "0x7f.1" and "2130706433" as addresses and a policy would not.
 */
const char *authority_result_text(enum authority_result);
/* Static text that names what was found. */
bool authority_same(const struct authority *, const struct authority *, uint16_t default_port);
/* Same host without regard to case, same port after filling in the default. Compares spelling, so two
 * spellings of one IPv6 address differ. */
