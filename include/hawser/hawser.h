/* include/hawser/hawser.h — libhawser for programs that embed it: the only header that is installed.
 *
 * Link by pkg-config: `cc program.c $(pkg-config --cflags --libs hawser)`. Whatever is declared here keeps
 * its meaning within a major version; everything else in the library is hidden.
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#define HAWSER_API __attribute__((visibility("default")))

HAWSER_API const char *hawser_version(void);
/* "MAJOR.MINOR.PATCH" of the library that is loaded. Any thread. */

#ifdef __cplusplus
}
#endif
