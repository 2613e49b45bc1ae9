/* broker/kube/kubeconfig.c — credentials from a kubeconfig: its current context, and of that what a program
 * needs.
 *
 * The format is client-go's (k8s.io/client-go/tools/clientcmd/api/v1). What is not known is left alone, as
 * kubectl does; what would change whom we trust or who we are, and is not supported, is refused by name: to
 * ignore it would be a connection to somebody else than was meant. Paths are relative to the file's folder.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/config_tree.h"
#include "broker/kube/base64.h"
#include "broker/kube/credentials.h"
#include "io/file.h"

struct reader {
    struct config_report *report;
    const struct config_node *root;
    const char *file;
    struct kube_credentials *c;
};

/* A mapping of the file, and where it stands. */
struct part {
    const struct config_node *node;
    char path[64];
};

static const char *path_of(const struct part *part, const char *key, char path[CONFIG_PATH_MAX])
{
    snprintf(path, CONFIG_PATH_MAX, "%s%s%s", part->path, part->path[0] ? "." : "", key);
    return path;
}

static bool fail(const struct reader *r, const struct part *part, const char *key, const char *found,
                 const char *expected)
{
    char path[CONFIG_PATH_MAX];
    const struct config_node *at = config_tree_child(part->node, key);
    at = at ? at : part->node;
    return config_fail(r->report, at->line, at->column, path_of(part, key, path), "found %s, expected %s",
                       found, expected);
}

static bool out_of_memory(const struct reader *r)
{
    r->report->no_memory = true;
    return false;
}

static bool is_null(const struct config_node *n)
{
    return !n ||
           (n->kind == NODE_SCALAR &&
            (!n->text[0] || (!n->quoted && (strcmp(n->text, "null") == 0 || strcmp(n->text, "~") == 0))));
}

/* *ret_text is NULL when the field is absent or empty. */
static bool get_text(const struct reader *r, const struct part *part, const char *key, const char **ret_text)
{
    const struct config_node *n = config_tree_child(part->node, key);
    *ret_text = NULL;
    if (is_null(n))
        return true;
    if (n->kind != NODE_SCALAR)
        return fail(r, part, key, n->kind == NODE_MAPPING ? "a mapping" : "a list", "text");
    *ret_text = n->text;
    return true;
}

/* The entry of that name in a list of {name, KIND: {...}}. */
static bool find_entry(const struct reader *r, const char *list, const char *name, const char *kind,
                       struct part *ret_part)
{
    const struct part root = {.node = r->root};
    char quoted[CONFIG_QUOTE_MAX], found[CONFIG_QUOTE_MAX + 32];
    const struct config_node *entries = config_tree_child(r->root, list);
    unsigned index = 0;
    if (!entries || entries->kind != NODE_SEQUENCE)
        return fail(r, &root, list, entries ? "no list" : "nothing", "a list of entries with name");
    for (const struct config_node *n = entries->first; n; n = n->next, index++) {
        const struct config_node *own = n->kind == NODE_MAPPING ? config_tree_child(n, "name") : NULL;
        if (!own || own->kind != NODE_SCALAR || strcmp(own->text, name) != 0)
            continue;
        const struct part entry = {.node = n};
        const struct config_node *inner = config_tree_child(n, kind);
        if (!inner || inner->kind != NODE_MAPPING)
            return fail(r, &entry, kind, inner ? "no mapping" : "nothing", "a mapping");
        ret_part->node = inner;
        snprintf(ret_part->path, sizeof(ret_part->path), "%s[%u].%s", list, index, kind);
        return true;
    }
    snprintf(found, sizeof(found), "none named %s", config_quote(name, quoted));
    return fail(r, &root, list, found, "the one that the context names");
}

/* What must not be overlooked. */
static bool refuse(const struct reader *r, const struct part *part, const char *key, const char *expected)
{
    const struct config_node *n = config_tree_child(part->node, key);
    if (is_null(n) || (n->kind == NODE_SCALAR && strcmp(n->text, "false") == 0) ||
        (n->kind != NODE_SCALAR && !n->first))
        return true;
    return fail(r, part, key, "a setting that is not supported", expected);
}

