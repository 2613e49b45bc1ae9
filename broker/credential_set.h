/* broker/credential_set.h — the files of one listener, one TLS profile, one bridge, a route's names of nodes,
 * or the Kubernetes API: what belongs together, is judged together, and is taken into force together or not
 * at all. One thread at a time.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/file.h"
#include "io/tls/tls_files.h"
#include "io/tls/tls_hash.h"

struct config;
struct credentials;

enum credential_kind {
    CREDENTIAL_LISTENER,
    CREDENTIAL_PROFILE,
    CREDENTIAL_BRIDGE,
    CREDENTIAL_NODES,
    CREDENTIAL_KUBE
};
enum credential_part {
    PART_CERTIFICATE,
    PART_KEY,
    PART_CA,
    PART_TOKEN,
    PART_NODES,
    PART_KUBECONFIG,
    PART_BEARER
};

enum { CREDENTIAL_FILES_MAX = 5, CREDENTIAL_TEXT_MAX = 800 };

struct credential_file {
    enum credential_part part;
    const char *field;     /* its setting */
    const char *path;      /* NULL, of the Kubernetes API's: there is no such file; those after the first are
                              named by the first, and belong to what is in force */
    struct file_mark mark; /* as it was looked at last */
    uint8_t digest[SHA256_BYTES]; /* of the contents in force */
    _Atomic int64_t not_after_s;  /* of what is in force; 0: it has no such date. Any thread reads. */
};

struct credential_set {
    enum credential_kind kind;
    uint32_t index; /* among the listeners, profiles or routes of the configuration */
    const char *name;
    enum tls_file_readers readers; /* who may be able to read a key or a token */
    enum tls_file_use use;         /* of its certificate */
    unsigned file_count;
    struct credential_file files[CREDENTIAL_FILES_MAX];
    bool loaded;
};

enum credential_result {
    CREDENTIAL_LOADED,
    CREDENTIAL_SAME,    /* the contents are those in force */
    CREDENTIAL_REFUSED, /* what is in force stays */
    CREDENTIAL_MOVED,   /* it was changed meanwhile: look again */
};

struct credential_report {
    char text[CREDENTIAL_TEXT_MAX];  /* one line: what was taken into force, or what is wrong */
    char doubt[CREDENTIAL_TEXT_MAX]; /* one line: what is usable but worth a warning; or "" */
};

MUST_USE int credential_sets_new(const struct config *, struct credential_set **ret_sets,
                                 unsigned *ret_count);
/* All of the configuration, nothing read yet. Names and paths are the configuration's. free() them. 0 or
 * -ENOMEM. */
const char *credential_kind_text(enum credential_kind);
MUST_USE bool credential_set_looks_changed(struct credential_set *);
/* Some file has another mark than at the last look. */
MUST_USE enum credential_result credential_set_load(struct credential_set *, const struct config *,
                                                    struct credentials *into, struct credential_report *);
/* Reads, judges and makes what the files are for; `into` is changed with CREDENTIAL_LOADED only. An identity
 * it replaces there stays the caller's. */
