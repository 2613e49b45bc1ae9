/* broker/kube/token_review.h — is this token that of the agents' service account? Asked of the API server by
 * TokenReview (authentication.k8s.io/v1), as `agents.tokenReview` says.
 *
 * Any worker asks and is answered on its own; the answers are kept at one worker, the API's home, by the
 * SHA-256 of the token: good ones until the token expires, TOKEN_GOOD_MS at most, refused ones for
 * TOKEN_REFUSED_MS; failures to ask are not kept. One TokenReview is under way for a token, whoever asks for
 * it. Tokens are never logged.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/http/slice.h"
#include "io/worker.h"

struct broker_worker;
struct kube;
struct token_ask;
struct token_review_options;
struct token_reviews;

enum {
    TOKEN_BYTES_MAX = 16 * 1024,             /* a bound token has about 1.2 KiB; a guess for many audiences */
    TOKEN_ANSWER_MS = 10000,                 /* contracts.md section 6: a client gives up after ten seconds */
    TOKEN_REVIEW_MS = TOKEN_ANSWER_MS - 500, /* of it, for the API server */
    TOKEN_GOOD_MS = 60000, /* how long a revoked token or a deleted account is still taken */
    TOKEN_REFUSED_MS = 10000,
    TOKEN_GOOD_MAX = 4096, /* kept: more agents than a cluster has with one broker */
    TOKEN_REFUSED_MAX = 1024,
    TOKEN_PENDING_MAX = 1024, /* TokenReviews that wait or are under way */
    TOKEN_ASKS_MAX = 4096,    /* unanswered, of each worker */
    TOKEN_WAITS_MAX = 16384,  /* of all workers, at the home */
};

/* Embedded by whoever asks, zeroed before its first use. */
struct token_check {
    void (*answered)(struct token_check *, bool authenticated, const char *why);
    /* why: one line for people and logs when it is not; lent, never secret. NULL when it is. */
    void *owner;
    struct token_ask *ask; /* token_review.c's, as everything below */
    struct task refusal;
    const char *refusal_text;
};

void token_review_check(struct broker_worker *, struct token_check *, struct slice token);
/* Answers once, as an event (never from inside this call), within TOKEN_ANSWER_MS. Not while it is pending.
 * Only where the configuration has agents.tokenReview (asserted). */
void token_review_cancel(struct token_check *);
/* No answer will come. Harmless when none is due. */

/* What is below is for kube.c and the broker's own start and end. */
MUST_USE int token_reviews_new(struct kube *, const struct token_review_options *,
                               struct token_reviews **ret);
/* 0 or -ENOMEM. */
void token_reviews_free(struct token_reviews **);
void token_reviews_drain(struct token_reviews *);
/* Answers what waits, and begins nothing any more. */
void token_asks_init(struct broker_worker *);
/* Of each worker, before the first turn. */
