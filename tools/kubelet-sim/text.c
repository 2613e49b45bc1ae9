/* tools/kubelet-sim/text.c — growing text. */
#include "tools/kubelet-sim/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_reserve(struct text *t, size_t more)
{
    if (t->cap - t->n > more)
        return;
    size_t cap = t->cap ? t->cap : 1024;
    while (cap - t->n <= more)
        cap *= 2;
    char *at = realloc(t->at, cap);
    if (!at) {
        fputs("kubelet-sim: out of memory\n", stderr);
        abort();
    }
    t->at = at;
    t->cap = cap;
}

void text_add(struct text *t, const char *bytes, size_t n)
{
    text_reserve(t, n);
    memcpy(t->at + t->n, bytes, n);
    t->n += n;
    t->at[t->n] = '\0';
}

void text_addf(struct text *t, const char *format, ...)
{
    for (;;) {
        text_reserve(t, 256);
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(t->at + t->n, t->cap - t->n, format, ap);
        va_end(ap);
        if (n < 0)
            return; /* only a broken format can do that */
        if ((size_t)n < t->cap - t->n) {
            t->n += (size_t)n;
            return;
        }
        text_reserve(t, (size_t)n + 1);
    }
}

void text_add_json(struct text *t, const char *s)
{
    text_add(t, "\"", 1);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            text_addf(t, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            text_addf(t, "\\u%04x", (unsigned char)*s);
        else
            text_add(t, s, 1);
    }
    text_add(t, "\"", 1);
}

void text_fini(struct text *t)
{
    free(t->at);
    *t = (struct text){0};
}
