/* io/log.c — see log.h. A line is built at the end of the worker's buffer; a line that grows past its limit
 * is cut and marked, a line that finds the buffer full after a flush is dropped and counted. */
#include "io/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/engine.h"
#include "io/worker.h"

enum { MESSAGE_MAX = 1024 };

static struct log_options options = {.fd = STDERR_FILENO, .level = LOG_INFO};
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_configure(const struct log_options *o)
{
    options = *o;
}

const struct log_options *log_options(void)
{
    return &options;
}

int log_buffer_init(struct log_buffer *b)
{
    *b = (struct log_buffer){.bytes = malloc(LOG_BUFFER_BYTES)};
    return b->bytes ? 0 : -ENOMEM;
}

void log_buffer_fini(struct log_buffer *b)
{
    free(b->bytes);
    *b = (struct log_buffer){0};
}

static void put(struct log_buffer *b, const char *bytes, size_t len)
{
    if (b->used - b->line + len > LOG_LINE_MAX) {
        b->cut = true;
        return;
    }
    memcpy(b->bytes + b->used, bytes, len);
    b->used += len;
}

static void put_text(struct log_buffer *b, const char *text)
{
    put(b, text, strlen(text));
}

/* Escapes for both formats alike: JSON's escapes are also readable in a quoted key=value. */
static void put_escaped(struct log_buffer *b, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c == '"' || c == '\\') {
            char pair[2] = {'\\', (char)c};
            put(b, pair, 2);
        } else if (c < 0x20 || c >= 0x7f) {
            char hex[8];
            put(b, hex, (size_t)snprintf(hex, sizeof(hex), "\\u%04x", c));
        } else {
            put(b, value + i, 1);
        }
    }
}

static bool is_plain(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return len > 0;
}

static void put_key(struct log_buffer *b, const char *key)
{
    bool first = b->used == b->line;
    if (options.json) {
        put_text(b, first ? "{\"" : ",\"");
        put_text(b, key);
        put_text(b, "\":");
    } else {
        if (!first)
            put(b, " ", 1);
        put_text(b, key);
        put(b, "=", 1);
    }
}

static void put_str(struct log_buffer *b, const char *key, const char *value, size_t len)
{
    put_key(b, key);
    bool quote = options.json || !is_plain(value, len);
    if (quote)
        put(b, "\"", 1);
    put_escaped(b, value, len);
    if (quote)
        put(b, "\"", 1);
}

static void put_head(struct log_buffer *b, uint64_t wall_ns, enum log_level level)
{
    time_t seconds = (time_t)(wall_ns / 1000000000u);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[40];
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, sizeof(text) - n, ".%06uZ", (unsigned)(wall_ns % 1000000000u / 1000u));
    put_str(b, "time", text, n);
    put_str(b, "level", level_names[level], strlen(level_names[level]));
}

static int fd_of(const struct worker *w, const struct log_buffer *b)
{
    return b == &w->audit ? options.audit_fd : options.fd;
}

static void count_dropped(struct worker *w, struct log_buffer *b, uint64_t lines)
{
    b->dropped += lines;
    counter_add(w, b == &w->audit ? COUNTER_audit_dropped : COUNTER_log_dropped, lines);
}

/* Of what a full pipe did not take, the rest of the line it took a part of is kept, so that the log stays
 * readable; whole lines are dropped and counted. */
static void drop_unwritten(struct worker *w, struct log_buffer *b, size_t written)
{
    size_t keep = 0;
    bool within_line = written > 0 ? b->bytes[written - 1] != '\n' : b->torn;
    if (within_line) {
        const char *end = memchr(b->bytes + written, '\n', b->used - written);
        ASSERT(end != NULL);
        keep = (size_t)(end + 1 - (b->bytes + written));
    }
    uint64_t lines = 0;
    for (size_t i = written + keep; i < b->used; i++)
        lines += b->bytes[i] == '\n';
    count_dropped(w, b, lines);
    memmove(b->bytes, b->bytes + written, keep);
    b->used = keep;
    b->torn = keep > 0;
}

static void flush(struct worker *w, struct log_buffer *b)
{
    ASSERT(w->log_line != b);
    if (b->used == 0)
        return;
    ssize_t n;
    do
        n = write(fd_of(w, b), b->bytes, b->used);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)b->used) {
        b->used = 0;
        b->torn = false;
    } else {
        drop_unwritten(w, b, n > 0 ? (size_t)n : 0);
    }
    b->line = b->used;
}

void log_flush(struct worker *w)
{
    flush(w, &w->log);
    flush(w, &w->audit);
}

static void begin(struct worker *w, struct log_buffer *b, enum log_level level, const char *event)
{
    if (b->used + LOG_LINE_MAX + 8 > LOG_BUFFER_BYTES)
        flush(w, b);
    w->log_line = b;
    b->line = b->used;
    b->cut = false;
    put_head(b, w->engine->ops->wall_ns(w->engine), level);
    log_u64(w, "worker", w->number);
    log_str(w, "event", event);
}

void log_begin(struct worker *w, enum log_level level, const char *event)
{
    ASSERT(!w->log_line);
    if (level <= options.level)
        begin(w, &w->log, level, event);
}

void log_begin_audit(struct worker *w, const char *event)
{
    ASSERT(!w->log_line);
    if (options.audit)
        begin(w, &w->audit, LOG_INFO, event);
}

void log_strn(struct worker *w, const char *key, const char *value, size_t len)
{
    if (w->log_line)
        put_str(w->log_line, key, value, len);
}

void log_str(struct worker *w, const char *key, const char *value)
{
    log_strn(w, key, value, strlen(value));
}

void log_u64(struct worker *w, const char *key, uint64_t value)
{
    if (!w->log_line)
        return;
    char text[24];
    put_key(w->log_line, key);
    put(w->log_line, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)value));
}

void log_ms(struct worker *w, const char *key, uint64_t duration_ns)
{
    if (!w->log_line)
        return;
    char text[32];
    put_key(w->log_line, key);
    put(w->log_line, text,
        (size_t)snprintf(text, sizeof(text), "%llu.%03u", (unsigned long long)(duration_ns / 1000000u),
                         (unsigned)(duration_ns / 1000u % 1000u)));
}

void log_end(struct worker *w)
{
    struct log_buffer *b = w->log_line;
    if (!b)
        return;
    w->log_line = NULL;
    if (b->cut) { /* a half line would not parse: give it up whole */
        b->used = b->line;
        count_dropped(w, b, 1);
        return;
    }
    const char *tail = options.json ? "}\n" : "\n";
    memcpy(b->bytes + b->used, tail, strlen(tail));
    b->used += strlen(tail);
}

static_assert(LOG_LINE_MAX > 6 * MESSAGE_MAX + 256, "a message fits a line, escaped");

void log_any_thread(enum log_level level, const char *event, const char *fmt, ...)
{
    if (level > options.level)
        return;
    char bytes[LOG_LINE_MAX + 64], message[MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct log_buffer b = {.bytes = bytes};
    put_head(&b, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, level);
    put_str(&b, "event", event, strlen(event));
    put_str(&b, "message", message, strlen(message));
    const char *tail = options.json ? "}\n" : "\n";
    memcpy(bytes + b.used, tail, strlen(tail)); /* bytes is longer than a line may be */
    b.used += strlen(tail);
    if (write(options.fd, bytes, b.used) < 0)
        return; /* nowhere to say so */
}
