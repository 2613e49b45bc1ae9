/* test/support/http2_frames.h — types and flags of HTTP/2's frames (RFC 9113, section 6), for peers made by
 * hand. */
#pragma once

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
    TYPES
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };
