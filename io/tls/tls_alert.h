/* io/tls/tls_alert.h — TLS alerts (RFC 8446 section 6.2) and what they mean to whoever reads a log. */
#pragma once

#include "io/ending.h"
#include "io/tls/tls.h"

enum {
    ALERT_CLOSE_NOTIFY = 0,
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_BAD_RECORD_MAC = 20,
    ALERT_RECORD_OVERFLOW = 22,
    ALERT_DECODE_ERROR = 50,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_USER_CANCELED = 90,
};

const char *tls_alert_text(int code);
/* Its name, and what it usually says of us. */
enum ending tls_alert_received(struct tls_info *, int code, const char *more);
/* Writes the detail; `more` is put behind it. */
