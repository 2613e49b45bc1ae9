/* broker/kube/base64.h — base64 as kubeconfigs and JWTs have it (RFC 4648 sections 4 and 5). Pure; any
 * thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/attributes.h"

enum base64_alphabet {
    BASE64,     /* "+/", padded; white space does not count */
    BASE64_URL, /* "-_", not padded (RFC 7515 section 2) */
};

#define BASE64_BYTES(text_len) ((text_len) / 4 * 3 + 3)

MUST_USE ssize_t base64_decode(enum base64_alphabet, const char *text, size_t len, uint8_t *ret, size_t cap);
/* How many bytes; -1: not base64, or more than cap. BASE64_BYTES(len) is always enough. Bits that are left
 * over must be zero, so that one value has one spelling. */
