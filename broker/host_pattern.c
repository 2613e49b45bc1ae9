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

bool host_pattern_is_valid(const char *text)
{
    struct ip ip;
    const char *star = strchr(text, '*');
    if (!star)
        return ip_parse(text, &ip) || host_name_is_valid(text);
    if (text[0] == '*')
        return text[1] == '\0' || (text[1] == '.' && host_name_is_valid(text + 2));
    return star[1] == '\0' && prefix_is_valid(text, (size_t)(star - text));
}

static size_t length_without_dot(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && name[len - 1] == '.' ? len - 1 : len;
}

bool host_pattern_matches(const char *pattern, const char *host)
{
    struct ip ip;
    size_t len = length_without_dot(pattern), host_len = strlen(host);
    if (strcmp(pattern, "*") == 0)
        return true;
    if (ip_parse(host, &ip)) {
        struct ip want;
        return ip_parse(pattern, &want) && memcmp(&ip, &want, sizeof(ip)) == 0;
    }
    if (pattern[0] == '*') {
        size_t tail = len - 1; /* ".domain" */
        return host_len > tail && strncasecmp(host + host_len - tail, pattern + 1, tail) == 0;
    }
    if (len > 0 && pattern[len - 1] == '*')
        return host_len >= len - 1 && strncasecmp(host, pattern, len - 1) == 0;
    return host_len == len && strncasecmp(host, pattern, len) == 0;
}

bool host_normal(const char *host, char ret_normal[HOST_NAME_MAX_BYTES])
{
    struct ip ip;
    if (ip_parse(host, &ip)) {
        if (ip_is_v4(&ip))
            inet_ntop(AF_INET, ip.bytes + 12, ret_normal, HOST_NAME_MAX_BYTES);
        else
            inet_ntop(AF_INET6, ip.bytes, ret_normal, HOST_NAME_MAX_BYTES);
        return true;
    }
    if (!host_name_is_valid(host))
        return false;
    size_t len = length_without_dot(host);
    for (size_t i = 0; i < len; i++)
        ret_normal[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] - 'A' + 'a') : host[i];
    ret_normal[len] = '\0';
    return true;
}
