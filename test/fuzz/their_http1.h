/* test/fuzz/their_http1.h — http_parser 2.9's reading of one HTTP/1 message, in neutral types.
 * It stands apart because its header and ours both define enum http_method. Single thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum their_body { THEIR_BODY_FOLLOWS, THEIR_BODY_NONE, THEIR_TUNNEL };

struct their_message {
    const char *error; /* NULL when it accepted everything it was given */
    const char *method;
    char *url, *body; /* freed by their_message_fini() */
    size_t url_len, body_len;
    size_t used;     /* bytes up to the end of the message, if it is complete */
    uint64_t length; /* UINT64_MAX without Content-Length */
    unsigned status, major, minor;
    unsigned fields_n; /* trailers included */
    bool chunked, upgrade, keep_alive, until_close;
    bool head_complete, message_complete;
};

void their_message_parse(bool is_request, enum their_body, const char *data, size_t len,
                         struct their_message *ret);
/* their_body: what its owner tells http_parser about the body, for responses to HEAD and CONNECT. */
void their_message_fini(struct their_message *);
