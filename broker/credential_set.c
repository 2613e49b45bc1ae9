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

#include "broker/broker_build.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "io/tls/tls.h"
#include "io/tls/tls_issuer.h"
#include "io/tls/tls_roots.h"

enum { FILE_BYTES_MAX = 4 * 1024 * 1024 }; /* as io/tls/ reads them */

/* What was made of a set, until it is taken into force. */
struct made {
    struct tls_context *context;
    struct identity *identities[IDENTITY_VARIANTS];
    struct authorization authorization;
    struct issuing issuing;
};

/* What a load finds on its way. */
struct reading {
    struct credential_set *set;
    const struct config *config;
    struct credential_report *report;
    struct {
        struct file_mark mark;
        uint8_t digest[SHA256_BYTES];
        int64_t not_after_s;
        bool changed;
    } files[CREDENTIAL_FILES_MAX];
};

static const char *const kind_texts[] = {
    [CREDENTIAL_LISTENER] = "listener", [CREDENTIAL_PROFILE] = "tlsProfile", [CREDENTIAL_BRIDGE] = "route"};

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

int credential_sets_new(const struct config *c, struct credential_set **ret_sets, unsigned *ret_count)
{
    unsigned count = 0;
    struct credential_set *sets = calloc(c->listener_count + c->tls_profile_count + c->route_count + 1u,
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
    *ret_sets = sets;
    *ret_count = count;
    return 0;
}

bool credential_set_looks_changed(struct credential_set *s)
{
    bool changed = false;
    for (unsigned i = 0; i < s->file_count; i++) {
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

static bool read_file(struct reading *r, unsigned i)
{
    const struct credential_file *f = &r->set->files[i];
    struct file file;
    char found[400];
    int rc = file_read(f->path, FILE_BYTES_MAX, &file);
    if (rc < 0) {
        snprintf(found, sizeof(found), "\"%.200s\" (%s)", f->path, file_error_text(rc));
        return refuse(r, i, found, "a file that can be read");
    }
    sha256_once((struct bytes){(const uint8_t *)file.bytes, file.len}, r->files[i].digest);
    r->files[i].changed = !r->set->loaded || memcmp(r->files[i].digest, f->digest, SHA256_BYTES) != 0;
    file_fini(&file);
    return true;
}

/* A certificate comes before its key. */
static bool judge_file(struct reading *r, unsigned i)
{
    const struct credential_set *s = r->set;
    const struct credential_file *f = &s->files[i];
    struct tls_file_finding finding;
    enum tls_file_verdict verdict = TLS_FILE_BAD;
    switch (f->part) {
    case PART_CERTIFICATE: verdict = tls_file_check_certificate(f->path, s->use, &finding); break;
    case PART_KEY: verdict = tls_file_check_key(f->path, s->files[i - 1].path, s->readers, &finding); break;
    case PART_CA: verdict = tls_file_check_ca(f->path, &finding); break;
    case PART_TOKEN: verdict = tls_file_check_token(f->path, s->readers, &finding); break;
    }
    r->files[i].not_after_s = finding.not_after;
    if (verdict == TLS_FILE_BAD)
        return refuse(r, i, finding.found, finding.expected);
    if (verdict == TLS_FILE_DOUBTFUL)
        snprintf(r->report->doubt, sizeof(r->report->doubt), "%s %s: %s: found %s, expected %s",
                 kind_texts[s->kind], s->name, f->field, finding.found, finding.expected);
    return true;
}

static bool is_as_marked(const struct reading *r)
{
    for (unsigned i = 0; i < r->set->file_count; i++) {
        struct file_mark now = file_mark_of(r->set->files[i].path);
        if (!file_mark_equal(&now, &r->files[i].mark))
            return false;
    }
    return true;
}

/* -- making -------------------------------------------------------------------------------------------------
 */

/* What the makers say names the file; it lacks the name of the set. */
static int fail(struct reading *r, int rc, const char *detail)
{
    snprintf(r->report->text, sizeof(r->report->text), "%s %s: %s", kind_texts[r->set->kind], r->set->name,
             rc == -ENOMEM ? "out of memory" : detail);
    return rc;
}

static int make_listener(struct reading *r, struct made *m)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    const struct config_listener *l = &r->config->listeners[r->set->index];
    const struct config_listener_tls *t = l->tls;
    struct tls_context_options options = {.role = TLS_SERVER,
                                          .ca_file = t->client_ca_file,
                                          .certificate_file = t->certificate_file,
                                          .key_file = t->key_file,
                                          .alpn = l->serves == CONFIG_SERVES_AGENTS ? AGENT_ALPN
                                                                                    : SERVER_ALPN,
                                          .allow_tls12 = t->min_version == CONFIG_TLS_1_2,
                                          .suites = t->cipher_suites};
    int rc = tls_context_new(&options, &m->context, detail, sizeof(detail));
    return rc < 0 ? fail(r, rc, detail) : 0;
}

static int make_identity(struct reading *r, uint32_t number, unsigned variant, uint32_t generation,
                         struct identity **ret)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    const struct config_tls_profile *p = &r->config->tls_profiles[r->set->index];
    struct identity *identity = identity_new(r->config->workers);
    if (!identity)
        return fail(r, -ENOMEM, NULL);
    bool single_use = variant & IDENTITY_SINGLE_USE, insecure = variant & IDENTITY_INSECURE;
    struct tls_context_options options = {.role = TLS_CLIENT,
                                          .ca_file = p->ca_file,
                                          .certificate_file = p->client_certificate_file,
                                          .key_file = p->client_key_file,
                                          .alpn = single_use && p->alpn != CONFIG_ALPN_NONE
                                                      ? "http/1.1" /* only it can be upgraded */
                                                      : config_alpn_text(p->alpn),
                                          .allow_tls12 = p->min_version == CONFIG_TLS_1_2,
                                          .insecure = insecure,
                                          .resumption = p->resumption};
    struct pool_profile *profile = &identity->profile;
    *profile = (struct pool_profile){.id = number,
                                     .generation = generation,
                                     .tls = true,
                                     .insecure = insecure,
                                     .resumption = p->resumption,
                                     .shared = p->alpn == CONFIG_ALPN_H2 && !single_use,
                                     .single_use = single_use};
    if (p->server_name)
        snprintf(profile->server_name, sizeof(profile->server_name), "%s", p->server_name);
    int rc = tls_context_new(&options, &profile->context, detail, sizeof(detail));
    if (rc < 0) {
        identity_free(&identity);
        return fail(r, rc, detail);
    }
    *ret = identity;
    return 0;
}

/* Routes with the same profile and the same will to verify share one identity, and so one pool. Upgrades have
 * an identity beside it, whose connections carry one of them each. */
static bool is_used(const struct config *c, uint32_t number)
{
    for (uint32_t i = 0; i < c->route_count; i++) {
        const struct config_route *r = &c->routes[i];
        unsigned variant = r->insecure ? IDENTITY_INSECURE : 0;
        if (r->action == CONFIG_ALLOW && r->profile &&
            (identity_number(c, r, variant) == number ||
             identity_number(c, r, variant | IDENTITY_SINGLE_USE) == number))
            return true;
    }
    return false;
}

static uint32_t first_number(const struct credential_set *s)
{
    return IDENTITIES_OWN + s->index * (uint32_t)IDENTITY_VARIANTS;
}

static int make_identities(struct reading *r, const struct credentials *from, struct made *m)
{
    int rc = 0;
    for (unsigned variant = 0; rc == 0 && variant < IDENTITY_VARIANTS; variant++) {
        uint32_t number = first_number(r->set) + variant;
        const struct pool_profile *before = from->profiles[number];
        if (is_used(r->config, number))
            rc = make_identity(r, number, variant, before ? before->generation + 1 : 1,
                               &m->identities[variant]);
    }
    return rc;
}

static int make_authorization(struct reading *r, const char *path, struct made *m)
{
    struct file file;
    char found[300];
    int rc = file_read(path, FILE_BYTES_MAX, &file);
    if (rc < 0)
        return fail(r, rc, file_error_text(rc));
    size_t len = strcspn(file.bytes, "\r\n"); /* one line, as was judged */
    size_t len_max = sizeof(m->authorization.text) - sizeof("Bearer ");
    if (len <= len_max) {
        snprintf(m->authorization.text, sizeof(m->authorization.text), "Bearer %.*s", (int)len, file.bytes);
    } else {
        snprintf(found, sizeof(found), "%.200s: found a token of %zu bytes, expected at most %zu", path, len,
                 len_max);
        rc = fail(r, -EINVAL, found);
    }
    file_fini(&file);
    return rc;
}

static int make_profile(struct reading *r, const struct credentials *from, struct made *m)
{
    const struct credential_set *s = r->set;
    bool identity_changed = !s->loaded;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < s->file_count; i++) {
        if (s->files[i].part == PART_TOKEN)
            rc = make_authorization(r, s->files[i].path, m);
        else
            identity_changed |= r->files[i].changed;
    }
    return rc == 0 && identity_changed ? make_identities(r, from, m) : rc;
}

