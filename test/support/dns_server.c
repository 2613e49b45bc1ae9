/* test/support/dns_server.c — see dns_server.h. Zones: a row names the addresses, TTL and the way of
 * answering. */
#include "test/support/dns_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/attributes.h"

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, DATAGRAM_MAX = 60000 };

enum way {
    ANSWER,
    CHAIN,       /* three CNAMEs first, TTL 7 on one of them */
    SILENT,      /* never */
    SECOND_TIME, /* silent to the first datagram of each type */
    SLOW,        /* after 150 ms */
    GARBAGE,     /* bytes that are no message */
    HEADLESS,    /* a header that promises records which do not come */
    SPOOFED,     /* a wrong id and a wrong address first, then the truth */
    TRUNCATED,   /* TC bit: come back by TCP, where nobody listens */
    OVERSIZE,    /* a valid answer with 60,000 bytes of nothing behind it */
    SERVFAIL,
    REFUSED,
};

static const struct zone {
    const char *name;
    enum way way;
    unsigned a, aaaa; /* how many addresses: 10.0.0.1.., fd00::1.. */
    uint32_t ttl;
} zones[] = {
    {"both.test",        ANSWER,      2,  1, 20        },
    {"v4.test",          ANSWER,      1,  0, 20        },
    {"v6.test",          ANSWER,      0,  1, 20        },
    {"short.test",       ANSWER,      1,  0, 5         },
    {"zero.test",        ANSWER,      1,  0, 0         },
    {"long.test",        ANSWER,      1,  0, 86400     },
    {"absurd.test",      ANSWER,      1,  0, 0xffffffff},
    {"empty.test",       ANSWER,      0,  0, 20        },
    {"many.test",        ANSWER,      28, 0, 20        },
    {"chain.test",       CHAIN,       1,  0, 25        },
    {"silent.test",      SILENT,      0,  0, 0         },
    {"second.test",      SECOND_TIME, 1,  0, 20        },
    {"slow.test",        SLOW,        1,  0, 20        },
    {"garbage.test",     GARBAGE,     0,  0, 0         },
    {"headless.test",    HEADLESS,    1,  0, 20        },
    {"spoofed.test",     SPOOFED,     1,  0, 20        },
    {"truncated.test",   TRUNCATED,   1,  0, 20        },
    {"oversize.test",    OVERSIZE,    1,  0, 20        },
    {"servfail.test",    SERVFAIL,    0,  0, 0         },
    {"refused.test",     REFUSED,     0,  0, 0         },
    {"web.search.test",  ANSWER,      1,  0, 20        },
    {"under_score.test", ANSWER,      1,  0, 20        },
};

struct dns_server {
    int fd;
    char address[32];
    pthread_t thread;
    _Atomic bool stop;
    _Atomic unsigned questions;
    bool seen[2];
};

struct message {
    uint8_t *bytes;
    size_t len;
};

static void put16(struct message *m, unsigned v)
{
    m->bytes[m->len++] = (uint8_t)(v >> 8);
    m->bytes[m->len++] = (uint8_t)v;
}

static void put32(struct message *m, uint32_t v)
{
    put16(m, v >> 16);
    put16(m, v & 0xffff);
}

static void set16(struct message *m, size_t at, unsigned v)
{
    m->bytes[at] = (uint8_t)(v >> 8);
    m->bytes[at + 1] = (uint8_t)v;
}

static void put_record(struct message *m, unsigned name_at, unsigned type, uint32_t ttl, unsigned len)
{
    put16(m, 0xc000 | name_at);
    put16(m, type);
    put16(m, 1);
    put32(m, ttl);
    put16(m, len);
}

/* The queried name as text; returns the offset behind the question, or 0. */
static size_t read_question(const uint8_t *q, size_t len, char name[256], unsigned *ret_type)
{
    size_t at = 12, out = 0;
    while (at < len && q[at]) {
        size_t label = q[at++];
        if (label > 63 || at + label >= len || out + label + 1 > 254)
            return 0;
        if (out)
            name[out++] = '.';
        memcpy(name + out, q + at, label);
        out += label;
        at += label;
    }
    name[out] = '\0';
    if (at + 5 > len)
        return 0;
    *ret_type = (unsigned)q[at + 1] << 8 | q[at + 2];
    return at + 5;
}

/* Each alias is a name of its own: "1.chain.test" and so on; returns where the last one stands. */
static unsigned put_chain(struct message *m, unsigned *records)
{
    unsigned name_at = 12;
    for (char digit = '1'; digit <= '3'; digit++) {
        put_record(m, name_at, TYPE_CNAME, digit == '2' ? 7 : 25, 4);
        name_at = (unsigned)m->len;
        m->bytes[m->len++] = 1;
        m->bytes[m->len++] = (uint8_t)digit;
        put16(m, 0xc00c);
        ++*records;
    }
    return name_at;
}

