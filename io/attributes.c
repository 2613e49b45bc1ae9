/* io/attributes.c — the end of the road for a broken invariant. */
#include "io/attributes.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "hawser: assertion failed: %s (%s:%d)\n", what, file, line);
    abort();
}
