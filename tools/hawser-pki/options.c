/* tools/hawser-pki/options.c — one row per option: spelling, what it takes, help, setter. The help text is
 * printed from the same rows, so it cannot lag behind. */
#include "tools/hawser-pki/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAYS_MAX = 36500 };

static bool complain(const char *what, const char *value)
{
    fprintf(stderr, "hawser-pki: %s: %s\n", what, value);
    return false;
}

static bool push(struct name_list *list, const char *value)
{
    if (!*value || list->n == NAMES_MAX)
        return complain(*value ? "too many names of one kind, at" : "empty name", value);
    list->at[list->n++] = value;
    return true;
}

/* "@SECONDS", "YYYY-MM-DD" or "YYYY-MM-DDTHH:MM:SSZ". */
static bool parse_time(const char *text, int64_t *ret_s)
{
    char *end = NULL;
    errno = 0;
    if (*text == '@') {
        long long s = strtoll(text + 1, &end, 10);
        if (end == text + 1 || *end || errno)
            return complain("not a time", text);
        *ret_s = s;
        return true;
    }
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%d", &tm);
    if (rest && *rest == 'T')
        rest = strptime(rest, "T%H:%M:%SZ", &tm);
    if (!rest || *rest)
        return complain("not a time (YYYY-MM-DD, YYYY-MM-DDTHH:MM:SSZ or @SECONDS)", text);
    *ret_s = timegm(&tm);
    return true;
}

static bool set_out(struct pki_options *o, const char *v)
{
    o->out = v;
    return *v || complain("empty", "--out");
}
static bool set_ca(struct pki_options *o, const char *v)
{
    o->ca = v;
    return true;
}
static bool set_name(struct pki_options *o, const char *v)
{
    o->name = v;
    return *v || complain("empty", "name");
}
static bool set_org(struct pki_options *o, const char *v)
{
    return push(&o->orgs, v);
}
static bool set_dns(struct pki_options *o, const char *v)
{
    return push(&o->dns, v);
}
static bool set_ip(struct pki_options *o, const char *v)
{
    return push(&o->ips, v);
}
static bool set_key(struct pki_options *o, const char *v)
{
    if (strcmp(v, "p256") != 0 && strcmp(v, "rsa2048") != 0)
        return complain("not a kind of key (p256, rsa2048)", v);
    o->algorithm = *v == 'p' ? MINT_P256 : MINT_RSA2048;
    return true;
}
static bool set_days(struct pki_options *o, const char *v)
{
    char *end = NULL;
    long days = strtol(v, &end, 10);
    if (end == v || *end || days < 1 || days > DAYS_MAX)
        return complain("not a number of days from 1 to 36500", v);
    o->days = (int)days;
    return true;
}
static bool set_not_before(struct pki_options *o, const char *v)
{
    o->has_not_before = true;
    return parse_time(v, &o->not_before_s);
}
static bool set_not_after(struct pki_options *o, const char *v)
{
    o->has_not_after = true;
    return parse_time(v, &o->not_after_s);
}
static bool set_eku(struct pki_options *o, const char *v)
{
    o->eku = v;
    return strcmp(v, "server") == 0 || strcmp(v, "client") == 0 || strcmp(v, "both") == 0 ||
           strcmp(v, "none") == 0 || complain("not an extended key usage (server, client, both, none)", v);
}
static bool set_expired(struct pki_options *o, const char *v)
{
    (void)v;
    return o->expired = true;
}
static bool set_self_signed(struct pki_options *o, const char *v)
{
    (void)v;
    return o->self_signed = true;
}
static bool set_no_san(struct pki_options *o, const char *v)
{
    (void)v;
    return o->no_san = true;
}
static bool set_force(struct pki_options *o, const char *v)
{
    (void)v;
    return o->force = true;
}
static bool set_quiet(struct pki_options *o, const char *v)
{
    (void)v;
    return o->quiet = true;
}

static const struct {
    const char *name, *takes, *help;
    bool (*set)(struct pki_options *, const char *);
} rows[] = {
    {"--out",         "PATH",    "ca, demo: the directory; others: PATH.crt and PATH.key are written",       set_out        },
    {"--ca",          "DIR",     "the CA that signs: DIR/ca.crt and DIR/ca.key",                             set_ca         },
    {"--name",        "CN",      "common name",                                                              set_name       },
    {"--cn",          "CN",      "the same",                                                                 set_name       },
    {"--node",        "NAME",    "kubelet: the node's name",                                                 set_name       },
    {"--org",         "ORG",     "organization (Kubernetes: group); may be repeated",                        set_org        },
    {"--dns",         "NAME",    "DNS subject alternative name; may be repeated",                            set_dns        },
    {"--ip",          "ADDRESS", "IP subject alternative name; may be repeated",                             set_ip         },
    {"--key",         "KIND",    "p256 (default) or rsa2048",                                                set_key        },
    {"--days",        "N",       "valid for so long (ca 3650, others 365)",                                  set_days       },
    {"--not-before",  "TIME",    "YYYY-MM-DD, YYYY-MM-DDTHH:MM:SSZ or @SECONDS (default: five minutes ago)",
     set_not_before                                                                                                         },
    {"--not-after",   "TIME",    "the same forms; instead of --days",                                        set_not_after  },
    {"--eku",         "WHICH",   "server, client, both or none, instead of what the command implies",        set_eku        },
    {"--expired",     NULL,      "ended an hour ago (for tests)",                                            set_expired    },
    {"--self-signed", NULL,      "signed by its own key; --ca is not needed (for tests)",                    set_self_signed},
    {"--no-san",      NULL,      "no subject alternative names at all (for tests)",                          set_no_san     },
    {"--force",       NULL,      "ca, demo: replace what is there",                                          set_force      },
    {"--quiet",       NULL,      "do not say which files were written",                                      set_quiet      },
};

bool pki_options_parse(int argc, char **argv, struct pki_options *ret_options)
{
    struct pki_options o = {0};
    for (int i = 0; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t name_len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]), row = 0;
        while (row < sizeof(rows) / sizeof(*rows) &&
               (strlen(rows[row].name) != name_len || strncmp(rows[row].name, argv[i], name_len) != 0))
            row++;
        if (row == sizeof(rows) / sizeof(*rows))
            return complain("unknown option (see: hawser-pki help)", argv[i]);
        const char *value = equals ? equals + 1 : NULL;
        if (!rows[row].takes && value)
            return complain("takes no value", rows[row].name);
        if (rows[row].takes && !value) {
            if (i + 1 == argc)
                return complain("needs a value", argv[i]);
            value = argv[++i];
        }
        if (!rows[row].set(&o, value))
            return false;
    }
    *ret_options = o;
    return true;
}

void pki_options_print(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char left[40];
        snprintf(left, sizeof(left), "%s %s", rows[i].name, rows[i].takes ? rows[i].takes : "");
        printf("    %-22s %s\n", left, rows[i].help);
    }
}
