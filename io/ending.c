/* io/ending.c — the table of endings and the translation from errno. */
#include "io/ending.h"

#include <errno.h>

#include "io/attributes.h"

static const struct {
    const char *name, *text;
    int status;
    enum ending_whose whose;
} endings[] = {
#define X(symbol, name, status, whose, text) [ENDING_##symbol] = {#name, text, status, ENDING_BY_##whose},
    ENDINGS(X)
#undef X
};

const char *ending_name(enum ending e)
{
    ASSERT((unsigned)e < ENDING_COUNT);
    return endings[e].name;
}

const char *ending_text(enum ending e)
{
    ASSERT((unsigned)e < ENDING_COUNT);
    return endings[e].text;
}

int ending_status(enum ending e)
{
    ASSERT((unsigned)e < ENDING_COUNT);
    return endings[e].status;
}

enum ending_whose ending_whose(enum ending e)
{
    ASSERT((unsigned)e < ENDING_COUNT);
    return endings[e].whose;
}

enum ending ending_from_errno(int err, bool dialling)
{
    switch (err) {
    case 0: return ENDING_DONE;
    case ECONNREFUSED: return ENDING_REFUSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENONET:       /* ICMP: source host isolated */
    case ENOPROTOOPT:  /* ICMP: protocol unreachable */
    case EAFNOSUPPORT: /* no IPv6 here */
    case ENOENT: return ENDING_UNREACHABLE;
    case EINVAL: return dialling ? ENDING_UNREACHABLE : ENDING_INTERNAL; /* connect: a blackhole route */
    case EACCES: /* a route of type prohibit, a security module */
    case EPERM: return ENDING_FILTERED;
    case ETIMEDOUT: return dialling ? ENDING_CONNECT_TIMEOUT : ENDING_PEER_LOST;
    case EADDRNOTAVAIL:
    case EADDRINUSE: return ENDING_NO_SOURCE;
    case EMFILE:
    case ENFILE: return ENDING_DESCRIPTORS;
    case ENOBUFS:
    case ENOMEM: return ENDING_LIMIT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE: return dialling ? ENDING_REFUSED : ENDING_PEER_RESET;
    case ECANCELED: return ENDING_CANCELLED;
    default: return ENDING_INTERNAL;
    }
}
