/* test/unit/server_line.h — command lines of the proxy-server, for the unit tests of their flags. Header-only
 * because each unit test is one file. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/konnectivity/server_flags.h"

enum { ARGS_MAX = 24 };

struct line {
    char room[2048];
    char *argv[ARGS_MAX];
    int argc;
};

/* Blanks between arguments, and none in them. */
static inline void split(const char *text, struct line *line)
{
    char *save = NULL;
    line->argc = 0;
    assert_true(snprintf(line->room, sizeof(line->room), "%s", text) < (int)sizeof(line->room));
    for (char *word = strtok_r(line->room, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        assert_true(line->argc < ARGS_MAX);
        line->argv[line->argc++] = word;
    }
}

static inline bool parse(const char *text, struct line *line, struct server_flags *f,
                         char error[SERVER_ERROR_MAX])
{
    split(text, line);
    return server_flags_parse(f, line->argc, line->argv, error);
}

static inline void expect(const char *text, struct line *line, struct server_flags *f)
{
    char error[SERVER_ERROR_MAX];
    if (!parse(text, line, f, error))
        fail_msg("%s: %s", text, error);
}

#define AGENTS "--cluster-cert=/dev/null --cluster-key=/dev/null "
#define UDS    "--uds-name=/run/x/s --server-port=0 " AGENTS
#define TCP    "--server-cert=/dev/null --server-key=/dev/null --server-ca-cert=/dev/null " AGENTS
#define TOKENS "--agent-namespace=kube-system --agent-service-account=agent --authentication-audience=server "
