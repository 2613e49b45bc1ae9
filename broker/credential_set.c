/* broker/credential_set.c — see credential_set.h.
 *
 * A set is read while others may be writing it. So its files are marked before they are read and again when
 * everything was made of them: unless the marks are the same, what was read may be halves of two states, and
 * is thrown away. The judgement is that of `hawser check`.
 */
#include "broker/credential_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/config/config.h"
#include "broker/config/config_nodes.h"
#include "broker/credential_make.h"

static const char *const kind_texts[] = {[CREDENTIAL_LISTENER] = "listener",
                                         [CREDENTIAL_PROFILE] = "tlsProfile",
                                         [CREDENTIAL_BRIDGE] = "route",
                                         [CREDENTIAL_NODES] = "route",
                                         [CREDENTIAL_KUBE] = "kubernetes"};

const char *credential_kind_text(enum credential_kind kind)
{
    return kind_texts[kind];
}

/* -- what there is ------------------------------------------------------------------------------------------
 */

static void add(struct credential_set *s, enum credential_part part, const char *field, const char *path)
{
    if (!path)
        return;
    ASSERT(s->file_count < CREDENTIAL_FILES_MAX);
    struct credential_file *f = &s->files[s->file_count++];
    f->part = part;
    f->field = field;
    f->path = path;
}

static void describe_listener(struct credential_set *s, const struct config *c, uint32_t i)
{
    const struct config_listener_tls *t = c->listeners[i].tls;
    *s = (struct credential_set){.kind = CREDENTIAL_LISTENER,
                                 .index = i,
                                 .name = c->listeners[i].name,
                                 .readers = t->key_world_readable   ? TLS_FILE_WORLD
                                            : t->key_group_readable ? TLS_FILE_GROUP
                                                                    : TLS_FILE_OWNER,
                                 .use = TLS_FILE_SERVER};
    add(s, PART_CERTIFICATE, "certificateFile", t->certificate_file);
    add(s, PART_KEY, "keyFile", t->key_file);
    add(s, PART_CA, "clientCaFile", t->client_ca_file);
}

static void describe_profile(struct credential_set *s, const struct config *c, uint32_t i)
{
    const struct config_tls_profile *p = &c->tls_profiles[i];
    *s = (struct credential_set){.kind = CREDENTIAL_PROFILE,
                                 .index = i,
                                 .name = p->name,
                                 .readers = p->key_group_readable ? TLS_FILE_GROUP : TLS_FILE_OWNER,
                                 .use = TLS_FILE_CLIENT};
    add(s, PART_CERTIFICATE, "clientCertificateFile", p->client_certificate_file);
    add(s, PART_KEY, "clientKeyFile", p->client_key_file);
    add(s, PART_CA, "caFile", p->ca_file);
    add(s, PART_TOKEN, "bearerTokenFile", p->bearer_token_file);
}

static void describe_bridge(struct credential_set *s, const struct config *c, uint32_t i)
{
    const struct config_bridge *b = c->routes[i].bridge;
    *s = (struct credential_set){.kind = CREDENTIAL_BRIDGE,
                                 .index = i,
                                 .name = c->routes[i].name,
                                 .readers = b->key_group_readable ? TLS_FILE_GROUP : TLS_FILE_OWNER,
                                 .use = TLS_FILE_ISSUER};
    add(s, PART_CERTIFICATE, "issuerCertificateFile", b->issuer_certificate_file);
    add(s, PART_KEY, "issuerKeyFile", b->issuer_key_file);
    add(s, PART_CA, "clientCaFile", b->client_ca_file);
}

/* Apart from the route's bridge: a broken list keeps no issuer from being renewed. */
static void describe_nodes(struct credential_set *s, const struct config *c, uint32_t i)
{
    *s = (struct credential_set){.kind = CREDENTIAL_NODES, .index = i, .name = c->routes[i].name};
    add(s, PART_NODES, "nodeNameFile", c->routes[i].node_name_file);
}

/* Which files there are besides the kubeconfig is known when that was read. */
static void describe_kube(struct credential_set *s, const struct config *c)
{
    static const struct {
        enum credential_part part;
        const char *field;
    } files[] = {
        {PART_KUBECONFIG,  "kubeconfigFile"       },
        {PART_CA,          "certificate-authority"},
        {PART_CERTIFICATE, "client-certificate"   },
        {PART_KEY,         "client-key"           },
        {PART_BEARER,      "tokenFile"            },
    };
    _Static_assert(ARRAY_SIZE(files) <= (size_t)CREDENTIAL_FILES_MAX, "a set has room for them");
    *s = (struct credential_set){
        .kind = CREDENTIAL_KUBE, .name = "api", .readers = TLS_FILE_WORLD, .use = TLS_FILE_CLIENT};
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        s->files[i].part = files[i].part;
        s->files[i].field = files[i].field;
    }
    s->files[0].path = c->kubernetes.kubeconfig_file;
    s->file_count = ARRAY_SIZE(files);
}

