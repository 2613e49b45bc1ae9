/* broker/http/http1_chunk.c — decoding and encoding the chunked coding.
 *
 * A chunk is: 1*HEXDIG [ ext ] CR LF data CR LF. Line bytes are walked one at a time (there are few of them),
 * data is never looked at: the slice handed out is a piece of the input. Each byte of a line belongs to
 * exactly one state, so a line cut anywhere continues where it stopped.
 *
 * Chunked framing is where request smuggling moved after Content-Length was nailed down: parsers that take
 * "0x5", "5 ", a bare LF after an extension, or two bytes of anything after the data. None of that passes
 * here. Extensions are read over and never forwarded (RFC 9112 section 7.1.1 lets a recipient drop them), and
 * bounded twice, by line and by body.
 */
#include "broker/http/http1_chunk.h"

#include "broker/http/http1_scan.h"

enum { SIZE_DIGITS_MAX = 16 };

static enum http1_chunk_result refuse(struct http1_chunk *c, enum http1_refusal refusal)
{
    c->state = HTTP1_AT_REFUSED;
    c->refusal = refusal;
    return HTTP1_CHUNK_REFUSED;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char l = slice_lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* While in SIZE every byte of the line has been a digit, so `line` counts them. */
static enum http1_chunk_result size_byte(struct http1_chunk *c, char byte)
{
    int digit = hex_value(byte);
    if (digit >= 0) {
        if (c->line == SIZE_DIGITS_MAX || c->left > (uint64_t)INT64_MAX >> 4)
            return refuse(c, HTTP1_CHUNK_SIZE_OVERFLOW);
        c->left = c->left << 4 | (uint64_t)digit;
        c->line++;
        return HTTP1_CHUNK_MORE;
    }
    if (c->line == 0)
        return refuse(c, HTTP1_CHUNK_SIZE_EMPTY);
    if (byte == '\r') {
        c->state = HTTP1_AT_LINE_LF;
    } else if (byte == ';') {
        c->state = HTTP1_AT_EXTENSION;
        c->line++;
        c->extensions++;
    } else {
        return refuse(c, byte == '\n' ? HTTP1_BARE_LF : HTTP1_CHUNK_SIZE_CHAR);
    }
    return HTTP1_CHUNK_MORE;
}

static enum http1_chunk_result extension_byte(struct http1_chunk *c, char byte)
{
    if (byte == '\r') {
        c->state = HTTP1_AT_LINE_LF;
        return HTTP1_CHUNK_MORE;
    }
    if (http1_is_control(byte))
        return refuse(c, byte == '\n' ? HTTP1_BARE_LF : HTTP1_CONTROL);
    if (++c->line > HTTP1_CHUNK_LINE_MAX)
        return refuse(c, HTTP1_CHUNK_LINE_TOO_LONG);
    if (++c->extensions > HTTP1_CHUNK_EXTENSIONS_MAX)
        return refuse(c, HTTP1_CHUNK_EXTENSIONS);
    return HTTP1_CHUNK_MORE;
}

static enum http1_chunk_result line_lf_byte(struct http1_chunk *c, char byte)
{
    if (byte != '\n')
        return refuse(c, HTTP1_BARE_CR);
    c->line = 0;
    c->state = c->left > 0 ? HTTP1_AT_DATA : HTTP1_AT_DONE;
    return c->left > 0 ? HTTP1_CHUNK_MORE : HTTP1_CHUNK_ENDED;
}

static enum http1_chunk_result after_data_byte(struct http1_chunk *c, char byte)
{
    bool is_cr_due = c->state == HTTP1_AT_DATA_CR;
    if (byte != (is_cr_due ? '\r' : '\n'))
        return refuse(c, HTTP1_CHUNK_NO_CRLF);
    c->state = is_cr_due ? HTTP1_AT_DATA_LF : HTTP1_AT_SIZE;
    return HTTP1_CHUNK_MORE;
}

static enum http1_chunk_result line_byte(struct http1_chunk *c, char byte)
{
    switch (c->state) {
    case HTTP1_AT_SIZE: return size_byte(c, byte);
    case HTTP1_AT_EXTENSION: return extension_byte(c, byte);
    case HTTP1_AT_LINE_LF: return line_lf_byte(c, byte);
    case HTTP1_AT_DATA_CR:
    case HTTP1_AT_DATA_LF: return after_data_byte(c, byte);
    case HTTP1_AT_DATA:
    case HTTP1_AT_DONE:
    case HTTP1_AT_REFUSED: break;
    }
    ASSERT(!"a chunk decoder fed after its end");
    return HTTP1_CHUNK_REFUSED;
}

static struct slice take_data(struct http1_chunk *c, const char *data, size_t len)
{
    uint64_t n = len < c->left ? len : c->left;
    n = n < UINT32_MAX ? n : UINT32_MAX;
    c->left -= n;
    if (c->left == 0)
        c->state = HTTP1_AT_DATA_CR;
    return slice_of(data, n);
}

enum http1_chunk_result http1_chunk_feed(struct http1_chunk *c, const char *data, size_t len,
                                         size_t *ret_used, struct slice *ret_payload)
{
    ASSERT(c->state != HTTP1_AT_DONE);
    ASSERT(c->state != HTTP1_AT_REFUSED);
    enum http1_chunk_result result = HTTP1_CHUNK_MORE;
    size_t used = 0;
    while (used < len && result == HTTP1_CHUNK_MORE) {
        if (c->state == HTTP1_AT_DATA) {
            *ret_payload = take_data(c, data + used, len - used);
            used += ret_payload->len;
            result = HTTP1_CHUNK_PAYLOAD;
        } else {
            result = line_byte(c, data[used++]);
        }
    }
    *ret_used = used;
    return result;
}

uint32_t http1_chunk_head(uint64_t len, char ret_head[HTTP1_CHUNK_HEAD_MAX])
{
    ASSERT(len > 0);
    unsigned digits = (67 - (unsigned)__builtin_clzll(len)) / 4;
    for (unsigned i = 0; i < digits; i++)
        ret_head[i] = "0123456789abcdef"[len >> (4 * (digits - 1 - i)) & 15];
    memcpy(ret_head + digits, "\r\n", 2);
    return digits + 2;
}