/* -- files and data -----------------------------------------------------------------------------------------
 */

static char *resolve(const struct reader *r, const char *path)
{
    const char *slash = strrchr(r->file, '/');
    size_t folder = path[0] == '/' || !slash ? 0 : (size_t)(slash - r->file) + 1;
    size_t size = folder + strlen(path) + 1;
    char *whole = malloc(size);
    if (whole)
        snprintf(whole, size, "%.*s%s", (int)folder, r->file, path);
    return whole;
}

static bool take_file(const struct reader *r, const struct part *part, const char *key, const char *text,
                      enum kube_pem which, struct tls_pem *ret_pem)
{
    char found[300], *name = r->c->names[which] = resolve(r, text);
    if (!name)
        return out_of_memory(r);
    r->c->in_file[which] = true;
    if (tls_pem_read(name, ret_pem, (struct tls_detail){found, sizeof(found)}) == 0)
        return true;
    return fail(r, part, key, found, "a PEM file");
}

static bool take_data(const struct reader *r, const struct part *part, const char *key, const char *text,
                      enum kube_pem which, struct tls_pem *ret_pem)
{
    size_t len = strlen(text), name_size = strlen(r->file) + CONFIG_PATH_MAX + 3;
    char path[CONFIG_PATH_MAX], *name = r->c->names[which] = malloc(name_size);
    uint8_t *bytes = malloc(BASE64_BYTES(len));
    if (!name || !bytes) {
        free(bytes);
        return out_of_memory(r);
    }
    snprintf(name, name_size, "%s: %s", r->file, path_of(part, key, path));
    *ret_pem = (struct tls_pem){.path = name, .bytes = bytes, .len = BASE64_BYTES(len)};
    ssize_t n = base64_decode(BASE64, text, len, bytes, BASE64_BYTES(len));
    if (n < 0)
        return fail(r, part, key, "what is no base64", "a PEM file in base64");
    ret_pem->len = (size_t)n;
    return true;
}

/* KEY-data wins over KEY, as in client-go. */
static bool take_pem(const struct reader *r, const struct part *part, const char *key, enum kube_pem which,
                     struct tls_pem *ret_pem)
{
    char data_key[64];
    const char *data, *file;
    snprintf(data_key, sizeof(data_key), "%s-data", key);
    if (!get_text(r, part, data_key, &data) || !get_text(r, part, key, &file))
        return false;
    if (data)
        return take_data(r, part, data_key, data, which, ret_pem);
    return !file || take_file(r, part, key, file, which, ret_pem);
}

/* -- cluster and user ---------------------------------------------------------------------------------------
 */

static bool take_server_name(const struct reader *r, const struct part *cluster)
{
    const char *name;
    if (!get_text(r, cluster, "tls-server-name", &name) || !name)
        return !r->report->failed;
    if (strlen(name) >= sizeof(r->c->server_name))
        return fail(r, cluster, "tls-server-name", "a name that is too long", "a host name");
    snprintf(r->c->server_name, sizeof(r->c->server_name), "%s", name);
    return true;
}

static bool take_cluster(const struct reader *r, const struct part *cluster)
{
    const char *server, *wrong = "nothing";
    if (!refuse(r, cluster, "insecure-skip-tls-verify",
                "certificate-authority or certificate-authority-data: whoever answers would decide who is an "
                "agent") ||
        !refuse(r, cluster, "proxy-url", "a server that is reached directly") ||
        !get_text(r, cluster, "server", &server))
        return false;
    if (server)
        wrong = kube_credentials_set_server(r->c, server);
    if (wrong)
        return fail(r, cluster, "server", wrong, "https://host:port");
    if (!take_server_name(r, cluster) || !take_pem(r, cluster, "certificate-authority", KUBE_CA, &r->c->ca))
        return false;
    if (!r->c->ca.bytes)
        return fail(r, cluster, "certificate-authority", "nothing",
                    "the CA of the API server, or certificate-authority-data");
    return true;
}

