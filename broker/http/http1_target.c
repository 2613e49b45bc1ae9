/* broker/http/http1_target.c — the request target, in its four forms (RFC 9112 section 3.2).
 *
 * The method and the first bytes decide the form, never a guess: CONNECT has authority-form and nothing else,
 * "/" begins origin-form, "*" alone is asterisk-form, and what is left must be an absolute http or https URI.
 * Characters are checked against a table that is RFC 3986 plus the five that browsers, curl and Prometheus
 * send unescaped in queries ([ ] { | }), which mean nothing to any reader of paths. Backslash, quotes, angle
 * brackets, '^' and '`' stay out: some readers turn a backslash into a slash. Paths are not normalised;
 * percent-encoding passes byte for byte, because kubectl's commands travel in the query.
 */
#include "broker/http/http1_fields.h"

/* 1: may stand in path or query. '#' is told apart so that its refusal can say so. */
static const uint8_t target_chars[256] = {
    ['!'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1,        ['('] = 1,         [')'] = 1,
    ['*'] = 1, ['+'] = 1, [','] = 1, ['-'] = 1, ['.'] = 1,         ['/'] = 1,         [':'] = 1,
    [';'] = 1, ['='] = 1, ['?'] = 1, ['@'] = 1, ['_'] = 1,         ['~'] = 1,         ['['] = 1,
    [']'] = 1, ['{'] = 1, ['|'] = 1, ['}'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

enum http1_refusal http1_check_target(struct slice target, const char **ret_at)
{
    for (uint32_t i = 0; i < target.len; i++) {
        if (target_chars[(unsigned char)target.data[i]])
            continue;
        *ret_at = target.data + i;
        return target.data[i] == '#' ? HTTP1_TARGET_FRAGMENT : HTTP1_TARGET_CHAR;
    }
    return HTTP1_NONE;
}

/* Bytes up to the first that ends an authority: '/', '?' or the end. */
static uint32_t authority_length(struct slice s)
{
    uint32_t n = 0;
    while (n < s.len && s.data[n] != '/' && s.data[n] != '?')
        n++;
    return n;
}

static enum http1_refusal parse_absolute(struct head_view *view)
{
    static const struct slice http = SLICE_INIT("http://"), https = SLICE_INIT("https://");
    struct slice rest;
    if (slice_starts_nocase(view->target, http)) {
        view->scheme = HTTP_SCHEME_HTTP;
        rest = slice_from(view->target, http.len);
    } else if (slice_starts_nocase(view->target, https)) {
        view->scheme = HTTP_SCHEME_HTTPS;
        rest = slice_from(view->target, https.len);
    } else {
        const char *colon = memchr(view->target.data, ':', view->target.len);
        return colon != NULL && colon > view->target.data ? HTTP1_TARGET_SCHEME : HTTP1_TARGET_FORM;
    }
    uint32_t len = authority_length(rest);
    enum authority_result result = authority_parse(slice_first(rest, len), &view->authority);
    if (result != AUTHORITY_OK)
        return result == AUTHORITY_USERINFO ? HTTP1_TARGET_USERINFO : HTTP1_TARGET_AUTHORITY;
    if (!view->authority.has_port)
        view->authority.port = http_scheme_port(view->scheme);
    view->form = TARGET_ABSOLUTE;
    view->path = slice_from(rest, len);
    return HTTP1_NONE;
}

static enum http1_refusal parse_connect(struct head_view *view)
{
    enum authority_result result = authority_parse(view->target, &view->authority);
    if (result == AUTHORITY_USERINFO && memchr(view->target.data, '/', view->target.len) == NULL)
        return HTTP1_TARGET_USERINFO;
    if (result != AUTHORITY_OK || !view->authority.has_port)
        return HTTP1_CONNECT_TARGET;
    view->form = TARGET_AUTHORITY;
    return HTTP1_NONE;
}

enum http1_refusal http1_parse_target(struct head_view *view, const char **ret_at)
{
    struct slice target = view->target;
    enum http1_refusal refusal = http1_check_target(target, ret_at);
    if (refusal != HTTP1_NONE)
        return refusal;
    *ret_at = target.data;
    if (view->method == HTTP_METHOD_CONNECT)
        return parse_connect(view);
    if (target.data[0] == '/') {
        view->form = TARGET_ORIGIN;
        view->path = target;
        return HTTP1_NONE;
    }
    if (target.len == 1 && target.data[0] == '*') {
        view->form = TARGET_ASTERISK;
        view->path = target;
        return view->method == HTTP_METHOD_OPTIONS ? HTTP1_NONE : HTTP1_TARGET_ASTERISK;
    }
    return parse_absolute(view);
}
