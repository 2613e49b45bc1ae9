/* broker/kube/base64.c — see base64.h. */
#include "broker/kube/base64.h"

#include <stdbool.h>

static int value_of(enum base64_alphabet alphabet, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (alphabet == BASE64 ? '+' : '-'))
        return 62;
    return c == (alphabet == BASE64 ? '/' : '_') ? 63 : -1;
}

static bool is_space(enum base64_alphabet alphabet, char c)
{
    return alphabet == BASE64 && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

/* What follows the last digit: padding to a multiple of four, or nothing. */
static bool ends_well(enum base64_alphabet alphabet, const char *text, size_t len, size_t digits)
{
    size_t pads = 0, wanted = alphabet == BASE64 ? (4 - digits % 4) % 4 : 0;
    for (size_t i = 0; i < len; i++) {
        if (is_space(alphabet, text[i]))
            continue;
        if (text[i] != '=')
            return false;
        pads++;
    }
    return digits % 4 != 1 && pads == wanted;
}

ssize_t base64_decode(enum base64_alphabet alphabet, const char *text, size_t len, uint8_t *ret, size_t cap)
{
    uint32_t bits = 0;
    size_t digits = 0, n = 0, at = 0;
    for (; at < len; at++) {
        int value = value_of(alphabet, text[at]);
        if (value < 0 && is_space(alphabet, text[at]))
            continue;
        if (value < 0)
            break;
        bits = bits << 6 | (uint32_t)value;
        if (digits++ % 4 == 0)
            continue;
        if (n == cap)
            return -1;
        ret[n++] = (uint8_t)(bits >> (6 - 2 * ((digits - 1) % 4)));
    }
    uint32_t left = digits % 4 == 2 ? bits & 0xf : digits % 4 == 3 ? bits & 0x3 : 0;
    return left == 0 && ends_well(alphabet, text + at, len - at, digits) ? (ssize_t)n : -1;
}
