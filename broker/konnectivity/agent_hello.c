/* broker/konnectivity/agent_hello.c — the metadata of Connect: who the agent is, what it may be chosen by,
 * and its token.
 *
 * Identifiers are a URL's query, read as Go's url.ParseQuery does: pairs between &, a + is a space, %XX a
 * byte; a semicolon or a bad escape spoils it all. What the server has no use for (cidr, uid, names it does
 * not know) is skipped. Everything here was said by a stranger, and is bounded before it is kept.
 */
#include <string.h>

#include "broker/http/head.h"
#include "broker/http/http1_scan.h"
#include "broker/konnectivity/agent_call.h"

enum { KEY_MAX = 32 };

/* How many there are; the last. */
static uint32_t find(const struct head_view *view, struct slice name, struct slice *ret_value)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < view->fields_n; i++) {
        if (!slice_eq(view->fields[i].name, name))
            continue;
        *ret_value = view->fields[i].value;
        found++;
    }
    return found;
}

static bool is_clean(const char *text)
{
    for (; *text; text++)
        if (http1_is_control(*text))
            return false;
    return true;
}

/* -- the query ----------------------------------------------------------------------------------------------
 */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: a bad escape, or a NUL. What does not fit is cut and *ret_fits says so. */
static bool unescape(struct slice from, char *to, uint32_t size, bool *ret_fits)
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < from.len; i++) {
        char c = from.data[i] == '+' ? ' ' : from.data[i];
        if (c == '%') {
            int high = from.len - i > 2 ? hex(from.data[i + 1]) : -1;
            int low = from.len - i > 2 ? hex(from.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return false;
        if (len + 1 < size)
            to[len] = c;
        len++;
    }
    *ret_fits = len < size;
    to[len < size ? len : size - 1] = '\0';
    return true;
}

static struct slice cut_at(struct slice *rest, char end)
{
    const char *at = rest->len > 0 ? memchr(rest->data, end, rest->len) : NULL;
    struct slice first = at ? slice_first(*rest, (uint32_t)(at - rest->data)) : *rest;
    *rest = at ? slice_from(*rest, first.len + 1) : SLICE("");
    return first;
}

struct identifiers {
    char hosts[AGENT_HOSTS_MAX][AGENT_HOST_MAX];
    uint32_t host_count;
    bool default_route, has_default_route;
};

static bool is_host_key(const char *key)
{
    return strcmp(key, "host") == 0 || strcmp(key, "ipv4") == 0 || strcmp(key, "ipv6") == 0;
}

static bool is_true(const char *text)
{
    static const char *const words[] = {"1", "t", "T", "true", "TRUE", "True"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

static const char *read_pair(struct slice pair, struct identifiers *to)
{
    char key[KEY_MAX], value[AGENT_HOST_MAX];
    bool key_fits, value_fits;
    if (pair.len > 0 && memchr(pair.data, ';', pair.len))
        return "agentIdentifiers: found a semicolon, expected pairs between &";
    struct slice rest = pair, name = cut_at(&rest, '=');
    if (!unescape(name, key, sizeof(key), &key_fits) || !unescape(rest, value, sizeof(value), &value_fits))
        return "agentIdentifiers: found a bad escape, expected %XX";
    if (key_fits && strcmp(key, "default-route") == 0 && !to->has_default_route) {
        to->has_default_route = true;
        to->default_route = is_true(value);
    }
    if (!key_fits || !is_host_key(key) || value[0] == '\0')
        return NULL;
    if (!value_fits)
        return "agentIdentifiers: found an identifier of more than 253 bytes";
    if (!is_clean(value))
        return "agentIdentifiers: found control characters in an identifier";
    if (to->host_count == AGENT_HOSTS_MAX)
        return "agentIdentifiers: found more than 64 identifiers";
    memcpy(to->hosts[to->host_count++], value, sizeof(value));
    return NULL;
}

/* -- the card -----------------------------------------------------------------------------------------------
 */

static struct agent_card *make_card(struct slice id, const struct identifiers *from)
{
    struct agent_card *card = agent_card_new(from->host_count);
    if (!card)
        return NULL;
    memcpy(card->id, id.data, id.len);
    card->default_route = from->default_route;
    card->host_count = from->host_count;
    if (from->host_count > 0)
        memcpy(card->hosts, from->hosts, from->host_count * sizeof(card->hosts[0]));
    return card;
}

const char *agent_hello_read(const struct head_view *view, struct agent_card **ret_card)
{
    struct identifiers found = {.host_count = 0};
    struct slice id, query = SLICE("");
    uint32_t ids = find(view, SLICE("agentid"), &id), queries = find(view, SLICE("agentidentifiers"), &query);
    if (ids != 1)
        return ids == 0 ? "agentID: found none, expected one" : "agentID: found several, expected one";
    if (id.len == 0 || id.len >= AGENT_ID_MAX)
        return "agentID: found an empty or too long one, expected 1 to 253 bytes";
    if (queries > 1)
        return "agentIdentifiers: found several, expected one at most";
    while (query.len > 0) {
        const char *wrong = read_pair(cut_at(&query, '&'), &found);
        if (wrong)
            return wrong;
    }
    *ret_card = make_card(id, &found);
    return *ret_card ? NULL : "out of memory";
}

const char *agent_hello_token(const struct head_view *view, struct slice *ret_token)
{
    static const struct slice scheme = SLICE_INIT("Bearer ");
    struct slice value;
    uint32_t found = find(view, SLICE("authorization"), &value);
    if (found != 1)
        return found == 0 ? "authorization: found none, expected a bearer token"
                          : "authorization: found several, expected one bearer token";
    if (value.len <= scheme.len || !slice_eq(slice_first(value, scheme.len), scheme))
        return "authorization: found another scheme, expected \"Bearer \" and a token";
    if (value.len - scheme.len > TOKEN_BYTES_MAX)
        return "authorization: found a token of more than 16384 bytes";
    *ret_token = slice_from(value, scheme.len);
    return NULL;
}
