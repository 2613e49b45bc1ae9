/* io/version.c — the library's version. */
#include "io/version.h"

const char *hawser_version(void)
{
    return HAWSER_VERSION;
}