static int make_bridge(struct reading *r, struct made *m)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    const struct config_bridge *b = r->config->routes[r->set->index].bridge;
    int rc = tls_issuer_new(b->issuer_certificate_file, b->issuer_key_file, &m->issuing.issuer, detail,
                            sizeof(detail));
    if (rc == 0)
        rc = tls_roots_new(b->client_ca_file, &m->issuing.client_roots, detail, sizeof(detail));
    return rc < 0 ? fail(r, rc, detail) : 0;
}

static int make(struct reading *r, const struct credentials *from, struct made *m)
{
    switch (r->set->kind) {
    case CREDENTIAL_LISTENER: return make_listener(r, m);
    case CREDENTIAL_PROFILE: return make_profile(r, from, m);
    case CREDENTIAL_BRIDGE: return make_bridge(r, m);
    }
    ASSERT(!"a kind of credentials");
    return -EINVAL;
}

static void made_fini(struct made *m)
{
    tls_context_unref(&m->context);
    for (unsigned i = 0; i < IDENTITY_VARIANTS; i++)
        identity_free(&m->identities[i]);
    tls_issuer_unref(&m->issuing.issuer);
    tls_roots_unref(&m->issuing.client_roots);
    explicit_bzero(&m->authorization, sizeof(m->authorization));
}

