/* tools/hawser-pki/main.c — the certificates of a control plane and its kubelets, for trying out and testing
 * Hawser.
 *
 * One row per command. A command fills a mint_spec, mints and writes; everything that can be wrong with the
 * command line is found before anything is written. Bad certificates (expired, self-signed, no SAN, wrong
 * usage) are first-class, because a broker that verifies has to be shown them. It is not a CA for production:
 * the CA key lies beside the certificate, readable by its owner, and nothing is recorded or revoked. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/hawser-pki/options.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { CA_DAYS = 3650, LEAF_DAYS = 365, BACKDATE_S = 300, HOUR_S = 3600, DAY_S = 86400 };

static int usage_error(const char *what)
{
    fprintf(stderr, "hawser-pki: %s (see: hawser-pki help)\n", what);
    return EXIT_USAGE;
}

static int finish(enum mint_result r)
{
    if (r == MINT_OK)
        return EXIT_OK;
    fprintf(stderr, "hawser-pki: %s\n", mint_reason());
    return r == MINT_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static enum mint_result write_pair(const char *prefix, X509 *cert, EVP_PKEY *key,
                                   const struct mint_ca *issuer, bool quiet)
{
    char cert_path[PATH_MAX], key_path[PATH_MAX];
    snprintf(cert_path, sizeof(cert_path), "%.4000s.crt", prefix);
    snprintf(key_path, sizeof(key_path), "%.4000s.key", prefix);
    enum mint_result r = mint_write_key(key_path, key);
    if (r == MINT_OK)
        r = mint_write_cert(cert_path, cert, issuer);
    if (r == MINT_OK && !quiet)
        printf("%s %s\n", cert_path, key_path);
    return r;
}

static bool ca_exists(const char *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.4000s/ca.key", dir);
    return access(path, F_OK) == 0;
}

static enum mint_result make_ca(const struct pki_options *o, const char *dir, const char *cn,
                                const struct mint_ca *parent, struct mint_ca *ret_ca)
{
    char prefix[PATH_MAX];
    snprintf(prefix, sizeof(prefix), "%.4000s/ca", dir);
    enum mint_result r = mint_make_dir(dir);
    if (r == MINT_OK)
        r = mint_ca_new(cn, o->algorithm, o->days ? o->days : CA_DAYS, parent, ret_ca);
    if (r == MINT_OK && (r = write_pair(prefix, ret_ca->cert, ret_ca->key, parent, o->quiet)) != MINT_OK)
        mint_ca_fini(ret_ca);
    return r;
}

static int run_ca(const struct pki_options *o)
{
    if (!o->out)
        return usage_error("ca needs --out DIR");
    if (!o->force && ca_exists(o->out)) {
        fprintf(stderr, "hawser-pki: %s/ca.key is there already; --force replaces it\n", o->out);
        return EXIT_FAILED;
    }
    struct mint_ca parent = {0}, ca = {0};
    enum mint_result r = o->ca ? mint_ca_read(o->ca, &parent) : MINT_OK;
    if (r == MINT_OK)
        r = make_ca(o, o->out, o->name ? o->name : "hawser test CA", o->ca ? &parent : NULL, &ca);
    mint_ca_fini(&ca);
    mint_ca_fini(&parent);
    return finish(r);
}

static void set_period(const struct pki_options *o, struct mint_spec *spec)
{
    int64_t now_s = time(NULL);
    spec->not_before_s = o->has_not_before ? o->not_before_s : now_s - BACKDATE_S;
    spec->not_after_s = now_s + (int64_t)(o->days ? o->days : LEAF_DAYS) * DAY_S;
    if (o->expired)
        spec->not_after_s = now_s - HOUR_S;
    if (o->has_not_after)
        spec->not_after_s = o->not_after_s;
    if (!o->has_not_before && spec->not_before_s >= spec->not_after_s)
        spec->not_before_s = spec->not_after_s -
                             DAY_S; /* the end was put into the past: keep the period sane */
}

static unsigned eku_bits(const char *word, unsigned implied)
{
    if (!word)
        return implied;
    switch (*word) {
    case 's': return MINT_SERVER;
    case 'c': return MINT_CLIENT;
    case 'b': return MINT_SERVER | MINT_CLIENT;
    default: return 0; /* none; the spelling was checked when it was parsed */
    }
}

