/* broker/selector.c — see selector.h.
 *
 * What kube-apiserver takes (apiserver.k8s.io/v1beta1, read strictly): udsName is a bare path; a URL must
 * have its port, and with https both client certificate and key. It ends at start with a plain http:// URL,
 * so TCP without TLS is of no use to it. kubeadm's API is v1beta4, since Kubernetes 1.31. */
#include "broker/selector.h"

#include <stdarg.h>
#include <string.h>

#include "broker/cidr.h"
#include "broker/client.h"
#include "broker/config/config.h"
#include "broker/config/config_form.h"
#include "broker/config/config_report.h"
#include "broker/policy.h"

/* kubeadm gives kube-apiserver this directory anyway. */
#define KUBEADM_PKI "/etc/kubernetes/pki/"

struct selector {
    const struct config_listener *listener;
    const char *host, *server_name, *ca_file, *client_file, *key_file, *file;
    bool grpc;
    char *detail;
    size_t detail_size;
};

PRINTF(2, 3)
static bool fail(struct selector *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->detail, s->detail_size, format, args);
    va_end(args);
    return false;
}

/* -- which listener -----------------------------------------------------------------------------------------
 */

static bool is_usable(const struct config_listener *l)
{
    return l->serves == CONFIG_SERVES_REQUESTS && (l->socket || l->tls);
}

static bool is_for_listener(const struct config_match *m, const struct config_listener *l)
{
    for (uint32_t i = 0; i < m->listener_count; i++)
        if (strcmp(m->listeners[i], l->name) == 0)
            return true;
    return m->listener_count == 0;
}

static bool is_for_its_clients(const struct config_match *m, const struct config_listener *l)
{
    for (uint32_t i = 0; i < m->client_count; i++) {
        struct client_pattern pattern;
        ASSERT(client_pattern_parse(m->clients[i], &pattern)); /* its form was checked */
        if (policy_may_meet(l, &pattern))
            return true;
    }
    return m->client_count == 0;
}

static bool takes_tunnels(const struct config *config, const struct config_listener *l)
{
    for (uint32_t i = 0; i < config->route_count; i++) {
        const struct config_route *r = &config->routes[i];
        if (r->action == CONFIG_ALLOW && (r->match.schemes & CONFIG_SCHEME_TUNNEL) &&
            is_for_listener(&r->match, l) && is_for_its_clients(&r->match, l))
            return true;
    }
    return false;
}

/* A socket costs no handshake a tunnel. One that no route serves is taken last: the error is about routes
 * then. */
static int rank(const struct config *config, const struct config_listener *l)
{
    if (!is_usable(l))
        return 0;
    return 1 + (l->socket != NULL) + 2 * takes_tunnels(config, l);
}

static bool choose_listener(struct selector *s, const struct config *config, const char *name)
{
    char quoted[CONFIG_QUOTE_MAX];
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *l = &config->listeners[i];
        bool better = !s->listener || rank(config, l) > rank(config, s->listener);
        if (name ? strcmp(l->name, name) == 0 : better)
            s->listener = l;
    }
    if (name && !s->listener)
        return fail(s, "--listener: found %s, expected the name of one of listeners",
                    config_quote(name, quoted));
    if (name && s->listener->serves == CONFIG_SERVES_AGENTS)
        return fail(s, "listener %s: found one that serves agents, expected one for kube-apiserver", name);
    if (!is_usable(s->listener))
        return name
                   ? fail(
                         s,
                         "listener %s: found TCP without TLS, expected unix, or tcp with tls: kube-apiserver "
                         "does not start with a plain http:// URL",
                         name)
                   : fail(
                         s,
                         "listeners: found none that kube-apiserver can use, expected unix, or tcp with tls");
    if (!takes_tunnels(config, s->listener))
        return fail(
            s, "routes: found none that allows tunnels on listener %s, expected match.schemes with tunnel",
            s->listener->name);
    return true;
}

/* -- what it is told ----------------------------------------------------------------------------------------
 */

static bool check_path(struct selector *s, const char *option, const char *path)
{
    char quoted[CONFIG_QUOTE_MAX];
    if (path[0] == '/' && config_form_matches(FORM_FILE, path))
        return true;
    return fail(s, "%s: found %s, expected an absolute path", option, config_quote(path, quoted));
}

