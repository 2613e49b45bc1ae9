/* broker/http/http1_chunk.h — the chunked coding, both ways (RFC 9112 section 7.1).
 * The decoder is a few words of state fed with whatever bytes there are; payload comes back as slices into
 * them. It stops after the last-chunk line; the trailer section that follows is a head's job,
 * http1_parse_trailers(). Owner only, no allocation.
 */
#pragma once

#include "broker/http/http1_refusal.h"
#include "broker/http/slice.h"

/* A chunk line is a few digits; extensions are unused in the field. 256 is generous, and Go and nginx bound
 * them too after they were abused to make bodies of nothing but overhead (CVE-2023-39326). */
#define HTTP1_CHUNK_LINE_MAX 256
/* Extension bytes of one whole body: the same abuse, spread over many chunks. A guess. */
#define HTTP1_CHUNK_EXTENSIONS_MAX (16 * 1024)
/* 16 digits and CR LF: what http1_chunk_head() writes at most. */
#define HTTP1_CHUNK_HEAD_MAX 18

/* After the data of each chunk; after the last chunk when there are no trailers. */
#define HTTP1_CHUNK_TAIL SLICE("\r\n")
#define HTTP1_CHUNK_END  SLICE("0\r\n\r\n")

enum http1_chunk_state {
    HTTP1_AT_SIZE, /* must stay first: a zeroed decoder is ready */
    HTTP1_AT_EXTENSION,
    HTTP1_AT_LINE_LF,
    HTTP1_AT_DATA,
    HTTP1_AT_DATA_CR,
    HTTP1_AT_DATA_LF,
    HTTP1_AT_DONE,
    HTTP1_AT_REFUSED,
};

enum http1_chunk_result {
    HTTP1_CHUNK_MORE,    /* all input used, the body goes on */
    HTTP1_CHUNK_PAYLOAD, /* *ret_payload has the next bytes of the body; feed the rest of the input again */
    HTTP1_CHUNK_ENDED,   /* the last chunk's line is used up; trailers follow */
    HTTP1_CHUNK_REFUSED, /* see `refusal`; the connection is of no further use */
};

/* Zero it before a body's first byte. Embedded in its owner, hence public. */
struct http1_chunk {
    enum http1_chunk_state state;
    enum http1_refusal refusal;
    uint64_t left;       /* SIZE: value so far; DATA: bytes to come */
    uint32_t line;       /* bytes of this chunk line */
    uint32_t extensions; /* extension bytes of this body */
};

MUST_USE enum http1_chunk_result http1_chunk_feed(struct http1_chunk *, const char *data, size_t len,
                                                  size_t *ret_used, struct slice *ret_payload);
/* Uses some bytes and says how many. PAYLOAD is never empty and at most UINT32_MAX bytes; it points into
 * data. With any other result *ret_payload is untouched. Refused: signs, "0x", spaces, more than 16 digits,
 * 2^63 and more, bare CR or LF, control characters. Extensions are skipped. After ENDED or REFUSED it may not
 * be fed again (asserted). */
uint32_t http1_chunk_head(uint64_t len, char ret_head[HTTP1_CHUNK_HEAD_MAX]);
/* Writes the line before a chunk of len bytes, len > 0 (asserted: zero would end the body). Returns its
 * length. */
