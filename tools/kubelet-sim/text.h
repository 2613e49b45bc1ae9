/* tools/kubelet-sim/text.h — a growing piece of text, for bodies and status pages. Owner's thread. Memory
 * that runs out ends the program: a simulator that answers half a page would only puzzle its user. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

struct text {
    char *at;
    size_t n, cap;
};

void text_reserve(struct text *, size_t more);
void text_add(struct text *, const char *bytes, size_t n);
__attribute__((format(printf, 2, 3))) void text_addf(struct text *, const char *format, ...);
void text_add_json(struct text *, const char *s);
/* As a JSON string with its quotes. */
void text_fini(struct text *);
