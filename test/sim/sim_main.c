/* test/sim/sim_main.c — runs seeds.
 *
 *   sim [--app relay|broker|tunnels|http2|konnectivity|agents] --seed N | --seeds A..B [--twice] [--trace]
 *
 * Prints one line a seed; at the first that fails, its plan, and exits 1. --twice runs each seed a second
 * time and compares the histories. --trace writes the history to stdout.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/log.h"
#include "io/resolve.h"
#include "io/tls/tls.h"
#include "sim_case.h"

static const struct sim_app *const apps[] = {&sim_relay_app, &sim_broker_app,       &sim_tunnels_app,
                                             &sim_http2_app, &sim_konnectivity_app, &sim_agents_app};
static char crash_note[128];

static void on_crash(int sig)
{
    ssize_t rc = write(STDERR_FILENO, crash_note, strlen(crash_note));
    (void)rc;
    signal(sig, SIG_DFL);
    raise(sig);
}

static bool run_seed(const struct sim_app *app, uint64_t seed, bool twice, FILE *trace)
{
    static struct sim_case first, second;
    snprintf(crash_note, sizeof(crash_note), "\nfailed in app %s, seed %" PRIu64 "\n", app->name, seed);
    printf("seed %-6" PRIu64, seed);
    fflush(stdout);
    bool good = sim_case_run(app, seed, trace, &first);
    const uint32_t *n = first.ledger.outcomes, *t = first.tunnels.outcomes;
    printf(" %016" PRIx64 " exchanges %-4u complete %-4u error %-3u cut %-3u lost %-3u abandoned %-3u",
           first.trace_hash, first.ledger.count, n[OUTCOME_COMPLETE], n[OUTCOME_ERROR], n[OUTCOME_CUT],
           n[OUTCOME_LOST], n[OUTCOME_ABANDONED]);
    printf(" tunnels %-4u stood %-4u refused %-3u lost %-3u left %-3u\n", first.tunnels.count,
           t[TUNNEL_STOOD], t[TUNNEL_REFUSED], t[TUNNEL_LOST], t[TUNNEL_LEFT]);
    if (good && twice) {
        /* libcrypto draws the randomness of signatures by itself, and they differ in length. */
        good = sim_case_run(app, seed, NULL, &second) &&
               (second.trace_hash == first.trace_hash || first.plan.tls || first.plan.tls_clients);
        if (!good)
            fprintf(stderr, "\nseed %" PRIu64 " went another way the second time: %016" PRIx64 "\n", seed,
                    second.trace_hash);
    }
    if (!good) {
        fprintf(stderr, "\nfailed: sim --app %s --seed %" PRIu64 "\n", app->name, seed);
        sim_plan_print(&first.plan, stderr);
    }
    return good;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: sim [--app relay|broker|tunnels|http2|konnectivity|agents] --seed N | --seeds A..B "
            "[--twice] [--trace]\n");
    return 2;
}

int main(int argc, char **argv)
{
    const struct sim_app *app = apps[0];
    uint64_t from = 1, to = 0;
    bool twice = false, trace = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--twice") == 0) {
            twice = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--seed") == 0 && sscanf(value, "%" SCNu64, &from) == 1) {
            to = from;
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0 &&
                   sscanf(value, "%" SCNu64 "..%" SCNu64, &from, &to) == 2) {
            i++;
        } else if (strcmp(argv[i], "--app") == 0) {
            app = NULL;
            for (size_t n = 0; n < ARRAY_SIZE(apps); n++)
                if (strcmp(apps[n]->name, value) == 0)
                    app = apps[n];
            if (!app)
                return usage();
            i++;
        } else {
            return usage();
        }
    }
    if (from > to)
        return usage();
    signal(SIGABRT, on_crash);
    log_configure(&(struct log_options){.fd = trace ? STDOUT_FILENO : STDERR_FILENO,
                                        .level = trace ? LOG_DEBUG : LOG_ERROR});
    if (tls_global_init() < 0 || resolve_global_init() < 0)
        return 1;
    sim_tls_init();
    for (uint64_t seed = from; seed <= to; seed++)
        if (!run_seed(app, seed, twice, trace ? stdout : NULL))
            return 1;
    sim_tls_fini();
    resolve_global_fini();
    tls_global_fini();
    return 0;
}