static bool check_host(struct selector *s, const char *option, const char *text)
{
    char quoted[CONFIG_QUOTE_MAX];
    if (config_form_matches(FORM_HOST, text))
        return true;
    return fail(s, "%s: found %s, expected %s", option, config_quote(text, quoted),
                config_form_text(FORM_HOST));
}

static bool check_tcp(struct selector *s)
{
    struct ip ip;
    bool any = strcmp(s->host, "*") == 0;
    any |= ip_parse(s->host, &ip) && policy_address_kind(&ip) == ADDRESS_UNSPECIFIED;
    if (any)
        return fail(s,
                    "listener %s: found address %s, expected --host with the name or address that "
                    "kube-apiserver shall use",
                    s->listener->name, s->host);
    if (!check_host(s, "--host", s->host) ||
        (s->server_name && !check_host(s, "--server-name", s->server_name)))
        return false;
    return check_path(s, "--ca-file", s->ca_file) && check_path(s, "--client-cert", s->client_file) &&
           check_path(s, "--client-key", s->key_file);
}

static bool choose_protocol(struct selector *s, const char *name)
{
    char quoted[CONFIG_QUOTE_MAX];
    s->grpc = name && strcmp(name, "grpc") == 0;
    if (!name || s->grpc || strcmp(name, "http-connect") == 0)
        return true;
    return fail(s, "--protocol: found %s, expected http-connect or grpc", config_quote(name, quoted));
}

static bool selector_init(struct selector *s, const struct config *config, const struct selector_options *o)
{
    if (!choose_protocol(s, o->protocol))
        return false;
    if (!choose_listener(s, config, o->listener))
        return false;
    s->file = o->file ? o->file : SELECTOR_FILE;
    s->ca_file = o->ca_file ? o->ca_file : SELECTOR_CA_FILE;
    s->client_file = o->client_certificate_file ? o->client_certificate_file : SELECTOR_CLIENT_FILE;
    s->key_file = o->client_key_file ? o->client_key_file : SELECTOR_KEY_FILE;
    s->server_name = o->server_name;
    if (!check_path(s, "--file", s->file))
        return false;
    if (s->listener->tcp && s->grpc)
        return fail(s, "listener %s: found tcp, expected unix: kube-apiserver has GRPC over a socket only",
                    s->listener->name);
    if (s->listener->tcp) {
        s->host = o->host ? o->host : s->listener->tcp->address;
        return check_tcp(s);
    }
    if (strrchr(s->listener->socket->path, '/') == s->listener->socket->path)
        return fail(s, "listener %s: found a socket in /, expected one in a directory of its own",
                    s->listener->name);
    return true;
}

/* -- EgressSelectorConfiguration ----------------------------------------------------------------------------
 */

static void print_field(const char *before, const char *text, FILE *out)
{
    fputs(before, out);
    config_print_text(text, out);
    fputc('\n', out);
}

static void print_list(const char *before, char *const *texts, uint32_t count, FILE *out)
{
    fputs(before, out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "%s%s", i ? ", " : "", texts[i]);
    fputc('\n', out);
}

static void print_ids(const char *what, const uint32_t *ids, uint32_t count, FILE *out)
{
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, " %s %u", what, (unsigned)ids[i]);
}

static void print_unix(const struct selector *s, FILE *out)
{
    const struct config_unix *u = s->listener->socket;
    print_field("        uds:\n          udsName: ", u->path, out);
    if (policy_peer_allowed(u, 0, 0, 0))
        return;
    fputs("# Not root, but only these may connect; kube-apiserver must run as one of them:", out);
    print_ids("uid", u->allowed_uids, u->allowed_uid_count, out);
    print_ids("gid", u->allowed_gids, u->allowed_gid_count, out);
    fputc('\n', out);
}

