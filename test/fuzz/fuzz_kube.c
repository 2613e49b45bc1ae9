/* test/fuzz/fuzz_kube.c — libFuzzer target: what the Kubernetes API answers, and the tokens that agents
 * bring.
 *
 * The first byte says what the rest is: a token, an answer to a TokenReview, a list of Leases, a time,
 * base64, or a kubeconfig's server. Must hold: all that is read lies inside the input (the sanitizers see to
 * that); what is read again is read as the same; a token is only good if the answer says so of our account;
 * and no line that is said of an answer has control characters.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kube/base64.h"
#include "broker/kube/credentials.h"
#include "broker/kube/jwt.h"
#include "broker/kube/kube.h"
#include "broker/kube/lease_name.h"
#include "broker/kube/lease_time.h"
#include "broker/kube/leases.h"
#include "broker/kube/token_verdict.h"
#include "test/fuzz/fuzz.h"

static void must(bool held)
{
    if (!held)
        abort();
}

static void must_be_a_line(const char *text)
{
    for (; *text; text++)
        must((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void token(const char *text, size_t len)
{
    int64_t expiry = -1;
    bool valid = kube_token_is_valid(text, len);
    must(!valid || (len > 0 && len <= KUBE_TOKEN_MAX && !memchr(text, '"', len) && !memchr(text, '\0', len)));
    if (jwt_expiry(slice_of(text, len), &expiry))
        must(expiry >= 0);
    else
        must(expiry == -1);
}

/* The verdict once more, by what jansson finds at the same places. */
static bool says_so(const char *body, size_t len)
{
    const char *kind = NULL, *name = NULL;
    int good = 0;
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    bool is = root && json_unpack(root, "{s:s,s:{s:b,s:{s:s}}}", "kind", &kind, "status", "authenticated",
                                  &good, "user", "username", &name) == 0;
    is = is && good && strcmp(kind, "TokenReview") == 0 && strcmp(name, "system:serviceaccount:n:a") == 0;
    json_decref(root);
    return is;
}

static void review(const char *body, size_t len)
{
    static const struct token_review_options options = {"audience", "n", "a"};
    char why[TOKEN_WHY_MAX], text[64];
    struct kube_answer a = {.ending = ENDING_DONE, .status = 201, .body = body, .len = len, .detail = ""};
    enum token_verdict verdict = token_review_judge(&options, &a, why);
    must(verdict != TOKEN_IS_GOOD || says_so(body, len));
    must((verdict == TOKEN_IS_GOOD) == (why[0] == '\0'));
    must_be_a_line(why);
    must_be_a_line(kube_status_text(body, len, "message", text, sizeof(text)));
}

static void leases(const char *body, size_t len)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *items = json_object_get(root, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *lease = json_array_get(items, i);
        const char *name = json_string_value(json_object_get(json_object_get(lease, "metadata"), "name"));
        must(!lease_is_valid(lease, INT64_MAX / 4)); /* nothing lasts for so long */
        if (name && lease_name_is_valid(name))
            must(!strpbrk(name, "/?#%\\ ") && !strstr(name, "..") && strlen(name) <= 253);
    }
    json_decref(root);
}

static void when(const char *text)
{
    char again[LEASE_TIME_BYTES];
    int64_t us, same;
    if (!lease_time_parse(text, &us) || us < 0)
        return;
    must(lease_time_parse(lease_time_format(us, again), &same) && same == us);
}

static void base64(const char *text, size_t len)
{
    uint8_t *bytes = malloc(BASE64_BYTES(len));
    must(bytes);
    ssize_t n = base64_decode(BASE64, text, len, bytes, BASE64_BYTES(len));
    must(n <= (ssize_t)(len / 4 * 3));
    n = base64_decode(BASE64_URL, text, len, bytes, BASE64_BYTES(len));
    must(n < 0 || (size_t)n == len * 3 / 4);
    must(n <= 0 || base64_decode(BASE64_URL, text, len, bytes, (size_t)n - 1) == -1);
    free(bytes);
}

static void server(const char *url)
{
    struct kube_credentials c = {.port = 0};
    if (kube_credentials_set_server(&c, url))
        return;
    must(c.host[0] && c.port > 0 && strlen(c.host) < sizeof(c.host));
    must_be_a_line(c.host);
    must_be_a_line(c.prefix);
    must(!c.prefix[0] || c.prefix[0] == '/');
    json_t *labels = lease_labels(url);
    json_decref(labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t len = size - 1;
    char *text = malloc(len + 1);
    must(text);
    memcpy(text, data + 1, len);
    text[len] = '\0';
    switch (data[0]) {
    case 't': token(text, len); break;
    case 'r': review(text, len); break;
    case 'l': leases(text, len); break;
    case 'w': when(text); break;
    case 'b': base64(text, len); break;
    case 's': server(text); break;
    default: break; /* nothing else is meant */
    }
    free(text);
    return 0;
}
