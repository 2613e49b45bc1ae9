/* broker/http/proxy_status.h — the Proxy-Status field (RFC 9209): how an answer of the broker's own came
 * about, for programs and for people. HTTP/2 has no reason phrase, and many clients show no body of a refused
 * CONNECT. Pure; any thread.
 */
#pragma once

#include "broker/http/slice.h"
#include "io/ending.h"

#define PROXY_STATUS_MAX 512

const char *proxy_status_error(enum ending);
/* The error type of RFC 9209 section 2.3 that fits; static. */
struct slice proxy_status(enum ending, struct slice details, char room[PROXY_STATUS_MAX]);
/* The field's value: hawser; error=TYPE; details="...". What a quoted string cannot hold becomes '?'; what
 * does not fit is cut. */
