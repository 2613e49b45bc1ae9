/* tools/hawser-pki/options.h — the command line of hawser-pki as a struct. Strings point into argv. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/pki/mint.h"

enum { NAMES_MAX = 64 }; /* of each kind in one certificate; a frank guess, far above any real node's */

struct name_list {
    const char *at[NAMES_MAX];
    size_t n;
};

struct pki_options {
    const char *out, *ca, *name, *eku;
    struct name_list orgs, dns, ips;
    enum mint_algorithm algorithm;
    int days; /* 0: the command's default */
    int64_t not_before_s, not_after_s;
    bool has_not_before, has_not_after;
    bool expired, self_signed, no_san, force, quiet;
};

MUST_USE bool pki_options_parse(int argc, char **argv, struct pki_options *ret_options);
/* argv[0] is the first option. False: one line has been printed to stderr. */
void pki_options_print(void);
