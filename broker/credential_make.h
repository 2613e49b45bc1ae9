/* broker/credential_make.h — from the files of a set, read and judged, to what they are for: TLS contexts,
 * identities, tokens. Internal to credential_set.c; one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/credential_set.h"
#include "broker/credentials.h"
#include "broker/kube/access.h"

struct config;
struct config_nodes;

enum { CREDENTIAL_FILE_BYTES_MAX = 4 * 1024 * 1024 }; /* as io/tls/ reads them */

/* What was made of a set, until it is taken into force. */
struct made {
    struct tls_context *context;
    struct identity *identities[IDENTITY_VARIANTS];
    struct authorization authorization;
    struct issuing issuing;
    struct config_nodes *nodes;
    struct kube_access *kube;
};

/* What a load finds on its way. */
struct reading {
    struct credential_set *set;
    const struct config *config;
    struct credential_report *report;
    struct kube_credentials kube; /* where its files are; nothing else of it is used */
    struct {
        const char *path; /* NULL: there is none */
        struct file_mark mark;
        uint8_t digest[SHA256_BYTES];
        int64_t not_after_s;
        bool changed;
    } files[CREDENTIAL_FILES_MAX];
};

MUST_USE int credential_make(struct reading *, const struct credentials *from, struct made *);
/* 0; or -errno with one line in the report. */
const char *credential_kube_path(const struct kube_credentials *, enum credential_part);
/* Of a file that they name; NULL: none. */
void credential_take(struct credentials *into, const struct credential_set *, struct made *);
/* What was made leaves `made`. */
void credential_made_fini(struct made *);
