/* broker/kube/token_verdict.h — a TokenReview (authentication.k8s.io/v1) as JSON: the question and what its
 * answer means. What is not said exactly is a refusal. Pure; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/http/slice.h"
#include "broker/kube/token_cache.h"

struct kube_answer;

struct token_review_options {
    const char *audience;
    const char *namespace, *service_account; /* who a good token must belong to */
};

enum token_verdict {
    TOKEN_IS_GOOD,
    TOKEN_IS_REFUSED,
    TOKEN_IS_UNKNOWN, /* the API server could not be asked */
};

char *token_review_body(const struct token_review_options *, struct slice token, size_t *ret_len,
                        struct slice *ret_token);
/* malloc'd, with the token where *ret_token says: a secret to be wiped. The token must be a valid one. NULL:
 * out of memory. */
enum token_verdict token_review_judge(const struct token_review_options *, const struct kube_answer *,
                                      char why[TOKEN_WHY_MAX]);
/* why: one line, unless it is good. */
