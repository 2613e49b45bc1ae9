/* broker/config/config_suggest.h — what a misspelt field was probably meant to be. Pure. */
#pragma once

#include <stddef.h>

struct config_row;

void config_suggest(const struct config_row *rows, const char *name, char *ret_text, size_t size);
/* "idleTimeoutMs (did you mean it?)", "it only under routes[]", or the names that `rows` has. */
