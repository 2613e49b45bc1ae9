/* test/integration/kube_asker.c — hawser-kube-asker: a broker whose workers ask about tokens, as agents'
 * connections make them do, so that a test can say which worker asks what and when.
 *
 *   hawser-kube-asker CONFIG
 *       builds the broker of that configuration, prints "ready" and takes commands, a line each:
 *
 *   check WORKER TOKEN    prints "WORKER TOKEN good" or "WORKER TOKEN refused: WHY" when it is answered
 *   leave                 everybody who still waits does not wait any more
 *   drain                 the broker drains, and the program ends
 *
 * All workers turn on one thread, so the order of what is printed is that of the answers; credentials are
 * looked at by the same one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/kube/token_review.h"
#include "broker/reload.h"
#include "io/tls/tls.h"

enum { CHECKS_MAX = 2000, TURNS_MS = 2 };

struct asked {
    struct token_check check;
    unsigned worker;
    char *token;
};

static struct broker *broker;
static struct asked asked[CHECKS_MAX];
static unsigned count;

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "hawser-kube-asker: %s: %s\n", what, detail);
    exit(1);
}

static void on_answered(struct token_check *check, bool good, const char *why)
{
    const struct asked *a = check->owner;
    printf("%u %.40s %s%s\n", a->worker, a->token, good ? "good" : "refused: ", good ? "" : why);
    fflush(stdout);
}

static void check(unsigned worker, const char *token)
{
    if (count == CHECKS_MAX || worker >= broker->count)
        fail("check", "too many, or no such worker");
    struct asked *a = &asked[count++];
    a->check = (struct token_check){.answered = on_answered, .owner = a};
    a->worker = worker;
    a->token = strdup(token);
    token_review_check(&broker->states[worker], &a->check, slice_of_text(a->token));
}

static void command(char *line)
{
    unsigned worker;
    int at = 0;
    if (sscanf(line, "check %u %n", &worker, &at) == 1 && at > 0)
        check(worker, line + at);
    else if (strcmp(line, "leave") == 0)
        for (unsigned i = 0; i < count; i++)
            token_review_cancel(&asked[i].check);
    else if (strcmp(line, "drain") == 0)
        broker_drain_any_thread(broker);
    else
        fail("no such command", line);
}

/* Whole lines from standard input, as far as they are there. */
static void read_commands(void)
{
    static char buffer[65536];
    static size_t used;
    ssize_t n = read(0, buffer + used, sizeof(buffer) - used);
    if (n == 0)
        broker_drain_any_thread(broker);
    if (n > 0)
        used += (size_t)n;
    for (char *end; (end = memchr(buffer, '\n', used));) {
        size_t len = (size_t)(end - buffer) + 1;
        *end = '\0';
        command(buffer);
        used -= len;
        memmove(buffer, end + 1, used);
    }
    if (used == sizeof(buffer))
        fail("commands", "a line that is too long");
}

static void look(void)
{
    static uint64_t due_ms;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    if (now_ms >= due_ms)
        due_ms = reload_look(broker->reload, now_ms, false);
}

int main(int argc, char **argv)
{
    struct config_error error;
    struct broker_options options = {.config = NULL};
    char detail[1200];
    if (argc != 2)
        fail("usage", "hawser-kube-asker CONFIG");
    log_configure(&(struct log_options){.fd = 2, .level = LOG_INFO, .audit_fd = -1});
    if (tls_global_init() != 0)
        fail("start", "no TLS");
    if (config_load(argv[1], CONFIG_DEFAULT, &options.config, &error) != CONFIG_OK)
        fail("configuration", error.text);
    if (broker_new(&options, &broker, detail, sizeof(detail)) < 0 ||
        broker_open(broker, detail, sizeof(detail)) < 0)
        fail("start", detail);
    if (fcntl(0, F_SETFL, O_NONBLOCK) < 0)
        fail("standard input", strerror(errno));
    printf("ready\n");
    fflush(stdout);
    while (!broker_is_drained_any_thread(broker)) {
        struct pollfd fd = {.fd = 0, .events = POLLIN};
        if (poll(&fd, 1, TURNS_MS) > 0)
            read_commands();
        for (unsigned i = 0; i < broker->count; i++)
            broker_turn(broker, i, 0);
        look();
    }
    for (unsigned i = 0; i < count; i++)
        free(asked[i].token);
    broker_free(&broker);
    tls_global_fini();
    return 0;
}
