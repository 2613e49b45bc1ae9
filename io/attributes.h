/* io/attributes.h — the few compiler attributes and the always-on assertion that the whole tree uses. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MUST_USE         __attribute__((warn_unused_result))
#define NORETURN         __attribute__((noreturn))
#define PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define LIKELY(x)        __builtin_expect(!!(x), 1)
#define UNLIKELY(x)      __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE       64

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Stays on in release: it judges our own code, never input and never what the kernel may answer. */
#define ASSERT(cond) ((void)(LIKELY(cond) || (assert_failed(#cond, __FILE__, __LINE__), 0)))

NORETURN void assert_failed(const char *what, const char *file, int line);
/* Prints one line to stderr and aborts. Any thread. */
