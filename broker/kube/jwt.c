/* broker/kube/jwt.c — see jwt.h. A JWT is three runs of base64url between dots; the second is a JSON object.
 */
#include "broker/kube/jwt.h"

#include <jansson.h>
#include <math.h>

#include "broker/kube/base64.h"

enum { EXPIRY_MAX = INT32_MAX /* of seconds ahead of 1970 in thousands of years: any double fits then */ };

/* Between the first two dots; a third means that it is something else (an encrypted one has four). */
static bool find_payload(struct slice token, struct slice *ret_payload)
{
    const char *end = token.data + token.len;
    const char *first = token.len ? memchr(token.data, '.', token.len) : NULL;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return false;
    *ret_payload = slice_of(first + 1, (size_t)(second - first - 1));
    return true;
}

static bool read_expiry(const json_t *claim, int64_t *ret_unix_s)
{
    if (!json_is_number(claim))
        return false;
    double value = json_number_value(claim);
    if (!(value >= 0 && value < (double)EXPIRY_MAX * 1000))
        return false;
    *ret_unix_s = (int64_t)floor(value);
    return true;
}

bool jwt_expiry(struct slice token, int64_t *ret_unix_s)
{
    uint8_t bytes[JWT_PAYLOAD_MAX];
    struct slice payload;
    if (!find_payload(token, &payload))
        return false;
    ssize_t len = base64_decode(BASE64_URL, payload.data, payload.len, bytes, sizeof(bytes));
    json_t *claims = len > 0 ? json_loadb((char *)bytes, (size_t)len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool found = read_expiry(json_object_get(claims, "exp"), ret_unix_s);
    json_decref(claims);
    explicit_bzero(bytes, sizeof(bytes));
    return found;
}
