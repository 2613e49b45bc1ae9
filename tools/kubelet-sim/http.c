/* tools/kubelet-sim/http.c — the request's head and body framing, read strictly.
 *
 * Strict where laxness would hide a broker's mistake: CRLF only, one framing only, no folding, no control
 * bytes. What a Go server would forgive beyond that, we refuse with 400, so a test sees it. */
#include "tools/kubelet-sim/http.h"

#include <string.h>
#include <strings.h>

bool slice_is(struct slice s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.at, text, s.n) == 0;
}

static bool is_ci(struct slice s, const char *text)
{
    return s.n == strlen(text) && strncasecmp(s.at, text, s.n) == 0;
}

static bool has_token(struct slice list, const char *token)
{
    while (list.n > 0) {
        const char *comma = memchr(list.at, ',', list.n);
        struct slice part = {list.at, comma ? (size_t)(comma - list.at) : list.n};
        size_t step = part.n + (comma != NULL);
        list.at += step;
        list.n -= step;
        while (part.n > 0 && (*part.at == ' ' || *part.at == '\t'))
            part.at++, part.n--;
        while (part.n > 0 && (part.at[part.n - 1] == ' ' || part.at[part.n - 1] == '\t'))
            part.n--;
        if (is_ci(part, token))
            return true;
    }
    return false;
}

static bool to_number(struct slice s, uint64_t *ret_n)
{
    uint64_t n = 0;
    if (s.n == 0 || s.n > 18)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s.at[i] - '0');
    }
    *ret_n = n;
    return true;
}

static bool parse_request_line(struct slice line, struct http_request *r)
{
    const char *end = line.at + line.n, *space = memchr(line.at, ' ', line.n);
    const char *target = space ? space + 1 : NULL;
    const char *version = target ? memchr(target, ' ', (size_t)(end - target)) : NULL;
    if (!version || space == line.at || version == target)
        return false;
    r->method = (struct slice){line.at, (size_t)(space - line.at)};
    r->target = (struct slice){target, (size_t)(version - target)};
    struct slice v = {version + 1, (size_t)(end - version - 1)};
    r->http10 = slice_is(v, "HTTP/1.0");
    if (!r->http10 && !slice_is(v, "HTTP/1.1"))
        return false;
    for (size_t i = 0; i < r->target.n; i++)
        if ((unsigned char)r->target.at[i] <= ' ' || r->target.at[i] == 0x7f)
            return false;
    if (*target != '/' && !slice_is(r->target, "*"))
        return false;
    const char *mark = memchr(target, '?', r->target.n);
    r->path = (struct slice){target, mark ? (size_t)(mark - target) : r->target.n};
    r->query = mark ? (struct slice){mark + 1, r->target.n - r->path.n - 1} : (struct slice){"", 0};
    r->keep_alive = !r->http10;
    return true;
}

static bool on_field(struct http_request *r, struct slice name, struct slice value, bool *seen_host)
{
    if (is_ci(name, "content-length")) {
        if (r->framing != FRAMING_NONE)
            return false;
        r->framing = FRAMING_LENGTH;
        return to_number(value, &r->content_length);
    }
    if (is_ci(name, "transfer-encoding")) {
        if (r->framing != FRAMING_NONE || r->http10)
            return false;
        r->framing = FRAMING_CHUNKED;
        return is_ci(value, "chunked");
    }
    if (is_ci(name, "connection")) {
        if (has_token(value, "close"))
            r->keep_alive = false;
        else if (r->http10 && has_token(value, "keep-alive"))
            r->keep_alive = true;
        r->wants_upgrade = r->wants_upgrade || has_token(value, "upgrade");
    } else if (is_ci(name, "host")) {
        if (*seen_host)
            return false;
        *seen_host = true;
    } else if (is_ci(name, "expect")) {
        r->expects_continue = is_ci(value, "100-continue");
    } else if (is_ci(name, "authorization")) {
        r->authorization = value;
    } else if (is_ci(name, "x-request-id")) {
        r->request_id = value;
    } else if (is_ci(name, "upgrade")) {
        r->upgrade = value;
    } else if (is_ci(name, "sec-websocket-key")) {
        r->websocket_key = value;
    }
    return true;
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.at[i] <= ' ' || (unsigned char)s.at[i] >= 0x7f ||
            strchr("\"(),/:;<=>?@[\\]{}", s.at[i]))
            return false;
    return s.n > 0;
}

static bool parse_field(struct http_request *r, struct slice line, bool *seen_host)
{
    const char *colon = memchr(line.at, ':', line.n);
    if (!colon)
        return false;
    struct slice name = {line.at, (size_t)(colon - line.at)};
    struct slice value = {colon + 1, line.n - name.n - 1};
    while (value.n > 0 && (*value.at == ' ' || *value.at == '\t'))
        value.at++, value.n--;
    while (value.n > 0 && (value.at[value.n - 1] == ' ' || value.at[value.n - 1] == '\t'))
        value.n--;
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            return false;
    return is_token(name) && on_field(r, name, value, seen_host);
}

