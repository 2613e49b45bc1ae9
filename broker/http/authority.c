/* broker/http/authority.c — parsing "host[:port]".
 *
 * The order of work: an opening bracket means an IPv6 literal and nothing else; otherwise the first colon
 * divides host from port, and a second one can only be a mistake. A host is then classed as a name or an IPv4
 * address by its last label, the way URL parsers do it, so that whoever reads `kind` later can trust that a
 * HOST_NAME will not be taken for an address by a resolver. No resolution, no IDNA: bytes above 0x7f are
 * refused.
 */
#include "broker/http/authority.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const char *const result_texts[] = {
#define AUTHORITY_TEXT(symbol, text) [AUTHORITY_##symbol] = text,
    AUTHORITY_RESULTS(AUTHORITY_TEXT)
#undef AUTHORITY_TEXT
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    unsigned char l = slice_lower(c);
    return is_digit(c) || (l >= 'a' && l <= 'f');
}

static bool is_name_char(char c)
{
    unsigned char l = slice_lower(c);
    return is_digit(c) || (l >= 'a' && l <= 'z') || c == '-' || c == '_' || c == '.';
}

static bool parse_port(struct slice text, uint16_t *ret_port)
{
    if (text.len == 0 || text.len > 5 || text.data[0] == '0')
        return false;
    uint32_t port = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
        port = port * 10 + (uint32_t)(text.data[i] - '0');
    }
    if (port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* Only libc's own reader decides, on a copy because it wants a NUL. */
static bool is_address(int family, struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr unused;
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, &unused) == 1;
}

/* Decimal digits, or 0x and hexadecimal ones: what inet_aton() would read as part of an address. */
static bool label_is_number(struct slice label)
{
    bool hex = label.len >= 2 && label.data[0] == '0' && slice_lower(label.data[1]) == 'x';
    for (uint32_t i = hex ? 2 : 0; i < label.len; i++)
        if (hex ? !is_hex(label.data[i]) : !is_digit(label.data[i]))
            return false;
    return true;
}

static enum authority_result classify_name(struct slice host, enum host_kind *ret_kind)
{
    struct slice name = host;
    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    uint32_t label = 0;
    for (uint32_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.data[i]))
            return name.data[i] == '@' ? AUTHORITY_USERINFO : AUTHORITY_BAD_HOST;
        if (name.data[i] != '.')
            continue;
        if (i == label)
            return AUTHORITY_BAD_HOST;
        label = i + 1;
    }
    if (label == name.len)
        return AUTHORITY_BAD_HOST;
    if (!label_is_number(slice_from(name, label))) {
        *ret_kind = HOST_NAME;
        return AUTHORITY_OK;
    }
    if (name.len != host.len || !is_address(AF_INET, name))
        return AUTHORITY_BAD_IPV4;
    *ret_kind = HOST_IPV4;
    return AUTHORITY_OK;
}

static enum authority_result parse_ipv6(struct slice text, struct authority *ret)
{
    const char *close = memchr(text.data, ']', text.len);
    if (close == NULL)
        return AUTHORITY_BAD_IPV6;
    uint32_t end = (uint32_t)(close - text.data);
    ret->host = (struct slice){text.data + 1, end - 1};
    ret->kind = HOST_IPV6;
    if (!is_address(AF_INET6, ret->host))
        return AUTHORITY_BAD_IPV6;
    if (end + 1 == text.len)
        return AUTHORITY_OK;
    ret->has_port = true;
    if (text.data[end + 1] != ':' || !parse_port(slice_from(text, end + 2), &ret->port))
        return AUTHORITY_BAD_PORT;
    return AUTHORITY_OK;
}

enum authority_result authority_parse(struct slice text, struct authority *ret_authority)
{
    struct authority found = {.host = text, .kind = HOST_NONE};
    enum authority_result result;
    if (text.len == 0)
        return AUTHORITY_EMPTY;
    if (memchr(text.data, '@', text.len) != NULL)
        return AUTHORITY_USERINFO;
    if (text.data[0] == '[') {
        result = parse_ipv6(text, &found);
    } else {
        const char *colon = memchr(text.data, ':', text.len);
        if (colon != NULL) {
            found.host.len = (uint32_t)(colon - text.data);
            found.has_port = true;
            if (!parse_port(slice_from(text, found.host.len + 1), &found.port))
                return AUTHORITY_BAD_PORT;
        }
        if (found.host.len == 0)
            return AUTHORITY_EMPTY;
        if (found.host.len > AUTHORITY_HOST_MAX)
            return AUTHORITY_BAD_HOST;
        result = classify_name(found.host, &found.kind);
    }
    if (result == AUTHORITY_OK)
        *ret_authority = found;
    return result;
}

const char *authority_result_text(enum authority_result result)
{
    ASSERT(result < ARRAY_SIZE(result_texts));
    return result_texts[result];
}

bool authority_same(const struct authority *a, const struct authority *b, uint16_t default_port)
{
    uint16_t a_port = a->has_port ? a->port : default_port;
    uint16_t b_port = b->has_port ? b->port : default_port;
    return a_port == b_port && a->kind == b->kind && slice_eq_nocase(a->host, b->host);
}