static void print_tcp(const struct selector *s, FILE *out)
{
    struct ip ip;
    bool v6 = ip_parse(s->host, &ip) && strchr(s->host, ':');
    fprintf(out,
            v6 ? "        tcp:\n          url: \"https://[%s]:%u\"\n"
               : "        tcp:\n          url: \"https://%s:%u\"\n",
            s->host, (unsigned)s->listener->tcp->port);
    print_field("          tlsConfig:\n            caBundle: ", s->ca_file, out);
    print_field("            clientCert: ", s->client_file, out);
    print_field("            clientKey: ", s->key_file, out);
    if (s->server_name)
        print_field("            tlsServerName: ", s->server_name, out);
    fprintf(out, "# caBundle: who signed the broker's certificate, which must name %s.\n",
            s->server_name ? s->server_name : s->host);
    print_list("# clientCert: of the listener's client CA, and named one of: ",
               s->listener->tls->allowed_names, s->listener->tls->allowed_name_count, out);
    fputs("# kube-apiserver reads these files at its start only.\n", out);
    if (s->server_name)
        fputs("# tlsServerName needs Kubernetes 1.36 or newer.\n", out);
}

static void print_configuration(const struct selector *s, FILE *out)
{
    fprintf(out, "# For kube-apiserver --egress-selector-config-file: the broker's listener %s.\n",
            s->listener->name);
    fputs("apiVersion: apiserver.k8s.io/v1beta1\n"
          "kind: EgressSelectorConfiguration\n"
          "egressSelections:\n"
          "  - name: cluster\n"
          "    connection:\n"
          "      proxyProtocol: ",
          out);
    fputs(s->grpc ? "GRPC\n" : "HTTPConnect\n", out);
    fputs("      transport:\n", out);
    if (s->listener->socket)
        print_unix(s, out);
    else
        print_tcp(s, out);
}

/* -- kubeadm ------------------------------------------------------------------------------------------------
 */

static void print_volume(const char *name, const char *path, const char *type, FILE *out)
{
    fprintf(out, "    - name: %s\n", name);
    print_field("      hostPath: ", path, out);
    print_field("      mountPath: ", path, out);
    fprintf(out, "      readOnly: true\n      pathType: %s\n", type);
}

static void print_file_volume(const char *name, const char *path, FILE *out)
{
    if (strncmp(path, KUBEADM_PKI, strlen(KUBEADM_PKI)) != 0)
        print_volume(name, path, "File", out);
}

/* The directory, because the broker makes the socket anew when it starts. Connecting writes nothing to it. */
static void print_socket_volume(const struct selector *s, FILE *out)
{
    char directory[sizeof(((struct net_address *)NULL)->un.sun_path)];
    const char *path = s->listener->socket->path;
    snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path), path);
    if (strrchr(directory, '/') == directory)
        fprintf(out, "    # All of %s is mounted: better give the socket a directory of its own.\n",
                directory);
    print_volume("hawser-socket", directory, "DirectoryOrCreate", out);
}

static void print_kubeadm(const struct selector *s, FILE *out)
{
    fputs(
        "# For kubeadm: into the ClusterConfiguration of its --config file. kubeadm.k8s.io/v1beta3 (before\n"
        "# Kubernetes 1.31) writes the argument as a mapping instead:\n",
        out);
    print_field("#   extraArgs:\n#     egress-selector-config-file: ", s->file, out);
    fputs("apiVersion: kubeadm.k8s.io/v1beta4\n"
          "kind: ClusterConfiguration\n"
          "apiServer:\n"
          "  extraArgs:\n"
          "    - name: egress-selector-config-file\n",
          out);
    print_field("      value: ", s->file, out);
    fputs("  extraVolumes:\n", out);
    print_volume("egress-selector", s->file, "File", out);
    if (s->listener->socket) {
        print_socket_volume(s, out);
        return;
    }
    print_file_volume("hawser-ca", s->ca_file, out);
    print_file_volume("hawser-client-cert", s->client_file, out);
    print_file_volume("hawser-client-key", s->key_file, out);
}

bool selector_print(const struct config *config, const struct selector_options *options, FILE *out,
                    char *ret_detail, size_t detail_size)
{
    struct selector s = {.detail = ret_detail, .detail_size = detail_size};
    if (!selector_init(&s, config, options))
        return false;
    if (options->kubeadm)
        print_kubeadm(&s, out);
    else
        print_configuration(&s, out);
    return true;
}
