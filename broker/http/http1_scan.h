/* broker/http/http1_scan.h — walking over bytes quickly: the inner loops of the HTTP/1 parser.
 *
 * Two questions cover a whole head. How long is the token here (a table, because names are short)? Where is
 * the next control character (16 bytes at a time with SSE2, 8 at a time in plain C elsewhere)? HTAB is not
 * counted as one, because field values may hold it; NUL, CR, LF and DEL are. Bytes from 0x80 on are obs-text
 * and pass. Nothing at or after `end` is read. The portable version is always compiled so that the tests can
 * hold both to the same answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* RFC 9110 section 5.6.2: one for each tchar. */
extern const uint8_t http1_token_chars[256];

static inline uint32_t http1_token_length(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && http1_token_chars[(unsigned char)*p])
        p++;
    return (uint32_t)(p - start);
}

static inline bool http1_is_control(char c)
{
    unsigned char u = (unsigned char)c;
    return (u < 0x20 && u != '\t') || u == 0x7f;
}

/* One bit, the highest, in every byte of the word that is a control character as above. */
static inline uint64_t http1_control_bits(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101ull, highs = ones << 7;
    uint64_t low7 = word & ~highs, ascii = ~word & highs;
    uint64_t ge_space = low7 + (0x80 - 0x20) * ones;         /* no carry: low7 <= 0x7f */
    uint64_t not_tab = (low7 ^ ('\t' * ones)) + 0x7f * ones; /* high bit unless the byte is HTAB */
    uint64_t not_del = (low7 ^ (0x7f * ones)) + 0x7f * ones;
    return ((~ge_space & not_tab) | ~not_del) & ascii;
}

/* The first control character in [p, end), or end. */
static inline const char *http1_find_control_portable(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        if (http1_control_bits(word) != 0)
            break;
        p += 8;
    }
    while (p < end && !http1_is_control(*p))
        p++;
    return p;
}

static inline const char *http1_find_control(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);
    while (end - p >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        __m128i hit = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low),
                                   _mm_cmpeq_epi8(bytes, del));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    return http1_find_control_portable(p, end);
}
