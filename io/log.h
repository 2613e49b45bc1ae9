/* io/log.h — log lines as key=value or JSON, built field by field and written once.
 *
 * A worker gathers its lines in a buffer and writes it at the end of the turn; if nobody reads the log, lines
 * are dropped and counted rather than letting traffic wait. Audit lines have the same form, and a buffer, a
 * descriptor and a counter of their own. Values are escaped; secrets and bodies are never logged. Owner
 * worker only; the *_any_thread calls write at once and are meant for start and stop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct worker;

enum {
    LOG_BUFFER_BYTES = 64 * 1024,
    LOG_LINE_MAX = 8192, /* an access or audit line fits, whatever its client sends: escapes are six bytes */
};

struct log_buffer {
    char *bytes;
    size_t used;
    size_t line; /* where the line under construction begins */
    bool cut;
    bool torn; /* the buffer begins with the rest of a line that was written in part */
    uint64_t dropped;
};

MUST_USE int log_buffer_init(struct log_buffer *);
/* 0 or -ENOMEM. */
void log_buffer_fini(struct log_buffer *);

struct log_options {
    int fd;
    bool audit; /* there are audit lines; else log_begin_audit() begins nothing */
    int audit_fd;
    bool json;
    enum log_level level;
};

void log_configure(const struct log_options *);
/* Before threads start. */
const struct log_options *log_options(void);

void log_begin(struct worker *, enum log_level, const char *event);
/* Starts a line: time, level, worker, event. Every log_begin is closed by log_end before the next one. */
void log_begin_audit(struct worker *, const char *event);
/* The same for an audit line, whatever the level of the log. */
void log_str(struct worker *, const char *key, const char *value);
void log_strn(struct worker *, const char *key, const char *value, size_t len);
void log_u64(struct worker *, const char *key, uint64_t value);
void log_ms(struct worker *, const char *key, uint64_t duration_ns);
/* Milliseconds with three decimals. */
void log_end(struct worker *);
void log_flush(struct worker *);
/* Both buffers. */

void log_any_thread(enum log_level, const char *event, const char *fmt, ...) PRINTF(3, 4);
/* One line at once: event and a message. */
