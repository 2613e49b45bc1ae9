/* broker/kube/lease_name.h — names and labels as they go into objects and paths of the API. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "io/attributes.h"

enum {
    LEASE_SPACE_MAX = 63,  /* of a namespace: RFC 1123 label */
    LEASE_LABEL_MAX = 200, /* of all labels together; a guess that leaves room for them in a path */
};

bool lease_name_is_valid(const char *name);
/* RFC 1123 subdomain: what an object's name may be, and so what may stand in a path. */
json_t *lease_labels(const char *text);
/* An object of "name=value,name=value"; NULL: it is none, or out of memory. */
size_t lease_query_encode(const char *text, char *ret, size_t size);
/* As a query's value (RFC 3986 section 2.1). Its length; what is `size` or more was cut. */
