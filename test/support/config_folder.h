/* test/support/config_folder.h — a directory, which goes away, with certificates, keys and other files for
 * settings to name, made by libcrypto; and configurations that name them. */
#pragma once

#include <sys/stat.h>

#include "broker/config/config.h"

enum { DAY = 86400 };

int folder_set_up(void **state);
int folder_tear_down(void **state);
/* For a group of tests. */
const char *folder_path(const char *name);
/* Good until the eighth call after it. */
void folder_put(const char *name, const char *text, mode_t mode);

/* '@' in what is given and expected stands for the directory. */
void folder_expand(const char *text, char *ret_text, size_t size);
struct config *folder_load(const char *document, struct config_error *);
/* NULL: it was refused. */
void folder_expect_line(const char *document, const char *line);
/* The error, the first warning or "good" begins with the line. */

/* Brackets instead of braces: clang-format would align the columns of unequal texts. */
#define PAIR(given, line)                                                                                    \
    {                                                                                                        \
        given, line                                                                                          \
    }

struct pair {
    const char *given, *line;
};

#define HEAD  "apiVersion: hawser.dev/v1alpha1\nkind: BrokerConfiguration\n"
#define ROUTE "routes: [{name: r, match: {schemes: [http]}}]\n"
#define TLS(certificate, key, ca)                                                                            \
    HEAD ROUTE "listeners:\n- name: t\n  tcp: {address: 127.0.0.1, port: 80}\n  tls:\n    "                  \
               "certificateFile: " certificate "\n    keyFile: " key "\n    clientCaFile: " ca               \
               "\n    allowedNames: [x]\n"
#define PROFILE(fields)                                                                                      \
    HEAD ROUTE "listeners: [{name: u, unix: {path: /u}}]\ntlsProfiles:\n- name: k\n" fields