/* -- taking into force --------------------------------------------------------------------------------------
 */

static void take(struct credentials *into, const struct credential_set *s, struct made *m)
{
    switch (s->kind) {
    case CREDENTIAL_LISTENER:
        tls_context_unref(&into->listeners[s->index]);
        into->listeners[s->index] = m->context;
        m->context = NULL;
        break;
    case CREDENTIAL_PROFILE:
        for (unsigned i = 0; i < IDENTITY_VARIANTS; i++)
            if (m->identities[i])
                into->profiles[first_number(s) + i] = &m->identities[i]->profile;
        memset(m->identities, 0, sizeof(m->identities));
        into->authorizations[s->index] = m->authorization;
        break;
    case CREDENTIAL_BRIDGE:
        tls_issuer_unref(&into->issuing[s->index].issuer);
        tls_roots_unref(&into->issuing[s->index].client_roots);
        into->issuing[s->index] = m->issuing;
        m->issuing = (struct issuing){0};
        break;
    }
}

static void append_date(char *text, size_t size, int64_t when)
{
    struct tm tm;
    time_t t = (time_t)when;
    size_t used = strlen(text);
    gmtime_r(&t, &tm);
    strftime(text + used, size - used, " (until %Y-%m-%dT%H:%M:%SZ)", &tm);
}

/* Notes what is in force now, and says it. */
static void note(struct reading *r)
{
    struct credential_set *s = r->set;
    char *text = r->report->text;
    size_t size = sizeof(r->report->text);
    snprintf(text, size, "%s %s:", kind_texts[s->kind], s->name);
    for (unsigned i = 0; i < s->file_count; i++) {
        struct credential_file *f = &s->files[i];
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
    bool ok = true, changed = !s->loaded;
    report->text[0] = report->doubt[0] = '\0';
    for (unsigned i = 0; i < s->file_count; i++)
        r.files[i].mark = file_mark_of(s->files[i].path);
    for (unsigned i = 0; ok && i < s->file_count; i++) {
        ok = read_file(&r, i);
        changed |= r.files[i].changed;
    }
    if (ok && !changed)
        return is_as_marked(&r) ? CREDENTIAL_SAME : CREDENTIAL_MOVED;
    for (unsigned i = 0; ok && i < s->file_count; i++)
        ok = judge_file(&r, i);
    ok = ok && make(&r, into, &made) == 0;
    enum credential_result result = CREDENTIAL_REFUSED;
    if (!is_as_marked(&r)) {
        result = CREDENTIAL_MOVED;
    } else if (ok) {
        take(into, s, &made);
        note(&r);
        result = CREDENTIAL_LOADED;
    }
    made_fini(&made);
    return result;
}
