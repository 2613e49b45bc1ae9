/* tools/kubelet-sim/main.c — start, stand by, stop.
 *
 * Everything that can fail fails before the ready line: options, faults, CA, certificates, listeners. After
 * it the main thread waits for a signal or a status request; SIGTERM and SIGINT end the process cleanly. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tools/kubelet-sim/reply.h"
#include "tools/kubelet-sim/status.h"
#include "tools/kubelet-sim/worker.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { DESCRIPTORS_WANTED = 131072, CA_DAYS = 3650, CLIENT_DAYS = 365, DAY_S = 86400, BACKDATE_S = 300 };

static bool complain(const char *what, const char *detail)
{
    fprintf(stderr, "kubelet-sim: %s: %s\n", what, detail);
    return false;
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    struct rlimit wanted = {DESCRIPTORS_WANTED, DESCRIPTORS_WANTED};
    if (limit.rlim_max < DESCRIPTORS_WANTED && setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        return; /* privileged */
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        complain("cannot raise the number of descriptors", strerror(errno));
}

/* Two simulators on one port would share it silently, each getting half of the other's connections. */
static bool port_is_free(uint64_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return complain("cannot make a socket", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool ok = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0;
    int error = errno;
    close(fd);
    char text[32];
    snprintf(text, sizeof(text), "port %llu", (unsigned long long)port);
    return ok || complain(text, strerror(error));
}

static bool write_client(const struct mint_ca *ca, const char *prefix)
{
    char cert_path[PATH_MAX], key_path[PATH_MAX];
    snprintf(cert_path, sizeof(cert_path), "%.4000s.crt", prefix);
    snprintf(key_path, sizeof(key_path), "%.4000s.key", prefix);
    int64_t now_s = time(NULL);
    struct mint_spec spec = {.cn = "kubelet-sim-client",
                             .orgs = (const char *const[]){"system:masters"},
                             .orgs_n = 1,
                             .usage = MINT_CLIENT,
                             .not_before_s = now_s - BACKDATE_S,
                             .not_after_s = now_s + (int64_t)CLIENT_DAYS * DAY_S};
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    bool ok = mint_key(MINT_P256, &key) == MINT_OK && mint_cert(&spec, key, ca, &cert) == MINT_OK &&
              mint_write_key(key_path, key) == MINT_OK && mint_write_cert(cert_path, cert, ca) == MINT_OK;
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok;
}

static bool make_ca(const char *dir, struct mint_ca *ret_ca)
{
    char path[PATH_MAX];
    if (mint_ca_new("kubelet-sim CA", MINT_P256, CA_DAYS, NULL, ret_ca) != MINT_OK)
        return false;
    if (!dir)
        return true;
    snprintf(path, sizeof(path), "%.4000s/ca.key", dir);
    bool ok = mint_write_key(path, ret_ca->key) == MINT_OK;
    snprintf(path, sizeof(path), "%.4000s/ca.crt", dir);
    return ok && mint_write_cert(path, ret_ca->cert, NULL) == MINT_OK;
}

/* The CA comes from --ca, from --workdir, or from nowhere. */
static bool find_ca(const struct options *o, struct mint_ca *ret_ca)
{
    char path[PATH_MAX];
    if (o->workdir && mint_make_dir(o->workdir) != MINT_OK)
        return false;
    snprintf(path, sizeof(path), "%.4000s/ca.key", o->workdir ? o->workdir : "");
    bool ok;
    if (o->ca_dir)
        ok = mint_ca_read(o->ca_dir, ret_ca) == MINT_OK;
    else if (o->workdir && access(path, F_OK) == 0)
        ok = mint_ca_read(o->workdir, ret_ca) == MINT_OK;
    else
        ok = make_ca(o->workdir, ret_ca);
    snprintf(path, sizeof(path), "%.4000s/client", o->workdir ? o->workdir : "");
    ok = ok && (!o->workdir || o->client_ca || write_client(ret_ca, path));
    ok = ok && (!o->write_client || write_client(ret_ca, o->write_client));
    return ok && (!o->write_ca || mint_write_cert(o->write_ca, ret_ca->cert, ret_ca) == MINT_OK);
}

/* 0, or an exit code after a line. */
static int prepare(struct sim *sim)
{
    const struct options *o = &sim->options;
    struct in_addr base;
    const char *bad = NULL;
    if (inet_pton(AF_INET, o->base, &base) != 1 || ntohl(base.s_addr) > UINT32_MAX - o->count) {
        complain("not an IPv4 address with room for the fleet", o->base);
        return EXIT_USAGE;
    }
    struct fault_fleet fleet = {ntohl(base.s_addr), (uint32_t)o->count, o->seed};
    sim->faults = fault_set_new(o->faults, o->faults_n, &fleet, &bad);
    if (!sim->faults) {
        complain("not a fault (see: kubelet-sim help)", bad);
        return EXIT_USAGE;
    }
    struct mint_ca ca = {0};
    if (!port_is_free(o->port))
        return EXIT_FAILED;
    if (!find_ca(o, &ca) || !fleet_init(&sim->fleet, fleet.base, fleet.count, o->algorithm, &ca)) {
        mint_ca_fini(&ca);
        complain("cannot set the CA up", mint_reason());
        return EXIT_FAILED;
    }
    if (!authn_init(&sim->authn, o->client_ca, o->token_file, &sim->fleet.ca))
        return EXIT_FAILED;
    return o->mint_lazy || fleet_mint_all(&sim->fleet, sim->faults, (unsigned)o->threads) ? EXIT_OK
                                                                                          : EXIT_FAILED;
}

static bool write_line(const char *path, const char *line)
{
    FILE *f = path ? fopen(path, "we") : NULL;
    if (!path)
        return true;
    if (!f)
        return complain(path, strerror(errno));
    fputs(line, f);
    return fclose(f) == 0 || complain(path, strerror(errno));
}

static bool announce(const struct sim *sim)
{
    const struct options *o = &sim->options;
    char first[INET_ADDRSTRLEN], last[INET_ADDRSTRLEN], line[160], pid[16];
    fleet_address(&sim->fleet, 0, first);
    fleet_address(&sim->fleet, sim->fleet.count - 1, last);
    snprintf(line, sizeof(line), "kubelet-sim: %u kubelets on %s..%s:%llu ready\n", sim->fleet.count, first,
             last, (unsigned long long)o->port);
    snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (!o->quiet) {
        fputs(line, stdout);
        fflush(stdout);
    }
    return write_line(o->pid_file, pid) && write_line(o->ready_file, line);
}

static void stand_by(struct status *status, int signal_fd)
{
    struct pollfd polls[] = {
        {.fd = signal_fd,  .events = POLLIN},
        {.fd = status->fd, .events = POLLIN}
    };
    for (;;) {
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            return;
        if (polls[0].revents)
            return;
        if (polls[1].revents)
            status_serve_one(status);
    }
}

static bool start_workers(struct sim *sim)
{
    sim->workers = calloc(sim->options.threads, sizeof(struct worker *));
    if (!sim->workers)
        return complain("cannot start", "out of memory");
    for (size_t i = 0; i < sim->options.threads; i++) {
        if (!(sim->workers[i] = worker_new(sim)))
            return false;
        sim->workers_n++;
    }
    for (size_t i = 0; i < sim->workers_n; i++)
        if (!worker_start(sim->workers[i]))
            return false;
    return true;
}

static void stop(struct sim *sim)
{
    __atomic_store_n(&sim->stopping, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < sim->workers_n; i++)
        worker_poke(sim->workers[i]);
    for (size_t i = 0; i < sim->workers_n; i++)
        worker_join_and_free(sim->workers[i]);
    free(sim->workers);
    if (sim->options.ready_file)
        unlink(sim->options.ready_file);
    if (sim->options.pid_file)
        unlink(sim->options.pid_file);
}

int main(int argc, char **argv)
{
    static struct sim sim;
    int r = options_parse(argc, argv, &sim.options);
    if (r != 0)
        return r == 1 ? EXIT_OK : EXIT_USAGE;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* the threads inherit it */
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    reply_tables_init();
    ledger_init(&sim.ledger);
    sim.started_ns = clock_ns();
    struct status status = {.fd = -1};
    int signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    r = prepare(&sim);
    if (r == EXIT_OK) {
        bool ok = signal_fd >= 0 && status_init(&status, &sim, sim.options.status) && start_workers(&sim) &&
                  announce(&sim);
        if (ok)
            stand_by(&status, signal_fd);
        stop(&sim);
        status_fini(&status);
        r = ok ? EXIT_OK : EXIT_FAILED;
    }
    if (signal_fd >= 0)
        close(signal_fd);
    authn_fini(&sim.authn);
    if (sim.fleet.nodes)
        fleet_fini(&sim.fleet);
    ledger_fini(&sim.ledger);
    fault_set_free(sim.faults);
    return r;
}
