/* io/resolve_channel.h — one c-ares channel on a worker: its sockets watched by the engine, its timeouts by
 * the worker's timers. Used by io/resolve.c alone. Owner worker only.
 */
#pragma once

#include <ares.h>

#include "io/attributes.h"

struct resolve_channel;
struct resolver_options;
struct worker;

MUST_USE int resolve_channel_new(struct worker *, const struct resolver_options *,
                                 struct resolve_channel **ret);
/* 0, -ENOMEM, -EINVAL for servers that do not parse. */
void resolve_channel_free(struct resolve_channel **);
/* Queries under way are called back with ARES_EDESTRUCTION. */
void resolve_channel_ask(struct resolve_channel *, const char *name, ares_addrinfo_callback, void *arg);
/* May call back before it returns (hosts file, no server). The callback frees the result and calls no
 * function of this header. */
