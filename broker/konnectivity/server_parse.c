/* broker/konnectivity/server_parse.c — Go's command lines, as pflag reads them: --flag=value, --flag value,
 * booleans alone, -v=4, -v 4 and -v4. The last value of a flag counts; those of a list are added up. What
 * follows "--" or has no dash is an argument, which the proxy-server ignores, and so do we, but not silently.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/konnectivity/server_flags.h"

struct parser {
    struct server_flags *flags;
    int argc, at;
    char **argv;
    char *error;
};

PRINTF(2, 3)
static bool fail(struct parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->error, SERVER_ERROR_MAX, format, args);
    va_end(args);
    return false;
}

/* -- values -------------------------------------------------------------------------------------------------
 */

static bool read_bool(const char *text, bool *ret)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        {"true",  true },
        {"1",     true },
        {"t",     true },
        {"T",     true },
        {"TRUE",  true },
        {"True",  true },
        {"false", false},
        {"0",     false},
        {"f",     false},
        {"F",     false},
        {"FALSE", false},
        {"False", false}
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(text, words[i].text) == 0) {
            *ret = words[i].value;
            return true;
        }
    return false;
}

/* No blanks in front, which strtoll() and strtod() would skip. */
static bool begins_a_number(const char *text)
{
    return text[0] != '\0' && strchr("+-.0123456789", text[0]) != NULL;
}

static bool read_number(const char *text, int64_t *ret)
{
    char *end;
    if (!begins_a_number(text))
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 0);
    if (errno != 0 || *end != '\0' || end == text)
        return false;
    *ret = value;
    return true;
}

static bool read_fraction(const char *text, double *ret)
{
    char *end;
    if (!begins_a_number(text))
        return false;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || *end != '\0' || end == text || !isfinite(value))
        return false;
    *ret = value;
    return true;
}

static bool read_unit(const char **text, double *ret_ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {
        {"ns",        1     }, /* "ms" before "m", which it begins with */
        {"us",        1e3   },
        {"\xc2\xb5s", 1e3   }, /* the micro sign, and Greek's mu */
        {"\xce\xbcs", 1e3   },
        {"ms",        1e6   },
        {"s",         1e9   },
        {"m",         60e9  },
        {"h",         3600e9}
    };
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        size_t len = strlen(units[i].unit);
        if (strncmp(*text, units[i].unit, len) != 0)
            continue;
        *text += len;
        *ret_ns = units[i].ns;
        return true;
    }
    return false;
}

/* Go's time.ParseDuration: numbers with units, one behind the other, or 0. */
static bool read_duration(const char *text, int64_t *ret_ns)
{
    bool minus = text[0] == '-';
    double sum = 0, unit;
    text += text[0] == '-' || text[0] == '+';
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return true;
    }
    if (text[0] == '\0')
        return false;
    while (text[0] != '\0') {
        size_t digits = strspn(text, "0123456789"), after = 0;
        if (text[digits] == '.')
            after = 1 + strspn(text + digits + 1, "0123456789");
        if (digits + after - (after > 0) == 0 || digits + after > 30)
            return false;
        double value = strtod(text, NULL);
        text += digits + after;
        if (!read_unit(&text, &unit))
            return false;
        sum += value * unit;
    }
    if (sum >= 9.2e18) /* Go counts nanoseconds in 63 bits */
        return false;
    *ret_ns = (int64_t)(minus ? -sum : sum);
    return true;
}

static bool add_to_list(char *list, const char *text)
{
    size_t len = strlen(list);
    int n = snprintf(list + len, SERVER_LIST_MAX - len, "%s%s", len > 0 && text[0] ? "," : "", text);
    return (size_t)n < SERVER_LIST_MAX - len;
}

static const char *expected(enum server_flag_kind kind)
{
    static const char *const texts[] = {[SERVER_TEXT] = "text",
                                        [SERVER_BOOL] = "true or false",
                                        [SERVER_NUMBER] = "a whole number",
                                        [SERVER_FRACTION] = "a number",
                                        [SERVER_DURATION] = "a duration such as 30s, 1h30m or 500ms",
                                        [SERVER_LIST] = "a shorter list"};
    return texts[kind];
}