/* The common end of all leaf commands. ca may be NULL only for a self-signed certificate. */
static enum mint_result make_leaf(const struct pki_options *o, struct mint_spec *spec,
                                  const struct mint_ca *ca, const char *prefix)
{
    set_period(o, spec);
    if (o->no_san)
        spec->dns_n = spec->ips_n = 0;
    const struct mint_ca *issuer = o->self_signed ? NULL : ca;
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    enum mint_result r = mint_key(o->algorithm, &key);
    if (r == MINT_OK)
        r = mint_cert(spec, key, issuer, &cert);
    if (r == MINT_OK)
        r = write_pair(prefix, cert, key, issuer, o->quiet);
    X509_free(cert);
    EVP_PKEY_free(key);
    return r;
}

static int run_leaf(const struct pki_options *o, struct mint_spec *spec)
{
    if (!o->out)
        return usage_error("--out PREFIX is needed");
    if (!o->ca && !o->self_signed)
        return usage_error("--ca DIR (or --self-signed) is needed");
    if (o->has_not_before && o->has_not_after && o->not_before_s >= o->not_after_s)
        return usage_error("--not-before is not before --not-after");
    struct mint_ca ca = {0};
    enum mint_result r = o->self_signed ? MINT_OK : mint_ca_read(o->ca, &ca);
    if (r == MINT_OK)
        r = make_leaf(o, spec, &ca, o->out);
    mint_ca_fini(&ca);
    return finish(r);
}

static struct mint_spec spec_from(const struct pki_options *o, unsigned usage)
{
    return (struct mint_spec){.cn = o->name,
                              .orgs = o->orgs.at,
                              .orgs_n = o->orgs.n,
                              .dns = o->dns.at,
                              .dns_n = o->dns.n,
                              .ips = o->ips.at,
                              .ips_n = o->ips.n,
                              .usage = eku_bits(o->eku, usage)};
}

static int run_server(const struct pki_options *o)
{
    struct mint_spec spec = spec_from(o, MINT_SERVER);
    if (!o->name && o->dns.n + o->ips.n == 0)
        return usage_error("server needs --cn, --dns or --ip");
    return run_leaf(o, &spec);
}

static int run_client(const struct pki_options *o)
{
    struct mint_spec spec = spec_from(o, MINT_CLIENT);
    if (!o->name)
        return usage_error("client needs --cn NAME");
    return run_leaf(o, &spec);
}

static int run_kubelet(const struct pki_options *o)
{
    if (!o->name || o->ips.n == 0)
        return usage_error("kubelet needs --node NAME and --ip ADDRESS");
    char cn[128];
    snprintf(cn, sizeof(cn), "system:node:%.110s", o->name);
    const char *orgs[] = {"system:nodes"}, *dns[NAMES_MAX + 1] = {o->name};
    memcpy(dns + 1, o->dns.at, o->dns.n * sizeof(*dns));
    struct mint_spec spec = spec_from(o, MINT_SERVER);
    spec.cn = cn;
    spec.orgs = orgs;
    spec.orgs_n = 1;
    spec.dns = dns;
    spec.dns_n = o->dns.n + 1;
    return run_leaf(o, &spec);
}

/* What `demo` makes, in order. dir names the CA; leaf NULL: the CA itself. clang-format 14 crashes on rows of
 * unequal shape. */
// clang-format off
#define NAMES(...) (const char *const[]){__VA_ARGS__}
static const struct {
    const char *dir, *ca_name, *leaf;
    struct mint_spec spec;
} demo_rows[] = {
    {.dir = "kubelet-ca", .ca_name = "demo kubelet CA"},
    {.dir = "kubelet-ca", .leaf = "kubelet-client",
     .spec = {.cn = "hawser-kubelet-client", .orgs = NAMES("system:masters"), .orgs_n = 1, .usage = MINT_CLIENT}},
    {.dir = "kubelet-ca", .leaf = "kubelet",
     .spec = {.cn = "system:node:demo-node", .orgs = NAMES("system:nodes"), .orgs_n = 1, .dns = NAMES("demo-node"), .dns_n = 1,
              .ips = NAMES("127.0.0.1"), .ips_n = 1, .usage = MINT_SERVER}},
    {.dir = "front-ca", .ca_name = "demo front CA"},
    {.dir = "front-ca", .leaf = "hawser",
     .spec = {.cn = "hawser", .dns = NAMES("hawser", "localhost"), .dns_n = 2, .ips = NAMES("127.0.0.1", "::1"), .ips_n = 2,
              .usage = MINT_SERVER}},
    {.dir = "front-ca", .leaf = "apiserver", .spec = {.cn = "kube-apiserver", .usage = MINT_CLIENT}},
    {.dir = "rogue-ca", .ca_name = "demo kubelet CA"}, /* the same name on purpose: only the key tells them apart */
    {.dir = "rogue-ca", .leaf = "rogue-client",
     .spec = {.cn = "hawser-kubelet-client", .orgs = NAMES("system:masters"), .orgs_n = 1, .usage = MINT_CLIENT}},
};
#undef NAMES
// clang-format on