int credential_sets_new(const struct config *c, struct credential_set **ret_sets, unsigned *ret_count)
{
    unsigned count = 0;
    struct credential_set *sets = calloc(c->listener_count + c->tls_profile_count + 2 * c->route_count + 2u,
                                         sizeof(*sets));
    if (!sets)
        return -ENOMEM;
    for (uint32_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].tls)
            describe_listener(&sets[count++], c, i);
    for (uint32_t i = 0; i < c->tls_profile_count; i++)
        describe_profile(&sets[count++], c, i);
    for (uint32_t i = 0; i < c->route_count; i++)
        if (c->routes[i].bridge && c->routes[i].action == CONFIG_ALLOW)
            describe_bridge(&sets[count++], c, i);
    for (uint32_t i = 0; i < c->route_count; i++)
        if (c->routes[i].node_name_file)
            describe_nodes(&sets[count++], c, i);
    if (config_asks_kubernetes(c))
        describe_kube(&sets[count++], c);
    *ret_sets = sets;
    *ret_count = count;
    return 0;
}

bool credential_set_looks_changed(struct credential_set *s)
{
    bool changed = false;
    for (unsigned i = 0; i < s->file_count; i++) {
        if (!s->files[i].path)
            continue;
        struct file_mark mark = file_mark_of(s->files[i].path);
        changed |= !file_mark_equal(&mark, &s->files[i].mark);
        s->files[i].mark = mark;
    }
    return changed;
}

/* -- reading and judging ------------------------------------------------------------------------------------
 */

static bool refuse(struct reading *r, unsigned file, const char *found, const char *expected)
{
    const struct credential_set *s = r->set;
    snprintf(r->report->text, sizeof(r->report->text), "%s %s: %s: found %s, expected %s",
             kind_texts[s->kind], s->name, s->files[file].field, found, expected);
    return false;
}

static void mark(struct reading *r, unsigned i, const char *path)
{
    r->files[i].path = path;
    if (path)
        r->files[i].mark = file_mark_of(path);
}

/* A kubeconfig is marked before it is read for the other names, so that these are its own, or it has moved.
 */
static bool mark_files(struct reading *r)
{
    const struct credential_set *s = r->set;
    char detail[CREDENTIAL_TEXT_MAX - 100];
    if (s->kind != CREDENTIAL_KUBE) {
        for (unsigned i = 0; i < s->file_count; i++)
            mark(r, i, s->files[i].path);
        return true;
    }
    mark(r, 0, s->files[0].path);
    if (kube_credentials_load(s->files[0].path, &r->kube, detail, sizeof(detail)) < 0) {
        snprintf(r->report->text, sizeof(r->report->text), "%s %s: %s", kind_texts[s->kind], s->name, detail);
        return false;
    }
    for (unsigned i = 1; i < s->file_count; i++)
        mark(r, i, credential_kube_path(&r->kube, s->files[i].part));
    return true;
}

static bool read_file(struct reading *r, unsigned i)
{
    const struct credential_file *f = &r->set->files[i];
    const char *path = r->files[i].path;
    struct file file;
    char found[400];
    if (!path) {
        r->files[i].changed = !r->set->loaded || f->path;
        return true;
    }
    size_t bytes_max = f->part == PART_NODES ? CONFIG_NODE_FILE_BYTES_MAX : CREDENTIAL_FILE_BYTES_MAX;
    int rc = file_read(path, bytes_max, &file);
    if (rc < 0) {
        snprintf(found, sizeof(found), "\"%.200s\" (%s)", path, file_error_text(rc));
        return refuse(r, i, found, "a file that can be read");
    }
    sha256_once((struct bytes){(const uint8_t *)file.bytes, file.len}, r->files[i].digest);
    r->files[i].changed = !r->set->loaded || memcmp(r->files[i].digest, f->digest, SHA256_BYTES) != 0;
    file_fini(&file);
    return true;
}

