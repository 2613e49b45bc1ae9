/* broker/kube/jwt.h — until when a token says that it is good. Nothing else of it is believed, and its
 * signature is not looked at: it is the API server that judges tokens, and only those it has accepted are
 * read here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/http/slice.h"

enum { JWT_PAYLOAD_MAX = 16 * 1024 };

bool jwt_expiry(struct slice token, int64_t *ret_unix_s);
/* The claim `exp` (RFC 7519 section 4.1.4), its fraction cut off. False: no JWT, or without the claim. */
