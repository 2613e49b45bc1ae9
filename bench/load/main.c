/* bench/load/main.c — hawser-load: offers load to a forward proxy and measures what comes back.
 * Exit code 0 when the run took place (failures of the proxy are in the JSON), 1 when it could not, 2 on bad
 * usage. */
#include "bench/load/crowd.h"
#include "bench/load/load.h"
#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/self_check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct load_options options;
    if (!options_parse(argc, argv, &options))
        return 2;
    if (options.self_check)
        return self_check() == 0 ? 0 : 1;

    signal(SIGPIPE, SIG_IGN);
    net_raise_nofile();
    struct load_result *result = calloc(1, sizeof(*result)); /* histograms: too large for the stack */
    int (*run)(const struct load_options *, struct load_result *) = options.crowd ? crowd_run : load_run;
    int error = result ? run(&options, result) : -ENOMEM;
    if (error < 0)
        fprintf(stderr, "hawser-load: %s\n", strerror(-error));
    else
        report_print(&options, result);
    free(result);
    return error < 0 ? 1 : 0;
}
