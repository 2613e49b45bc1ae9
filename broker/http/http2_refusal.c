/* broker/http/http2_refusal.c — the table of refusals, readable at run time. The rows stand in the header. */
#include "broker/http/http2_refusal.h"

#include "io/attributes.h"

static const struct {
    const char *name, *text;
    uint16_t status;
} refusals[] = {
#define HTTP2_REFUSAL_ROW(symbol, code, what) [HTTP2_##symbol] = {#symbol, what, code},
    HTTP2_REFUSALS(HTTP2_REFUSAL_ROW)
#undef HTTP2_REFUSAL_ROW
};

const char *http2_refusal_name(enum http2_refusal refusal)
{
    ASSERT(refusal < ARRAY_SIZE(refusals));
    return refusals[refusal].name;
}

const char *http2_refusal_text(enum http2_refusal refusal)
{
    ASSERT(refusal < ARRAY_SIZE(refusals));
    return refusals[refusal].text;
}

uint16_t http2_refusal_status(enum http2_refusal refusal)
{
    ASSERT(refusal < ARRAY_SIZE(refusals));
    return refusals[refusal].status;
}
