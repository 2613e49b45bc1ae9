/* broker/host_pattern.c — see host_pattern.h. */
#include "broker/host_pattern.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "broker/cidr.h"

static bool label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* What inet_aton() and resolvers take for a number: decimal, octal or 0x and hexadecimal digits. */
static bool label_is_number(const char *label, size_t len)
{
    if (len > 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return strspn(label + 2, "0123456789abcdefABCDEF") >= len - 2;
    return strspn(label, "0123456789") >= len;
}

bool host_name_is_valid(const char *text)
{
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len == 0 || len > 253)
        return false;
    size_t label = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != '.') {
            if (!label_char(text[i]))
                return false;
            continue;
        }
        if (i == label || i - label > 63 || text[label] == '-' || text[i - 1] == '-')
            return false;
        if (i == len)
            return !label_is_number(text + label, i - label);
        label = i + 1;
    }
    return false;
}

static bool prefix_is_valid(const char *text, size_t len)
{
    if (len == 0 || len > 253 || text[0] == '.' || text[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!label_char(text[i]) && (text[i] != '.' || text[i - 1] == '.'))
            return false;
    return true;
}

static size_t length_without_dot(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && name[len - 1] == '.' ? len - 1 : len;
}

bool host_parse(const char *text, struct host *ret_host)
{
    struct host host = {.literal = ip_parse(text, &host.ip)};
    if (host.literal && !strchr(text, ':')) { /* of IPv4 there is but one spelling that is accepted */
        memcpy(host.text, text, strlen(text) + 1);
    } else if (host.literal) {
        bool v4 = ip_is_v4(&host.ip);
        inet_ntop(v4 ? AF_INET : AF_INET6, host.ip.bytes + (v4 ? 12 : 0), host.text, sizeof(host.text));
    } else {
        if (!host_name_is_valid(text))
            return false;
        size_t len = length_without_dot(text);
        for (size_t i = 0; i < len; i++)
            host.text[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    }
    *ret_host = host;
    return true;
}

bool host_pattern_parse(const char *text, struct host_pattern *ret_pattern)
{
    struct host_pattern p = {.kind = HOST_EXACT, .text = text, .len = length_without_dot(text)};
    const char *star = strchr(text, '*');
    if (!star) {
        if (ip_parse(text, &p.ip))
            p.kind = HOST_LITERAL;
        else if (!host_name_is_valid(text))
            return false;
    } else if (star == text && text[1] == '\0') {
        p.kind = HOST_ANY;
    } else if (star == text) {
        if (text[1] != '.' || !host_name_is_valid(text + 2))
            return false;
        p.kind = HOST_BELOW;
        p.text = text + 1;
        p.len--;
    } else {
        if (star[1] != '\0' || !prefix_is_valid(text, (size_t)(star - text)))
            return false;
        p.kind = HOST_PREFIX;
        p.len = (size_t)(star - text);
    }
    *ret_pattern = p;
    return true;
}

bool host_pattern_matches(const struct host_pattern *pattern, const struct host *host)
{
    size_t len = strlen(host->text);
    switch (pattern->kind) {
    case HOST_ANY: return true;
    case HOST_LITERAL: return host->literal && memcmp(&pattern->ip, &host->ip, sizeof(host->ip)) == 0;
    case HOST_EXACT:
        return !host->literal && len == pattern->len && strncasecmp(host->text, pattern->text, len) == 0;
    case HOST_BELOW:
        return !host->literal && len > pattern->len &&
               strncasecmp(host->text + len - pattern->len, pattern->text, pattern->len) == 0;
    case HOST_PREFIX:
        return !host->literal && len >= pattern->len &&
               strncasecmp(host->text, pattern->text, pattern->len) == 0;
    }
    ASSERT(false && "a kind of pattern");
    return false;
}
