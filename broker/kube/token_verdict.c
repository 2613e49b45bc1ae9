/* broker/kube/token_verdict.c — see token_verdict.h. */
#include "broker/kube/token_verdict.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kube/kube.h"

/* -- question
 * -------------------------------------------------------------------------------------------------
 */

/* Written by hand: jansson would keep copies of the token that nobody wipes. A token needs no escapes. */
char *token_review_body(const struct token_review_options *o, struct slice token, size_t *ret_len,
                        struct slice *ret_token)
{
    static const char format[] = "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\","
                                 "\"spec\":{\"audiences\":[%s],\"token\":\"";
    json_t *text = json_string(o->audience);
    char *audience = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    json_decref(text);
    size_t size = audience ? sizeof(format) + strlen(audience) + token.len + sizeof("\"}}") : 0;
    char *body = size ? malloc(size) : NULL;
    if (body) {
        size_t at = (size_t)snprintf(body, size, format, audience);
        *ret_token = slice_of(body + at, token.len);
        *ret_len = at + (size_t)snprintf(body + at, size - at, "%.*s\"}}", (int)token.len, token.data);
    }
    free(audience);
    return body;
}

/* -- answer
 * ---------------------------------------------------------------------------------------------------
 */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static enum token_verdict say(char why[TOKEN_WHY_MAX], enum token_verdict verdict, const char *text,
                              const char *more)
{
    snprintf(why, TOKEN_WHY_MAX, "%s%.120s", text, more);
    for (char *at = why; *at; at++) /* it came from outside, and goes into lines and headers */
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
            *at = '?';
    return verdict;
}

static bool is_account(const struct token_review_options *o, const char *name)
{
    static const char prefix[] = "system:serviceaccount:";
    size_t space = strlen(o->namespace);
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    name += strlen(prefix);
    return strncmp(name, o->namespace, space) == 0 && name[space] == ':' &&
           strcmp(name + space + 1, o->service_account) == 0;
}

/* Authenticators that know nothing of audiences return none (the field's own documentation). */
static bool has_audience(const struct token_review_options *o, const json_t *audiences)
{
    size_t count = json_array_size(audiences);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(audiences, i));
        if (text && strcmp(text, o->audience) == 0)
            return true;
    }
    return count == 0 && (!audiences || json_is_array(audiences) || json_is_null(audiences));
}

static enum token_verdict judge_status(const struct token_review_options *o, const json_t *status,
                                       char why[TOKEN_WHY_MAX])
{
    const char *error = text_of(status, "error"),
               *name = text_of(json_object_get(status, "user"), "username");
    if (error[0])
        return say(why, TOKEN_IS_REFUSED, "the API server does not accept the token: ", error);
    if (!json_is_true(json_object_get(status, "authenticated")))
        return say(why, TOKEN_IS_REFUSED, "the API server does not accept the token", "");
    if (!is_account(o, name))
        return say(why, TOKEN_IS_REFUSED, "the token belongs to somebody else: ", name[0] ? name : "nobody");
    if (!has_audience(o, json_object_get(status, "audiences")))
        return say(why, TOKEN_IS_REFUSED, "the token is not meant for the audience ", o->audience);
    return TOKEN_IS_GOOD;
}

enum token_verdict token_review_judge(const struct token_review_options *o, const struct kube_answer *a,
                                      char why[TOKEN_WHY_MAX])
{
    why[0] = '\0';
    if (a->ending != ENDING_DONE)
        return say(why, TOKEN_IS_UNKNOWN, "the API server could not be asked: ", a->detail);
    if (a->status != 200 && a->status != 201)
        return say(why, TOKEN_IS_UNKNOWN, "the API server did not review the token: ", a->detail);
    json_t *review = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *status = json_object_get(review, "status");
    enum token_verdict verdict;
    if (strcmp(text_of(review, "kind"), "TokenReview") == 0 && json_is_object(status))
        verdict = judge_status(o, status, why);
    else
        verdict = say(why, TOKEN_IS_UNKNOWN, "the API server answered with what is no TokenReview", "");
    json_decref(review);
    return verdict;
}
