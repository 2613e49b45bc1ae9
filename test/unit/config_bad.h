/* test/unit/config_bad.h — wrong configurations and the lines they get, for the unit tests of either.
 * Header-only because each unit test is one file. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/config/config.h"

#define HEAD     "apiVersion: hawser.dev/v1alpha1\nkind: BrokerConfiguration\n"
#define LISTENER "listeners: [{name: a, unix: {path: /run/a}}]\n"
#define ROUTE    "routes: [{name: r, match: {schemes: [http]}}]\n"
#define PROFILE  "tlsProfiles: [{name: k, caFile: /ca}]\n"
#define TCP      "{name: t, tcp: {address: 127.0.0.1, port: 80}, "
#define REST     LISTENER ROUTE
#define AGENTS   "{name: g, serves: agents, tcp: {address: 10.0.0.1, port: 8091}, "
#define PAIR     "certificateFile: /c, keyFile: /k"
#define BRIDGE   "bridge: {issuerCertificateFile: /c, issuerKeyFile: /k, clientCaFile: /a, allowedNames: [x]}"

/* Brackets instead of braces: clang-format would align the columns of unequal texts. */
#define BAD(document, line)                                                                                  \
    {                                                                                                        \
        document, line                                                                                       \
    }

struct bad {
    const char *document, *line;
};

static inline void expect_lines(const struct bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct config *config = NULL;
        struct config_error error = {0};
        int rc = config_load_buffer("f", cases[i].document, strlen(cases[i].document), CONFIG_SKIP_FILES,
                                    &config, &error);
        if (rc != CONFIG_INVALID || strcmp(error.text, cases[i].line) != 0)
            fail_msg("case %zu:\n%s\n gave  %s\n  not  %s", i, cases[i].document,
                     rc ? error.text : "no error", cases[i].line);
        assert_null(config);
    }
}
