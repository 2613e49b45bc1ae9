/* io/ending.h — why a connection, exchange, tunnel or dial ended: the one table of the whole program.
 *
 * Logs, metrics, reason phrases and error answers print from it. A row: symbol, HTTP status where one is owed
 * (0: none), whose doing it was, text for people. The kernel's and the TLS library's codes are translated
 * into these at this floor and nowhere else.
 */
#pragma once

#include <stdbool.h>

#define ENDINGS(X)                                                                                           \
    X(DONE, done, 0, NOBODY, "complete")                                                                     \
    X(CLIENT_GONE, client_gone, 0, CLIENT, "the client closed its connection")                               \
    X(REFUSED, refused, 502, BACKEND, "connection refused by the destination")                               \
    X(UNREACHABLE, unreachable, 502, BACKEND, "destination unreachable")                                     \
    X(FILTERED, filtered, 502, BACKEND, "connecting is forbidden by a firewall, route or sandbox rule here") \
    X(NO_SOURCE, no_source, 503, HAWSER, "no source port or address is left for the destination")            \
    X(CONNECT_TIMEOUT, connect_timeout, 504, BACKEND, "connecting to the destination timed out")             \
    X(NAME_UNKNOWN, name_unknown, 502, BACKEND, "destination name does not resolve")                         \
    X(NAME_TIMEOUT, name_timeout, 504, BACKEND, "resolving the destination name timed out")                  \
    X(TLS_TIMEOUT, tls_timeout, 504, BACKEND, "TLS handshake timed out")                                     \
    X(TLS_UNTRUSTED, tls_untrusted, 502, BACKEND, "certificate is not signed by a trusted CA")               \
    X(TLS_NAME_MISMATCH, tls_name_mismatch, 502, BACKEND, "certificate does not name the destination")       \
    X(TLS_EXPIRED, tls_expired, 502, BACKEND, "certificate is expired or not yet valid")                     \
    X(TLS_ALERT, tls_alert, 502, BACKEND, "TLS alert from the destination")                                  \
    X(TLS_PROTOCOL, tls_protocol, 502, BACKEND, "TLS protocol error")                                        \
    X(NOT_ALLOWED, not_allowed, 403, CLIENT, "not allowed by policy")                                        \
    X(NO_ROUTE, no_route, 403, CLIENT, "no route matches the destination")                                   \
    X(BREAKER_OPEN, breaker_open, 503, BACKEND, "destination is failing, not tried again yet")               \
    X(QUEUE_FULL, queue_full, 503, HAWSER, "too many requests are waiting for the destination")              \
    X(QUEUE_TIMEOUT, queue_timeout, 503, HAWSER, "no connection to the destination became free in time")     \
    X(LIMIT, limit, 503, HAWSER, "a limit of the broker is reached")                                         \
    X(DESCRIPTORS, descriptors, 503, HAWSER, "the broker is out of file descriptors")                        \
    X(STALE_CONNECTION, stale_connection, 502, BACKEND, "a reused connection was closed by the destination") \
    X(PEER_RESET, peer_reset, 502, BACKEND, "connection reset by the destination")                           \
    X(PEER_LOST, peer_lost, 502, BACKEND, "the destination stopped answering, the connection is lost")       \
    X(TRUNCATED, truncated, 502, BACKEND, "the destination closed before its message was complete")          \
    X(BAD_REQUEST, bad_request, 400, CLIENT, "malformed request")                                            \
    X(BAD_RESPONSE, bad_response, 502, BACKEND, "malformed response from the destination")                   \
    X(HEAD_TOO_LARGE, head_too_large, 431, CLIENT, "message head is too large")                              \
    X(HEAD_TIMEOUT, head_timeout, 408, CLIENT, "request head was not complete in time")                      \
    X(IDLE_TIMEOUT, idle_timeout, 0, NOBODY, "idle for too long")                                            \
    X(DEADLINE, deadline, 504, BACKEND, "no answer from the destination in time")                            \
    X(SLOW_READER, slow_reader, 0, CLIENT, "the client read too slowly")                                     \
    X(DRAINING, draining, 503, HAWSER, "the broker is shutting down")                                        \
    X(NO_AGENT, no_agent, 503, HAWSER, "no agent is connected that could carry the connection")              \
    X(AGENT_LOST, agent_lost, 502, BACKEND, "the agent that carried the connection is gone")                 \
    X(HOST_KEY_MISMATCH, host_key_mismatch, 502, BACKEND, "SSH host key is not the expected one")            \
    X(AGED, aged, 0, HAWSER, "reached its maximum age")                                                      \
    X(CANCELLED, cancelled, 0, HAWSER, "no longer needed")                                                   \
    X(INTERNAL, internal, 500, HAWSER, "internal error")

enum ending {
#define X(symbol, name, status, whose, text) ENDING_##symbol,
    ENDINGS(X)
#undef X
};
#define X(symbol, name, status, whose, text) +1
enum { ENDING_COUNT = 0 ENDINGS(X) };
#undef X

enum ending_whose { ENDING_BY_NOBODY, ENDING_BY_CLIENT, ENDING_BY_BACKEND, ENDING_BY_HAWSER };

const char *ending_name(enum ending);
/* snake_case symbol for logs and metric labels. Any thread. */
const char *ending_text(enum ending);
/* One clause for people. Any thread. */
int ending_status(enum ending);
/* HTTP status an exchange that ends so before its final head is owed; 0: no answer is owed. */
enum ending_whose ending_whose(enum ending);

enum ending ending_from_errno(int err, bool dialling);
/* Translates a socket's errno (positive). While dialling ETIMEDOUT is CONNECT_TIMEOUT, afterwards PEER_LOST:
 * keepalive or TCP_USER_TIMEOUT gave up. */
