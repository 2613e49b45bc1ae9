/* test/sim/sim_http.c — see sim_http.h. */
#include "sim_http.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void sim_bytes_put(struct sim_bytes *b, const void *bytes, size_t len)
{
    if (b->at == b->len)
        b->at = b->len = 0;
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->mem = realloc(b->mem, b->cap);
        ASSERT(b->mem != NULL);
    }
    if (len > 0)
        memcpy(b->mem + b->len, bytes, len);
    b->len += len;
}

void sim_bytes_print(struct sim_bytes *b, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    ASSERT(len >= 0 && (size_t)len < sizeof(text));
    sim_bytes_put(b, text, (size_t)len);
}

void sim_bytes_take(struct sim_bytes *b, size_t len)
{
    ASSERT(len <= b->len - b->at);
    b->at += len;
}

void sim_bytes_fini(struct sim_bytes *b)
{
    free(b->mem);
    *b = (struct sim_bytes){0};
}

void http_reader_begin(struct http_reader *r, bool response, bool no_body)
{
    *r = (struct http_reader){.response = response,
                              .no_body = no_body,
                              .first_line = true,
                              .owner = r->owner,
                              .on_head = r->on_head,
                              .on_body = r->on_body};
}

bool http_reader_is_fresh(const struct http_reader *r)
{
    return r->part == PART_HEAD && r->first_line && r->line_len == 0;
}

static void bad(struct http_reader *r, const char *complaint)
{
    r->part = PART_BAD;
    snprintf(r->complaint, sizeof(r->complaint), "%s: \"%.80s\"", complaint, r->line);
}

static void read_first_line(struct http_reader *r)
{
    int end = 0;
    if (r->response) {
        if (sscanf(r->line, "HTTP/1.1 %3u %n", &r->status, &end) != 1 || end < 12 || r->status < 100)
            bad(r, "status line");
        else
            snprintf(r->reason, sizeof(r->reason), "%.120s", r->line + end);
    } else if (sscanf(r->line, "%15s %127s HTTP/1.1%n", r->method, r->target, &end) != 2 ||
               end != (int)r->line_len) {
        bad(r, "request line");
    }
}

static void read_length(struct http_reader *r, const char *value)
{
    char *end;
    if (r->has_length || *value < '0' || *value > '9') {
        bad(r, "content-length");
        return;
    }
    r->left = strtoull(value, &end, 10);
    r->has_length = true;
    if (*end != '\0')
        bad(r, "content-length");
}

static void read_connection(struct http_reader *r, const char *value)
{
    r->close = strcasestr(value, "close") != NULL;
    r->option_upgrade = strcasestr(value, "upgrade") != NULL;
}

static void read_field(struct http_reader *r)
{
    char *colon = strchr(r->line, ':');
    if (!colon || colon == r->line || colon[-1] == ' ' || r->line[0] == ' ' || r->line[0] == '\t') {
        bad(r, "field");
        return;
    }
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    size_t name = (size_t)(colon - r->line);
    if (name == 14 && strncasecmp(r->line, "content-length", name) == 0)
        read_length(r, value);
    else if (name == 17 && strncasecmp(r->line, "transfer-encoding", name) == 0)
        r->chunked = strcasecmp(value, "chunked") == 0;
    else if (name == 10 && strncasecmp(r->line, "connection", name) == 0)
        read_connection(r, value);
    else if (name == 4 && strncasecmp(r->line, "host", name) == 0)
        snprintf(r->host, sizeof(r->host), "%.120s", value);
    else if (name == 7 && strncasecmp(r->line, "upgrade", name) == 0)
        snprintf(r->upgrade, sizeof(r->upgrade), "%.120s", value);
    else if (name == 4 && strncasecmp(r->line, "x-id", name) == 0)
        r->has_id = sscanf(value, "%" SCNu32, &r->id) == 1;
}

static void end_of_head(struct http_reader *r)
{
    bool bodiless = r->response && (r->no_body || r->status < 200 || r->status == 204 || r->status == 304 ||
                                    (r->connect && r->status < 300));
    if (r->chunked && r->has_length)
        bad(r, "two framings");
    else if (bodiless)
        r->part = PART_DONE;
    else if (r->chunked)
        r->part = PART_CHUNK_SIZE;
    else if (r->has_length)
        r->part = r->left > 0 ? PART_LENGTH : PART_DONE;
    else
        r->part = r->response ? PART_UNTIL_CLOSE : PART_DONE;
    if (r->part != PART_BAD && r->on_head)
        r->on_head(r);
}

static void read_chunk_size(struct http_reader *r)
{
    char *end;
    r->left = strtoull(r->line, &end, 16);
    if (end == r->line || (*end != '\0' && *end != ';'))
        bad(r, "chunk size");
    else
        r->part = r->left > 0 ? PART_CHUNK : PART_TRAILER;
}

static void on_line(struct http_reader *r)
{
    switch (r->part) {
    case PART_HEAD:
        if (r->first_line)
            read_first_line(r);
        else if (r->line_len == 0)
            end_of_head(r);
        else
            read_field(r);
        r->first_line = false;
        break;
    case PART_CHUNK_SIZE: read_chunk_size(r); break;
    case PART_CHUNK_END:
        r->part = PART_CHUNK_SIZE;
        if (r->line_len != 0)
            bad(r, "end of chunk");
        break;
    case PART_TRAILER:
        if (r->line_len == 0)
            r->part = PART_DONE;
        break;
    case PART_LENGTH:
    case PART_CHUNK:
    case PART_UNTIL_CLOSE:
    case PART_DONE:
    case PART_BAD: ASSERT(!"no lines here");
    }
    r->line_len = 0;
}

static void read_line_byte(struct http_reader *r, uint8_t byte)
{
    if (r->line_len > 0 && r->line[r->line_len - 1] == '\r') {
        r->line[--r->line_len] = '\0';
        if (byte == '\n')
            on_line(r);
        else
            bad(r, "bare CR");
        return;
    }
    if (byte == '\n' || byte == '\0' || r->line_len + 2 > sizeof(r->line)) {
        bad(r, "bare LF, NUL or long line");
        return;
    }
    r->line[r->line_len++] = (char)byte;
    r->line[r->line_len] = '\0';
}

static size_t read_body(struct http_reader *r, const uint8_t *bytes, size_t len)
{
    size_t n = r->part != PART_UNTIL_CLOSE && r->left < len ? (size_t)r->left : len;
    if (r->on_body)
        r->on_body(r, bytes, n);
    r->body += n;
    if (r->part == PART_UNTIL_CLOSE)
        return n;
    r->left -= n;
    if (r->left == 0)
        r->part = r->part == PART_CHUNK ? PART_CHUNK_END : PART_DONE;
    return n;
}

size_t http_read(struct http_reader *r, const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (at < len && r->part != PART_DONE && r->part != PART_BAD) {
        if (r->part == PART_LENGTH || r->part == PART_CHUNK || r->part == PART_UNTIL_CLOSE)
            at += read_body(r, bytes + at, len - at);
        else
            read_line_byte(r, bytes[at++]);
    }
    return at;
}

void http_read_eof(struct http_reader *r)
{
    if (r->part == PART_UNTIL_CLOSE)
        r->part = PART_DONE;
    else if (r->part != PART_DONE && !http_reader_is_fresh(r))
        bad(r, "cut");
}