static void put_addresses(struct message *m, const struct zone *z, unsigned type, unsigned salt)
{
    unsigned name_at = 12, records = 0;
    if (z->way == CHAIN)
        name_at = put_chain(m, &records);
    for (unsigned i = 1; type == TYPE_A && i <= z->a; i++, records++) {
        put_record(m, name_at, TYPE_A, z->ttl, 4);
        put32(m, 0x0a000000u + (salt << 8) + i);
    }
    for (unsigned i = 1; type == TYPE_AAAA && i <= z->aaaa; i++, records++) {
        put_record(m, name_at, TYPE_AAAA, z->ttl, 16);
        put32(m, 0xfd000000u);
        put32(m, 0);
        put32(m, 0);
        put32(m, i);
    }
    set16(m, 6, records);
}

static void answer(struct dns_server *s, const uint8_t *q, size_t len, const struct sockaddr_in *from)
{
    static uint8_t bytes[DATAGRAM_MAX]; /* one server a process, one thread */
    char name[256];
    unsigned type, rcode = 0;
    size_t question_end = read_question(q, len, name, &type);
    if (question_end == 0)
        return;
    const struct zone *z = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
        if (strcmp(zones[i].name, name) == 0)
            z = &zones[i];
    struct message m = {bytes, question_end};
    memcpy(bytes, q, question_end);
    set16(&m, 4, 1);
    set16(&m, 6, 0);
    set16(&m, 8, 0);
    set16(&m, 10, 0);
    if (!z)
        rcode = 3;
    else if (z->way == SERVFAIL)
        rcode = 2;
    else if (z->way == REFUSED)
        rcode = 5;
    set16(&m, 2, 0x8180 | rcode);
    if (z)
        put_addresses(&m, z, type, 0);
    switch (z ? z->way : ANSWER) {
    case ANSWER:
    case CHAIN:
    case SERVFAIL:
    case REFUSED: break;
    case SILENT: return;
    case SECOND_TIME:
        if (!s->seen[type == TYPE_A]) {
            s->seen[type == TYPE_A] = true;
            return;
        }
        break;
    case SLOW: nanosleep(&(struct timespec){.tv_nsec = 75000000}, NULL); break; /* for each of two types */
    case GARBAGE:
        memset(bytes + 2, 0xa5, 300); /* the id fits, nothing else */
        m.len = 302;
        break;
    case HEADLESS: m.len = question_end + 3; break;
    case SPOOFED: {
        struct message lie = {bytes, question_end};
        put_addresses(&lie, z, type, 66);
        bytes[0] ^= 0x55;
        sendto(s->fd, bytes, lie.len, 0, (const struct sockaddr *)from, sizeof(*from));
        bytes[0] ^= 0x55;
        m.len = question_end;
        put_addresses(&m, z, type, 0);
        break;
    }
    case TRUNCATED:
        set16(&m, 2, 0x8380);
        m.len = question_end;
        set16(&m, 6, 0);
        break;
    case OVERSIZE:
        memset(bytes + m.len, 0, DATAGRAM_MAX - m.len);
        m.len = DATAGRAM_MAX;
        break;
    }
    sendto(s->fd, bytes, m.len, 0, (const struct sockaddr *)from, sizeof(*from));
}

static void *serve(void *arg)
{
    struct dns_server *s = arg;
    while (!atomic_load(&s->stop)) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        uint8_t question[600];
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(s->fd, question, sizeof(question), 0, (struct sockaddr *)&from, &from_len);
        if (n < 12)
            continue;
        atomic_fetch_add(&s->questions, 1);
        answer(s, question, (size_t)n, &from);
    }
    return NULL;
}

struct dns_server *dns_server_start(void)
{
    struct dns_server *s = calloc(1, sizeof(*s));
    ASSERT(s != NULL);
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    ASSERT(bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    ASSERT(getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
    snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", ntohs(a.sin_port));
    ASSERT(pthread_create(&s->thread, NULL, serve, s) == 0);
    return s;
}

void dns_server_stop(struct dns_server **sp)
{
    struct dns_server *s = *sp;
    *sp = NULL;
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->fd);
    free(s);
}

const char *dns_server_address(const struct dns_server *s)
{
    return s->address;
}

unsigned dns_server_questions(const struct dns_server *s)
{
    return atomic_load(&s->questions);
}