/* A certificate comes before its key; without a file of its own it is judged where both are used. */
static enum tls_file_verdict verdict_of(const struct reading *r, unsigned i, struct tls_file_finding *finding)
{
    const struct credential_set *s = r->set;
    const char *path = r->files[i].path;
    if (!path)
        return TLS_FILE_GOOD;
    switch (s->files[i].part) {
    case PART_CERTIFICATE: return tls_file_check_certificate(path, s->use, finding);
    case PART_KEY:
        return r->files[i - 1].path ? tls_file_check_key(path, r->files[i - 1].path, s->readers, finding)
                                    : TLS_FILE_GOOD;
    case PART_CA: return tls_file_check_ca(path, finding);
    case PART_TOKEN: return tls_file_check_token(path, s->readers, finding);
    case PART_NODES:
    case PART_KUBECONFIG:
    case PART_BEARER: return TLS_FILE_GOOD; /* judged where they are taken apart */
    }
    ASSERT(!"a part of a set");
    return TLS_FILE_BAD;
}

static bool judge_file(struct reading *r, unsigned i)
{
    const struct credential_set *s = r->set;
    struct tls_file_finding finding = {0};
    enum tls_file_verdict verdict = verdict_of(r, i, &finding);
    r->files[i].not_after_s = finding.not_after;
    if (verdict == TLS_FILE_BAD)
        return refuse(r, i, finding.found, finding.expected);
    if (verdict == TLS_FILE_DOUBTFUL)
        snprintf(r->report->doubt, sizeof(r->report->doubt), "%s %s: %s: found %s, expected %s",
                 kind_texts[s->kind], s->name, s->files[i].field, finding.found, finding.expected);
    return true;
}

static bool is_as_marked(const struct reading *r)
{
    for (unsigned i = 0; i < r->set->file_count; i++) {
        if (!r->files[i].path)
            continue;
        struct file_mark now = file_mark_of(r->files[i].path);
        if (!file_mark_equal(&now, &r->files[i].mark))
            return false;
    }
    return true;
}

/* -- taking into force --------------------------------------------------------------------------------------
 */

static void append_date(char *text, size_t size, int64_t when)
{
    struct tm tm;
    time_t t = (time_t)when;
    size_t used = strlen(text);
    gmtime_r(&t, &tm);
    strftime(text + used, size - used, " (until %Y-%m-%dT%H:%M:%SZ)", &tm);
}

/* Notes what is in force now, and says it. Of the Kubernetes API, the names of files are that's. */
static void note(struct reading *r, const struct credentials *in_force)
{
    struct credential_set *s = r->set;
    char *text = r->report->text;
    size_t size = sizeof(r->report->text);
    snprintf(text, size, "%s %s:", kind_texts[s->kind], s->name);
    for (unsigned i = 0; i < s->file_count; i++) {
        struct credential_file *f = &s->files[i];
        if (s->kind == CREDENTIAL_KUBE && i > 0)
            f->path = credential_kube_path(&in_force->kube->credentials, f->part);
        f->mark = r->files[i].mark;
        memcpy(f->digest, r->files[i].digest, sizeof(f->digest));
        atomic_store_explicit(&f->not_after_s, r->files[i].not_after_s, memory_order_relaxed);
        if (!r->files[i].changed)
            continue;
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s %s", text[used - 1] == ':' ? "" : ",", f->field);
        if (r->files[i].not_after_s)
            append_date(text, size, r->files[i].not_after_s);
    }
    s->loaded = true;
}

enum credential_result credential_set_load(struct credential_set *s, const struct config *config,
                                           struct credentials *into, struct credential_report *report)
{
    struct reading r = {.set = s, .config = config, .report = report};
    struct made made = {0};
    bool changed = !s->loaded;
    report->text[0] = report->doubt[0] = '\0';
    bool ok = mark_files(&r);
    for (unsigned i = 0; ok && i < s->file_count; i++) {
        ok = read_file(&r, i);
        changed |= r.files[i].changed;
    }
    for (unsigned i = 0; ok && changed && i < s->file_count; i++)
        ok = judge_file(&r, i);
    ok = ok && (!changed || credential_make(&r, into, &made) == 0);
    enum credential_result result = CREDENTIAL_REFUSED;
    if (!is_as_marked(&r)) {
        result = CREDENTIAL_MOVED;
    } else if (ok && changed) {
        credential_take(into, s, &made);
        note(&r, into);
        result = CREDENTIAL_LOADED;
    } else if (ok) {
        result = CREDENTIAL_SAME;
    }
    credential_made_fini(&made);
    kube_credentials_fini(&r.kube);
    return result;
}
