/* broker/http/proxy_status.c — see proxy_status.h. One row for each ending, so that a new one is not
 * forgotten. */
#include "broker/http/proxy_status.h"

static const char *const errors[ENDING_COUNT] = {
    [ENDING_DONE] = "proxy_internal_error",
    [ENDING_CLIENT_GONE] = "http_request_error",
    [ENDING_REFUSED] = "connection_refused",
    [ENDING_UNREACHABLE] = "destination_ip_unroutable",
    [ENDING_CONNECT_TIMEOUT] = "connection_timeout",
    [ENDING_NAME_UNKNOWN] = "dns_error",
    [ENDING_NAME_TIMEOUT] = "dns_timeout",
    [ENDING_TLS_TIMEOUT] = "connection_timeout",
    [ENDING_TLS_UNTRUSTED] = "tls_certificate_error",
    [ENDING_TLS_NAME_MISMATCH] = "tls_certificate_error",
    [ENDING_TLS_EXPIRED] = "tls_certificate_error",
    [ENDING_TLS_ALERT] = "tls_alert_received",
    [ENDING_TLS_PROTOCOL] = "tls_protocol_error",
    [ENDING_NOT_ALLOWED] = "http_request_denied",
    [ENDING_NO_ROUTE] = "http_request_denied",
    [ENDING_BREAKER_OPEN] = "destination_unavailable",
    [ENDING_QUEUE_FULL] = "connection_limit_reached",
    [ENDING_QUEUE_TIMEOUT] = "connection_limit_reached",
    [ENDING_LIMIT] = "connection_limit_reached",
    [ENDING_STALE_CONNECTION] = "connection_terminated",
    [ENDING_PEER_RESET] = "connection_terminated",
    [ENDING_TRUNCATED] = "http_response_incomplete",
    [ENDING_BAD_REQUEST] = "http_request_error",
    [ENDING_BAD_RESPONSE] = "http_protocol_error",
    [ENDING_HEAD_TOO_LARGE] = "http_request_error",
    [ENDING_HEAD_TIMEOUT] = "http_request_error",
    [ENDING_IDLE_TIMEOUT] = "connection_terminated",
    [ENDING_DEADLINE] = "http_response_timeout",
    [ENDING_SLOW_READER] = "http_request_error",
    [ENDING_DRAINING] = "destination_unavailable",
    [ENDING_AGENT_LOST] = "connection_terminated",
    [ENDING_HOST_KEY_MISMATCH] = "tls_certificate_error",
    [ENDING_AGED] = "connection_terminated",
    [ENDING_CANCELLED] = "proxy_internal_error",
    [ENDING_INTERNAL] = "proxy_internal_error",
};

const char *proxy_status_error(enum ending ending)
{
    ASSERT((unsigned)ending < ENDING_COUNT);
    return errors[ending] ? errors[ending] : "proxy_internal_error";
}

static void put(char *room, uint32_t *at, struct slice s)
{
    ASSERT(*at + s.len <= PROXY_STATUS_MAX);
    memcpy(room + *at, s.data, s.len);
    *at += s.len;
}

/* RFC 8941 section 3.3.3: printable ASCII, with '"' and '\' escaped. */
static void put_quoted(char *room, uint32_t *at, struct slice s)
{
    put(room, at, SLICE("\""));
    for (uint32_t i = 0; i < s.len && *at + 3 <= PROXY_STATUS_MAX; i++) {
        char c = s.data[i];
        if (c == '"' || c == '\\')
            put(room, at, SLICE("\\"));
        else if (c < 0x20 || c > 0x7e)
            c = '?';
        room[(*at)++] = c;
    }
    put(room, at, SLICE("\""));
}

struct slice proxy_status(enum ending ending, struct slice details, char room[PROXY_STATUS_MAX])
{
    uint32_t at = 0;
    put(room, &at, SLICE("hawser; error="));
    put(room, &at, slice_of_text(proxy_status_error(ending)));
    if (details.len > 0) {
        put(room, &at, SLICE("; details="));
        put_quoted(room, &at, details);
    }
    return slice_of(room, at);
}
