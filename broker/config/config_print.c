/* broker/config/config_print.c — a configuration as people read it: the summary, and the values in force.
 *
 * The dump walks the table, so it has every setting and nothing else: file names, never what is in a file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/config_nodes.h"
#include "broker/config/config_table.h"

void config_print_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void print_set(const struct config_word *words, uint32_t set, FILE *out)
{
    const char *comma = "";
    fputc('[', out);
    for (; words->text; words++) {
        if (!(set & words->value))
            continue;
        fprintf(out, "%s%s", comma, words->text);
        comma = ", ";
    }
    fputc(']', out);
}

static void print_indent(unsigned depth, FILE *out)
{
    fprintf(out, "%*s", (int)(2 * depth), "");
}

static void print_rows(const struct config_row *rows, const char *data, unsigned depth, bool first_indented,
                       FILE *out);

static void print_sequence(const struct config_row *row, const char *data, unsigned depth, FILE *out)
{
    uint32_t count;
    const char *entries;
    memcpy(&count, data + row->count_offset, sizeof(count));
    memcpy(&entries, data + row->offset, sizeof(entries));
    if (count == 0)
        fputs(" []", out);
    for (uint32_t i = 0; i < count; i++) {
        const char *entry = entries + (size_t)i * row->size;
        fputc('\n', out);
        print_indent(depth + 1, out);
        fputs("- ", out);
        if (row->entry == CONFIG_STRING)
            config_print_text(*(char *const *)(const void *)entry, out);
        else if (row->entry == CONFIG_ENUM)
            config_print_text(config_word_text(row->words, *(const uint32_t *)(const void *)entry), out);
        else if (row->entry == CONFIG_UINT)
            fprintf(out, "%" PRIu32, *(const uint32_t *)(const void *)entry);
        else
            print_rows(row->rows, entry, depth + 2, true, out);
    }
    if (count == 0 || row->entry != CONFIG_MAPPING)
        fputc('\n', out);
}

static uint64_t number(const struct config_row *row, const char *member)
{
    uint64_t wide;
    uint32_t narrow;
    if (row->size == sizeof(wide)) {
        memcpy(&wide, member, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, member, sizeof(narrow));
    return narrow;
}

static const char *pointer(const char *member)
{
    const char *p;
    memcpy(&p, member, sizeof(p));
    return p;
}

static void print_value(const struct config_row *row, const char *data, unsigned depth, FILE *out)
{
    const char *member = data + row->offset;
    switch (row->type) {
    case CONFIG_UINT: fprintf(out, " %" PRIu64 "\n", number(row, member)); return;
    case CONFIG_BOOL: fprintf(out, " %s\n", *(const bool *)member ? "true" : "false"); return;
    case CONFIG_STRING:
        fputc(' ', out);
        config_print_text(pointer(member), out);
        fputc('\n', out);
        return;
    case CONFIG_ENUM:
        fputc(' ', out);
        config_print_text(config_word_text(row->words, (uint32_t)number(row, member)), out);
        fputc('\n', out);
        return;
    case CONFIG_SET:
        fputc(' ', out);
        print_set(row->words, (uint32_t)number(row, member), out);
        fputc('\n', out);
        return;
    case CONFIG_MAPPING:
        fputc('\n', out);
        print_rows(row->rows, member, depth + 1, false, out);
        return;
    case CONFIG_OPTIONAL:
        fputc('\n', out);
        print_rows(row->rows, pointer(member), depth + 1, false, out);
        return;
    case CONFIG_SEQUENCE: print_sequence(row, data, depth, out); return;
    }
}

static bool is_absent(const struct config_row *row, const char *data)
{
    if (row->type == CONFIG_SEQUENCE) {
        uint32_t count;
        memcpy(&count, data + row->count_offset, sizeof(count));
        return count == 0;
    }
    return (row->type == CONFIG_STRING || row->type == CONFIG_OPTIONAL) && !pointer(data + row->offset);
}

static void print_rows(const struct config_row *rows, const char *data, unsigned depth, bool first_indented,
                       FILE *out)
{
    for (const struct config_row *row = rows; row->name; row++) {
        if (is_absent(row, data))
            continue;
        if (!first_indented)
            print_indent(depth, out);
        first_indented = false;
        fprintf(out, "%s:", row->name);
        print_value(row, data, depth, out);
    }
}

void config_dump(const struct config *config, FILE *out)
{
    print_rows(config_rows, (const char *)config, 0, false, out);
}

static const char *listener_proof(const struct config *config, const struct config_listener *l)
{
    bool agents = l->serves == CONFIG_SERVES_AGENTS, tokens = config->agents.token_review;
    if (!l->tls)
        return ", INSECURE: no TLS";
    if (!agents)
        return ", mutual TLS";
    if (config_admits_anonymous_agents(config, l))
        return ", agents, INSECURE: any agent is let in";
    if (!l->tls->client_ca_file)
        return ", agents, TLS and tokens";
    return tokens ? ", agents, mutual TLS and tokens" : ", agents, mutual TLS";
}

static void summarise_listener(const struct config *config, const struct config_listener *l, FILE *out)
{
    fprintf(out, "  listener %s: ", l->name);
    if (l->socket)
        fprintf(out, "unix %s mode %s\n", l->socket->path, l->socket->mode);
    else
        fprintf(out, strchr(l->tcp->address, ':') ? "tcp [%s]:%" PRIu32 "%s\n" : "tcp %s:%" PRIu32 "%s\n",
                l->tcp->address, l->tcp->port, listener_proof(config, l));
}

static void summarise_profile(const struct config_tls_profile *p, FILE *out)
{
    const char *identity = p->client_certificate_file ? p->client_certificate_file
                           : p->bearer_token_file     ? p->bearer_token_file
                                                      : "nothing";
    fprintf(out, "  TLS profile %s: roots %s, shows %s%s%s\n", p->name, p->ca_file ? p->ca_file : "none",
            identity, p->verify_kubelet_name ? ", kubelet names" : "", p->resumption ? ", resumption" : "");
}

static void summarise_route(const struct config_route *r, FILE *out)
{
    const struct config_match *m = &r->match;
    fprintf(out, "  route %s: %s ", r->name, r->action == CONFIG_ALLOW ? "allow" : "refuse");
    print_set(
        (const struct config_word[]){
            {"http",   CONFIG_SCHEME_HTTP  },
            {"https",  CONFIG_SCHEME_HTTPS },
            {"tunnel", CONFIG_SCHEME_TUNNEL},
            {NULL,     0                   }
    },
        m->schemes, out);
    if (m->host_count + m->cidr_count == 0)
        fputs(" to anywhere", out);
    else
        fprintf(out, " to %" PRIu32 " host pattern(s), %" PRIu32 " block(s)", m->host_count, m->cidr_count);
    if (m->client_count > 0)
        fprintf(out, ", for %" PRIu32 " client pattern(s)", m->client_count);
    if (r->profile)
        fprintf(out, ", profile %s", r->profile->name);
    if (config_route_goes_via(r, CONFIG_VIA_AGENT))
        fputs(r->via_count == 1               ? ", through an agent"
              : r->via[0] == CONFIG_VIA_AGENT ? ", through an agent or else directly"
                                              : ", directly or else through an agent",
              out);
    if (r->bridge)
        fprintf(out, ", BRIDGE: TLS in tunnels ends here, issuer %s", r->bridge->issuer_certificate_file);
    if (config_nodes_count(r->nodes) > 0)
        fprintf(out, ", %" PRIu32 " node name(s)", config_nodes_count(r->nodes));
    fputs(r->insecure ? ", INSECURE: nobody is verified\n" : "\n", out);
}

void config_print_summary(const struct config *config, FILE *out)
{
    fprintf(out,
            "%s: %" PRIu32 " worker(s), %" PRIu32 " listener(s), %" PRIu32 " TLS profile(s), %" PRIu32
            " route(s)\n",
            config->file, config->workers, config->listener_count, config->tls_profile_count,
            config->route_count);
    for (uint32_t i = 0; i < config->listener_count; i++)
        summarise_listener(config, &config->listeners[i], out);
    for (uint32_t i = 0; i < config->tls_profile_count; i++)
        summarise_profile(&config->tls_profiles[i], out);
    for (uint32_t i = 0; i < config->route_count; i++)
        summarise_route(&config->routes[i], out);
    if (config->admin.port != 0)
        fprintf(out, "  admin: %s port %" PRIu32 "\n", config->admin.address, config->admin.port);
    if (config->health.port != 0)
        fprintf(out, "  health: %s port %" PRIu32 "\n", config->health.address, config->health.port);
    for (uint32_t i = 0; i < config->warning_count; i++)
        fprintf(out, "warning: %s\n", config->warnings[i]);
}
