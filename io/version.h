/* io/version.h — the library's version as text. Any thread. */
#pragma once

const char *hawser_version(void);