static bool take_token(const struct reader *r, const struct part *user)
{
    const char *token, *file;
    if (!get_text(r, user, "token", &token) || !get_text(r, user, "tokenFile", &file))
        return false;
    if (file) { /* the newer of the two: it is read again */
        r->c->token_file = resolve(r, file);
        return r->c->token_file || out_of_memory(r);
    }
    if (!token)
        return true;
    if (!kube_token_is_valid(token, strlen(token)))
        return fail(r, user, "token", "characters that no bearer token has", "a token on one line");
    r->c->token = strdup(token);
    return r->c->token || out_of_memory(r);
}

static bool take_identity(const struct reader *r, const struct part *user)
{
    struct kube_credentials *c = r->c;
    if (!take_pem(r, user, "client-certificate", KUBE_CERTIFICATE, &c->certificate) ||
        !take_pem(r, user, "client-key", KUBE_KEY, &c->key))
        return false;
    if (!c->certificate.bytes != !c->key.bytes)
        return fail(r, user, c->key.bytes ? "client-certificate" : "client-key", "nothing",
                    "a certificate and its key, or neither");
    if (!c->certificate.bytes && !c->token && !c->token_file)
        return config_fail(
            r->report, user->node->line, user->node->column, user->path,
            "found no credentials, expected token, tokenFile or client-certificate and client-key");
    return true;
}

static bool take_user(const struct reader *r, const struct part *user)
{
    static const char expected[] = "token, tokenFile or client-certificate and client-key";
    static const char *const refused[] = {"exec", "auth-provider", "username",  "password",
                                          "as",   "as-uid",        "as-groups", "as-user-extra"};
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
        if (!refuse(r, user, refused[i], expected))
            return false;
    return take_token(r, user) && take_identity(r, user);
}

static bool take_context(const struct reader *r)
{
    const struct part root = {.node = r->root};
    struct part context, cluster, user;
    const char *current, *cluster_name, *user_name;
    if (!get_text(r, &root, "current-context", &current))
        return false;
    if (!current)
        return fail(r, &root, "current-context", "nothing", "the name of a context");
    if (!find_entry(r, "contexts", current, "context", &context) ||
        !get_text(r, &context, "cluster", &cluster_name) || !get_text(r, &context, "user", &user_name))
        return false;
    if (!cluster_name || !user_name)
        return fail(r, &context, cluster_name ? "user" : "cluster", "nothing", "the name of one");
    return find_entry(r, "clusters", cluster_name, "cluster", &cluster) && take_cluster(r, &cluster) &&
           find_entry(r, "users", user_name, "user", &user) && take_user(r, &user);
}

/* -- the file -----------------------------------------------------------------------------------------------
 */

static void wipe(struct config_node *node)
{
    for (; node; node = node->next) {
        if (node->text)
            explicit_bzero(node->text, strlen(node->text));
        wipe(node->first);
    }
}

static int read_bytes(const char *path, const struct file *file, struct kube_credentials *c,
                      struct config_error *error)
{
    struct config_report report = {.file = path, .error = error};
    struct config_node *root = NULL;
    bool ok = config_tree_parse(&report, file->bytes, file->len, &root);
    struct reader r = {&report, root, path, c};
    ok = ok && take_context(&r);
    wipe(root);
    config_tree_free(&root);
    return ok ? 0 : report.no_memory ? -ENOMEM : -EINVAL;
}

int kubeconfig_read(const char *path, struct kube_credentials *c, char *ret_detail, size_t detail_size)
{
    struct config_error error = {.text = "out of memory"};
    struct file file;
    int rc = file_read(path, KUBECONFIG_BYTES_MAX, &file);
    if (rc < 0) {
        snprintf(ret_detail, detail_size,
                 "kubernetes.kubeconfigFile: found \"%s\" (%s), expected a kubeconfig", path,
                 file_error_text(rc));
        return rc;
    }
    rc = read_bytes(path, &file, c, &error);
    file_fini(&file);
    if (rc < 0)
        snprintf(ret_detail, detail_size, "%s", error.text);
    return rc;
}
