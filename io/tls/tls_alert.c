/* io/tls/tls_alert.c — see tls_alert.h. */
#include "io/tls/tls_alert.h"

#include <stdio.h>

#include "io/attributes.h"

const char *tls_alert_text(int code)
{
    static const struct {
        int code;
        const char *text;
    } alerts[] = {
        {10,  "unexpected_message"                                      },
        {20,  "bad_record_mac"                                          },
        {22,  "record_overflow"                                         },
        {40,  "handshake_failure"                                       },
        {42,  "bad_certificate (it does not accept our certificate)"    },
        {43,  "unsupported_certificate"                                 },
        {44,  "certificate_revoked"                                     },
        {45,  "certificate_expired (our certificate)"                   },
        {46,  "certificate_unknown (it does not accept our certificate)"},
        {47,  "illegal_parameter"                                       },
        {48,  "unknown_ca (it does not trust the CA of our certificate)"},
        {49,  "access_denied"                                           },
        {50,  "decode_error"                                            },
        {51,  "decrypt_error"                                           },
        {70,  "protocol_version"                                        },
        {71,  "insufficient_security"                                   },
        {80,  "internal_error"                                          },
        {86,  "inappropriate_fallback"                                  },
        {90,  "user_canceled"                                           },
        {109, "missing_extension"                                       },
        {110, "unsupported_extension"                                   },
        {112, "unrecognized_name"                                       },
        {116, "certificate_required (it wants a client certificate)"    },
        {120, "no_application_protocol"                                 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(alerts); i++)
        if (alerts[i].code == code)
            return alerts[i].text;
    return "unknown alert";
}

enum ending tls_alert_received(struct tls_info *info, int code, const char *more)
{
    snprintf(info->detail, sizeof(info->detail), "alert %d %s%s", code, tls_alert_text(code), more);
    return ENDING_TLS_ALERT;
}