static bool read_value(struct server_flags *f, const struct server_flag *flag, const char *text)
{
    union {
        const char *text;
        bool truth;
        int64_t number;
        double fraction;
        char list[SERVER_LIST_MAX];
    } nowhere = {.list = ""};
    void *to = flag->at == SERVER_NOWHERE ? (void *)&nowhere : (char *)f + flag->at;
    switch (flag->kind) {
    case SERVER_TEXT: *(const char **)to = text; return true;
    case SERVER_BOOL: return read_bool(text, to);
    case SERVER_NUMBER: return read_number(text, to);
    case SERVER_FRACTION: return read_fraction(text, to);
    case SERVER_DURATION: return read_duration(text, to);
    case SERVER_LIST: return add_to_list(to, text);
    }
    ASSERT(false && "a kind of flag");
    return false;
}

static bool set(struct parser *p, const struct server_flag *flag, const char *text)
{
    if (read_value(p->flags, flag, text))
        return true;
    return fail(p, "--%s: found \"%.100s\", expected %s", flag->name, text, expected(flag->kind));
}

/* -- flags --------------------------------------------------------------------------------------------------
 */

static const struct server_flag *find(const char *name, size_t len)
{
    for (const struct server_flag *flag = server_flags_all; flag->name; flag++)
        if (strlen(flag->name) == len && memcmp(flag->name, name, len) == 0)
            return flag;
    return NULL;
}

static const struct server_flag *find_letter(char letter)
{
    for (const struct server_flag *flag = server_flags_all; flag->name; flag++)
        if (flag->letter == letter)
            return flag;
    return NULL;
}

static bool take_value(struct parser *p, const struct server_flag *flag, const char *inside)
{
    if (inside)
        return set(p, flag, inside);
    if (flag->kind == SERVER_BOOL)
        return set(p, flag, "true");
    if (p->at == p->argc)
        return fail(p, "--%s: found nothing, expected %s", flag->name, expected(flag->kind));
    return set(p, flag, p->argv[p->at++]);
}

static bool parse_long(struct parser *p, const char *text)
{
    size_t len = strcspn(text, "=");
    const struct server_flag *flag = find(text, len);
    if (!flag)
        return fail(p, "found --%.*s, which is no flag of proxy-server (--help has them all)",
                    (int)(len < 100 ? len : 100), text);
    return take_value(p, flag, text[len] == '=' ? text + len + 1 : NULL);
}

static bool parse_short(struct parser *p, const char *text)
{
    const struct server_flag *flag = find_letter(text[0]);
    const char *inside = text[1] == '\0' ? NULL : text[1] == '=' ? text + 2 : text + 1;
    if (!flag || (flag->kind == SERVER_BOOL && inside && text[1] != '='))
        return fail(p, "found -%.100s, expected --flag, -v or -h", text);
    return take_value(p, flag, inside);
}

static void ignore(struct parser *p, const char *text)
{
    server_flags_note(p->flags,
                      "found argument \"%.60s\", which belongs to no flag: ignored, as proxy-server does (a "
                      "boolean takes its value behind a '=')",
                      text);
}

/* -- entry --------------------------------------------------------------------------------------------------
 */

static void make_id(char id[SERVER_ID_MAX])
{
    uint8_t b[16];
    ssize_t n = getrandom(b, sizeof(b), 0);
    ASSERT(n == (ssize_t)sizeof(b));      /* never short up to 256 bytes, never fails without flags */
    b[6] = (uint8_t)(0x40 | (b[6] & 15)); /* RFC 9562, version 4 */
    b[8] = (uint8_t)(0x80 | (b[8] & 63));
    snprintf(id, SERVER_ID_MAX, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool server_flags_parse(struct server_flags *f, int argc, char **argv, char ret_error[SERVER_ERROR_MAX])
{
    struct parser p = {.flags = f, .argc = argc, .argv = argv, .error = ret_error};
    bool only_arguments = false;
    *f = (struct server_flags){.note_count = 0};
    for (const struct server_flag *flag = server_flags_all; flag->name; flag++) {
        bool good = read_value(f, flag, flag->value);
        ASSERT(good);
    }
    while (p.at < argc) {
        const char *text = argv[p.at++];
        bool good = true;
        if (only_arguments || text[0] != '-' || text[1] == '\0')
            ignore(&p, text);
        else if (strcmp(text, "--") == 0)
            only_arguments = true;
        else if (text[1] == '-')
            good = parse_long(&p, text + 2);
        else
            good = parse_short(&p, text + 1);
        if (!good)
            return false;
    }
    const char *from_environment = getenv("PROXY_SERVER_ID");
    if (f->server_id[0] == '\0' && from_environment)
        f->server_id = from_environment;
    if (f->server_id[0] == '\0') {
        make_id(f->made_id);
        f->server_id = f->made_id;
    }
    return true;
}
