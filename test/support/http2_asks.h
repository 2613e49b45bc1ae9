/* test/support/http2_asks.h — an http2_rig.h and the requests that a test makes on it. */
#pragma once

#include "test/support/http2_rig.h"

#define GET "GET https://10.0.0.1:10250/pods?a=b HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n"
#define POST                                                                                                 \
    "POST https://10.0.0.1:10250/run HTTP/1.1\r\nHost: 10.0.0.1:10250\r\nTransfer-Encoding: chunked\r\n\r\n"

struct http2_asks {
    struct http2_rig rig;
    struct rig_request r[400];
    char bulk[600000]; /* bytes for bodies */
};

extern struct http2_asks asks;

void asks_start(void);
void asks_stop(void);
uint64_t asks_count(enum counter);
void asks_get(unsigned from, unsigned n);
/* So many GETs without more, from asks.r[from] on; runs. */
void asks_assert_has(const char *text, const char *part);
void asks_assert_reset(const struct rig_request *, enum ending, const char *detail);
void asks_assert_answered(const struct rig_request *, unsigned status, const char *body, size_t len);
/* detail: a part of what it says. body: all of it. */
