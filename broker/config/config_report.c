/* broker/config/config_report.c — see config_report.h. */
#include "broker/config/config_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/config/config.h"

bool config_fail(struct config_report *report, uint32_t line, uint32_t column, const char *path,
                 const char *format, ...)
{
    if (report->failed)
        return false;
    report->failed = true;
    struct config_error *error = report->error;
    error->line = line;
    error->column = column;
    int n = snprintf(error->text, sizeof(error->text), "%.400s:%u:%u: %.260s: ", report->file, line, column,
                     path[0] ? path : "(document)");
    va_list args;
    va_start(args, format);
    if (n > 0 && (size_t)n < sizeof(error->text))
        vsnprintf(error->text + n, sizeof(error->text) - (size_t)n, format, args);
    va_end(args);
    return false;
}

const char *config_quote(const char *text, char quoted[CONFIG_QUOTE_MAX])
{
    size_t n = 0;
    quoted[n++] = '"';
    for (; *text && n < CONFIG_QUOTE_MAX - 12; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            quoted[n++] = '\\', quoted[n++] = (char)c;
        else if (c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(quoted + n, 5, "\\x%02x", c);
        else
            quoted[n++] = (char)c;
    }
    while (*text && n > 1 && ((unsigned char)*text & 0xc0) == 0x80) /* do not cut a character in two */
        text--, n--;
    snprintf(quoted + n, CONFIG_QUOTE_MAX - n, "%s\"", *text ? "..." : "");
    return quoted;
}