long http_parse_head(const char *bytes, size_t n, struct http_request *ret_request)
{
    const char *end = memmem(bytes, n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    struct http_request r = {0};
    bool first = true, seen_host = false;
    const char *at = bytes;
    while (at < end + 2) { /* each line ends in CRLF, the last one at end + 2 */
        const char *lf = memchr(at, '\n', (size_t)(end + 2 - at));
        if (!lf || lf == at || lf[-1] != '\r')
            return -1;
        struct slice line = {at, (size_t)(lf - 1 - at)};
        if (first ? !parse_request_line(line, &r) : !parse_field(&r, line, &seen_host))
            return -1;
        first = false;
        at = lf + 1;
    }
    if (!seen_host && !r.http10)
        return -1;
    *ret_request = r;
    return end + 4 - bytes;
}

enum {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_LF,
    TRAILER_START,
    TRAILER,
    TRAILER_LF,
    LAST_LF
};
enum { CHUNK_DIGITS_DONE = 16 }; /* flag beside the position: at least one digit of the size was seen */

void http_body_start(struct http_body *body, const struct http_request *request)
{
    *body = (struct http_body){.framing = request->framing, .left = request->content_length};
    body->ended = request->framing == FRAMING_NONE || (request->framing == FRAMING_LENGTH && body->left == 0);
    if (request->framing == FRAMING_CHUNKED)
        body->left = 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of chunk syntax. False: it does not belong here. */
static bool chunk_byte(struct http_body *b, char c)
{
    int digit = hex(c);
    switch (b->at & ~CHUNK_DIGITS_DONE) {
    case CHUNK_SIZE:
        if (digit >= 0) {
            b->left = b->left << 4 | (uint64_t)digit;
            b->at |= CHUNK_DIGITS_DONE;
            return b->left < UINT64_C(1) << 48; /* a frank guess at nobody's chunk */
        }
        if (!(b->at & CHUNK_DIGITS_DONE) || (c != '\r' && c != ';'))
            return false;
        b->at = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
        return true;
    case CHUNK_EXTENSION:
        if (c == '\r')
            b->at = CHUNK_SIZE_LF;
        return c != '\n';
    case CHUNK_SIZE_LF: b->at = b->left ? CHUNK_DATA : TRAILER_START; return c == '\n';
    case CHUNK_CR: b->at = CHUNK_LF; return c == '\r';
    case CHUNK_LF: b->at = CHUNK_SIZE; return c == '\n';
    case TRAILER_START: b->at = c == '\r' ? LAST_LF : TRAILER; return c != '\n';
    case TRAILER:
        if (c == '\r')
            b->at = TRAILER_LF;
        return c != '\n';
    case TRAILER_LF: b->at = TRAILER_START; return c == '\n';
    case LAST_LF: b->ended = true; return c == '\n';
    }
    return false;
}

long http_body_next(struct http_body *body, const char *bytes, size_t n, struct slice *ret_payload)
{
    size_t i = 0;
    *ret_payload = (struct slice){bytes, 0};
    while (body->framing == FRAMING_CHUNKED && body->at != CHUNK_DATA && !body->ended && i < n)
        if (!chunk_byte(body, bytes[i++]))
            return -1;
    if (body->ended || i == n)
        return (long)i;
    size_t take = n - i < body->left ? n - i : (size_t)body->left;
    *ret_payload = (struct slice){bytes + i, take};
    body->left -= take;
    if (body->left == 0) {
        body->ended = body->framing == FRAMING_LENGTH;
        body->at = CHUNK_CR;
    }
    return (long)(i + take);
}

bool http_query(struct slice query, const char *key, struct slice *ret_value)
{
    size_t key_n = strlen(key);
    while (query.n > 0) {
        const char *amp = memchr(query.at, '&', query.n);
        struct slice pair = {query.at, amp ? (size_t)(amp - query.at) : query.n};
        if (pair.n > key_n && memcmp(pair.at, key, key_n) == 0 && pair.at[key_n] == '=') {
            *ret_value = (struct slice){pair.at + key_n + 1, pair.n - key_n - 1};
            return true;
        }
        query.at += pair.n + (amp != NULL);
        query.n -= pair.n + (amp != NULL);
    }
    return false;
}

uint64_t http_query_number(struct slice query, const char *key, uint64_t otherwise)
{
    struct slice value;
    uint64_t n = 0;
    return http_query(query, key, &value) && to_number(value, &n) ? n : otherwise;
}

bool http_query_flag(struct slice query, const char *key)
{
    struct slice value;
    return http_query(query, key, &value) && (slice_is(value, "true") || slice_is(value, "1"));
}
