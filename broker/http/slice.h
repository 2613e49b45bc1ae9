/* broker/http/slice.h — a borrowed run of bytes: where it starts and how long it is.
 * Not a string: no NUL at the end, any byte inside. A slice never owns; it is good for as long as the bytes
 * it points at, which the function that hands it out must say. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "io/attributes.h"

struct slice {
    const char *data;
    uint32_t len;
};

/* A slice over a string literal. */
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_INIT(literal)                                                                                  \
    {                                                                                                        \
        (literal), sizeof(literal) - 1                                                                       \
    }

static inline struct slice slice_of(const char *data, size_t len)
{
    return (struct slice){data, (uint32_t)len};
}

/* Over a NUL-terminated string, without its NUL. */
static inline struct slice slice_of_text(const char *text)
{
    return slice_of(text, strlen(text));
}

/* The bytes from `at` on; `at` must not exceed the length. */
static inline struct slice slice_from(struct slice s, uint32_t at)
{
    return (struct slice){s.data + at, s.len - at};
}

static inline struct slice slice_first(struct slice s, uint32_t len)
{
    return (struct slice){s.data, len};
}

/* As a string; what does not fit is left out. */
static inline void slice_copy_text(struct slice s, char *to, size_t size)
{
    uint32_t len = s.len < size ? s.len : (uint32_t)size - 1;
    if (len > 0)
        memcpy(to, s.data, len);
    to[len] = '\0';
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ASCII only and independent of the locale: tolower() of a Turkish locale must not decide what a field is
 * called. */
static inline unsigned char slice_lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (uint32_t i = 0; i < a.len; i++)
        if (slice_lower(a.data[i]) != slice_lower(b.data[i]))
            return false;
    return true;
}

static inline bool slice_starts_nocase(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq_nocase(slice_first(s, prefix.len), prefix);
}

static inline bool slice_is_ows(char c)
{
    return c == ' ' || c == '\t';
}

/* Without optional whitespace (SP and HTAB, RFC 9110 section 5.6.3) at both ends. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && slice_is_ows(s.data[0]))
        s = slice_from(s, 1);
    while (s.len > 0 && slice_is_ows(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* Cuts the next comma-separated element, trimmed, off the front of *rest; it may be empty. False when *rest
 * has been used up. Start with rest = the value; a used-up rest has data == NULL. */
static inline bool slice_next_element(struct slice *rest, struct slice *ret_element)
{
    if (rest->data == NULL)
        return false;
    const char *comma = rest->len > 0 ? memchr(rest->data, ',', rest->len) : NULL;
    if (comma == NULL) {
        *ret_element = slice_trim(*rest);
        *rest = (struct slice){NULL, 0};
    } else {
        uint32_t at = (uint32_t)(comma - rest->data);
        *ret_element = slice_trim(slice_first(*rest, at));
        *rest = slice_from(*rest, at + 1);
    }
    return true;
}