static int run_demo(const struct pki_options *o)
{
    if (!o->out)
        return usage_error("demo needs --out DIR");
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.3900s/kubelet-ca", o->out);
    if (!o->force && ca_exists(path)) {
        fprintf(stderr, "hawser-pki: %s holds a demo already; --force replaces it\n", o->out);
        return EXIT_FAILED;
    }
    struct mint_ca ca = {0};
    enum mint_result r = MINT_OK;
    for (size_t i = 0; i < sizeof(demo_rows) / sizeof(*demo_rows) && r == MINT_OK; i++) {
        if (!demo_rows[i].leaf) {
            mint_ca_fini(&ca);
            snprintf(path, sizeof(path), "%.3900s/%s", o->out, demo_rows[i].dir);
            r = make_ca(o, path, demo_rows[i].ca_name, NULL, &ca);
            continue;
        }
        struct mint_spec spec = demo_rows[i].spec;
        snprintf(path, sizeof(path), "%.3900s/%s", o->out, demo_rows[i].leaf);
        r = make_leaf(o, &spec, &ca, path);
    }
    mint_ca_fini(&ca);
    return finish(r);
}

static const struct {
    const char *name, *synopsis, *help;
    int (*run)(const struct pki_options *);
} commands[] = {
    {"ca",      "--out DIR [--name CN] [--ca PARENT] [--key KIND] [--days N]",
     "a root CA (with --ca: an intermediate) as DIR/ca.crt and DIR/ca.key",                          run_ca     },
    {"server",  "--ca DIR --out PREFIX [--cn NAME] [--ip ADDRESS ...] [--dns NAME ...]",
     "a serving certificate (EKU serverAuth)",                                                       run_server },
    {"client",  "--ca DIR --out PREFIX --cn NAME [--org GROUP ...]",
     "a client certificate (EKU clientAuth); CN is the user, O the groups",                          run_client },
    {"kubelet", "--ca DIR --out PREFIX --node NAME --ip ADDRESS ...",
     "what a node's kubelet serves with: CN system:node:NAME, O system:nodes, SAN address and name", run_kubelet},
    {"demo",    "--out DIR",
     "all of a quickstart: kubelet-ca, kubelet, kubelet-client; front-ca, hawser, apiserver; rogue-ca, "
     "rogue-client",                                                                                 run_demo   },
};

static int print_help(void)
{
    puts("hawser-pki - certificates for trying out and testing a Kubernetes egress broker\n\nusage:");
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        printf("    hawser-pki %s %s\n        %s\n", commands[i].name, commands[i].synopsis,
               commands[i].help);
    puts("    hawser-pki help | version\n\noptions (a value follows as the next word or after =):");
    pki_options_print();
    puts("\nKeys are PKCS#8 PEM, mode 0600. Files appear by rename, whole or not at all. A certificate file "
         "holds the\n"
         "leaf and then the intermediates, if any. Exit status: 0 done, 1 failed, 2 bad usage.\n\n"
         "example:\n"
         "    hawser-pki ca --out pki/kubelet-ca\n"
         "    hawser-pki kubelet --ca pki/kubelet-ca --node node-1 --ip 10.0.0.1 --out pki/node-1\n"
         "    hawser-pki client --ca pki/kubelet-ca --cn admin --org system:masters --out pki/admin");
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage_error("no command");
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help();
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        puts("hawser-pki " HAWSER_VERSION);
        return EXIT_OK;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(commands[i].name, argv[1]) != 0)
            continue;
        struct pki_options options;
        return pki_options_parse(argc - 2, argv + 2, &options) ? commands[i].run(&options) : EXIT_USAGE;
    }
    fprintf(stderr, "hawser-pki: unknown command: %s (see: hawser-pki help)\n", argv[1]);
    return EXIT_USAGE;
}
