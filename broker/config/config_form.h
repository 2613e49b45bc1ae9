/* broker/config/config_form.h — the forms a text in the configuration may be asked to have. Pure. */
#pragma once

#include <stdbool.h>

#define CONFIG_FORMS(X)                                                                                      \
    X(ANY, "text")                                                                                           \
    X(NAME, "a name of lower-case letters, digits and '-'")                                                  \
    X(FILE, "a file name")                                                                                   \
    X(SOCKET_PATH, "an absolute path of at most 107 bytes")                                                  \
    X(MODE, "four octal digits in quotes, such as \"0660\"")                                                 \
    X(ACCOUNT, "a user or group name, or a number in quotes")                                                \
    X(ADDRESS, "an IPv4 or IPv6 address, or '*' for all of both")                                            \
    X(CIDR, "an address block such as 10.0.0.0/8 or fd00::/8")                                               \
    X(PORTS, "a port or a range of ports such as \"8000-8999\"")                                             \
    X(HOST_PATTERN, "a host name or address, '*', '*.domain' or 'prefix*'")                                  \
    X(HOST, "a host name or an address")                                                                     \
    X(NODE_NAME, "a node's name: lower-case letters, digits, '-' and '.'")                                   \
    X(CLIENT_NAME, "a common name, a DNS name, '*.domain' or '*'")                                           \
    X(CLIENT, "a common name, a DNS name, '*.domain', uid:N or gid:N")                                       \
    X(KUBE_NAME, "a name of lower-case letters, digits, '-' and '.'")                                        \
    X(SELECTOR, "a label and its value such as k8s-app=konnectivity-server")                                 \
    X(VISIBLE, "1 to 253 printable ASCII characters without blanks")                                         \
    X(LOG_FILE, "stderr or an absolute path")

enum config_form {
#define FORM_SYMBOL(symbol, text) FORM_##symbol,
    CONFIG_FORMS(FORM_SYMBOL)
#undef FORM_SYMBOL
};

bool config_form_matches(enum config_form, const char *text);
const char *config_form_text(enum config_form);
/* What is expected, for error lines and the documentation. */
