/* test/unit/kube_token_texts.h — tokens and what the API server says of them, for the unit tests of
 * either. Header-only because each unit test is one file. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "broker/kube/token_verdict.h"

static const struct token_review_options kube_token_options = {"system:konnectivity-server", "kube-system",
                                                               "konnectivity-agent"};
#define STATUS(inner)                                                                                        \
    "{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v1\",\"status\":{" inner "}}"
#define USER(name) "\"user\":{\"username\":\"" name "\"}"
#define AGENT      "system:serviceaccount:kube-system:konnectivity-agent"
#define GOOD       STATUS("\"authenticated\":true," USER(AGENT) ",\"audiences\":[\"system:konnectivity-server\"]")
#define BAD        STATUS("\"user\":{},\"error\":\"[invalid bearer token]\"")

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* A token with this payload: "h.PAYLOAD.s". */
static inline const char *kube_token_jwt(const char *payload, char *ret, size_t size)
{
    size_t len = strlen(payload), n = 0;
    n += (size_t)snprintf(ret, size, "h.");
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < len ? (uint8_t)payload[i + k] : 0u);
        for (size_t k = 0; k < 4 && i + k <= len; k++)
            ret[n++] = digits[bits >> (18 - 6 * k) & 63];
    }
    snprintf(ret + n, size - n, ".s");
    return ret;
}
