/* broker/http/http1_refusal.c — the table of refusals, readable at run time.
 *
 * There is nothing to decide here: the rows stand in the header, so that whoever reads the parser sees symbol
 * and text in one place. Texts are clauses without a full stop; they end up in reason phrases, bodies and
 * logs.
 */
#include "broker/http/http1_refusal.h"

#include "io/attributes.h"

static const struct {
    const char *name, *text;
    uint16_t status;
} refusals[] = {
#define HTTP1_REFUSAL_ROW(symbol, code, what) [HTTP1_##symbol] = {#symbol, what, code},
    HTTP1_REFUSALS(HTTP1_REFUSAL_ROW)
#undef HTTP1_REFUSAL_ROW
};
_Static_assert(ARRAY_SIZE(refusals) == HTTP1_REFUSAL_COUNT, "one row for each refusal");

const char *http1_refusal_name(enum http1_refusal refusal)
{
    ASSERT(refusal < ARRAY_SIZE(refusals));
    return refusals[refusal].name;
}

const char *http1_refusal_text(enum http1_refusal refusal)
{
    ASSERT(refusal < ARRAY_SIZE(refusals));
    return refusals[refusal].text;
}

uint16_t http1_refusal_status(enum http1_refusal refusal)
{
    ASSERT(refusal < ARRAY_SIZE(refusals));
    return refusals[refusal].status;
}
