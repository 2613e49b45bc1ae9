/* broker/kube/bearer.h — the token by which the broker is known to the API server. One from a file is read
 * again when it is used and was not looked at for a while: the kubelet renews the tokens of Pods within the
 * hour. Owner worker only. A secret: wiped when it goes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/http/slice.h"

struct kube_credentials;
struct worker;

enum {
    BEARER_LOOK_MS =
        10000, /* client-go looks once a minute, at a file that changes some minutes before it must */
};

struct bearer {
    char *file;  /* NULL: the token never changes */
    char *field; /* "Bearer …", the value of Authorization; NULL: there is no token */
    uint64_t looked_ns;
    bool broken; /* the file could not be read: said once */
};

MUST_USE int bearer_init(struct bearer *, struct kube_credentials *, char *ret_detail, size_t detail_size);
/* Takes the token out of the credentials and reads the file, if it is in one. 0, or -errno with one line. */
void bearer_fini(struct bearer *);
bool bearer_look(struct bearer *, struct worker *, bool at_once);
/* Reads the file again, if it is time to or at_once. True when the token is another one than before. One that
 * cannot be read any more is said in the log, and the one from before is used. */
struct slice bearer_field(const struct bearer *);
/* len 0: there is none. */
