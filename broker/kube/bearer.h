/* broker/kube/bearer.h — the token by which the broker is known to the API server. It comes with what was
 * read last (access.h), which is renewed as all credentials are; and where the API server refuses it before
 * that was noticed, its file is read at once: the kubelet renews the tokens of Pods within the hour, whatever
 * reloadMs says. Owner worker only. A secret: wiped when it goes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/http/slice.h"
#include "io/attributes.h"

struct kube_access;
struct kube_credentials;
struct worker;

struct bearer {
    const struct kube_access *access;
    char *own;   /* read since, NULL: that of `access` */
    bool broken; /* the file could not be read: said once */
};

MUST_USE int bearer_read(const struct kube_credentials *, char **ret_field, char *ret_detail,
                         size_t detail_size);
/* "Bearer …", NULL: they have none. 0, or -errno with one line. Any thread. */
void bearer_wipe(char **field);
/* Nulls it. */

void bearer_use(struct bearer *, const struct kube_access *);
/* From now on; lent until the next one. */
void bearer_fini(struct bearer *);
bool bearer_refused(struct bearer *, struct worker *);
/* Reads the file again, if it is in one. True when the token is another one than before. One that cannot be
 * read any more is said in the log, and the one from before is used. */
struct slice bearer_field(const struct bearer *);
/* len 0: there is none. */
