/* broker/http/proxy_status.c — see proxy_status.h. A case for each ending, so that the compiler finds a new
 * one.
 */
#include "broker/http/proxy_status.h"

const char *proxy_status_error(enum ending ending)
{
    switch (ending) {
    case ENDING_DONE:
    case ENDING_CANCELLED:
    case ENDING_INTERNAL: return "proxy_internal_error";
    case ENDING_CLIENT_GONE:
    case ENDING_BAD_REQUEST:
    case ENDING_HEAD_TOO_LARGE:
    case ENDING_HEAD_TIMEOUT:
    case ENDING_SLOW_READER: return "http_request_error";
    case ENDING_REFUSED: return "connection_refused";
    case ENDING_UNREACHABLE: return "destination_ip_unroutable";
    case ENDING_FILTERED: return "destination_ip_prohibited";
    case ENDING_NO_SOURCE:
    case ENDING_QUEUE_FULL:
    case ENDING_QUEUE_TIMEOUT:
    case ENDING_LIMIT:
    case ENDING_DESCRIPTORS: return "connection_limit_reached";
    case ENDING_CONNECT_TIMEOUT:
    case ENDING_TLS_TIMEOUT: return "connection_timeout";
    case ENDING_NAME_UNKNOWN: return "dns_error";
    case ENDING_NAME_TIMEOUT: return "dns_timeout";
    case ENDING_TLS_UNTRUSTED:
    case ENDING_TLS_NAME_MISMATCH:
    case ENDING_TLS_EXPIRED:
    case ENDING_HOST_KEY_MISMATCH: return "tls_certificate_error";
    case ENDING_TLS_ALERT: return "tls_alert_received";
    case ENDING_TLS_PROTOCOL: return "tls_protocol_error";
    case ENDING_NOT_ALLOWED:
    case ENDING_NO_ROUTE: return "http_request_denied";
    case ENDING_BREAKER_OPEN:
    case ENDING_NO_AGENT:
    case ENDING_DRAINING: return "destination_unavailable";
    case ENDING_STALE_CONNECTION:
    case ENDING_PEER_RESET:
    case ENDING_PEER_LOST:
    case ENDING_IDLE_TIMEOUT:
    case ENDING_AGENT_LOST:
    case ENDING_AGED: return "connection_terminated";
    case ENDING_TRUNCATED: return "http_response_incomplete";
    case ENDING_BAD_RESPONSE: return "http_protocol_error";
    case ENDING_DEADLINE: return "http_response_timeout";
    }
    ASSERT(!"an ending without a row");
    return "";
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
