/* tools/kubelet-sim/status.c — a page for people and tests.
 *
 * Served by the main thread, one request per connection, blocking but bounded: nobody's traffic waits for it.
 * Counters are read relaxed from the workers and summed; a total may be a moment old and is never torn. A
 * replaced fault set is kept on a list until the end, because a worker may still be reading it. */
#include "tools/kubelet-sim/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/kubelet-sim/worker.h"

enum { REQUEST_MAX = 65536, TIMEOUT_S = 2, TOP_NODES = 10, SETS_MAX = 10000 };

static struct fault_set *retired[SETS_MAX];
static size_t retired_n;

static int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 64) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int listen_tcp(const char *where)
{
    char host[INET_ADDRSTRLEN] = "127.0.0.1";
    const char *colon = strrchr(where, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    char *end = NULL;
    unsigned long port = strtoul(colon ? colon + 1 : where, &end, 10);
    if (colon && colon > where)
        snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
    if (*end || port > 65535 || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 64) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool status_init(struct status *status, struct sim *sim, const char *where)
{
    *status = (struct status){.sim = sim, .fd = -1};
    if (!where)
        return true;
    bool is_unix = strchr(where, '/') != NULL;
    status->fd = is_unix ? listen_unix(where) : listen_tcp(where);
    if (status->fd < 0) {
        fprintf(stderr, "kubelet-sim: cannot listen for status on %s: %s\n", where, strerror(errno));
        return false;
    }
    status->unix_path = is_unix ? where : NULL;
    return true;
}

static uint64_t total(const struct sim *sim, size_t offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < sim->workers_n; i++)
        sum += __atomic_load_n((const uint64_t *)((const char *)sim->workers[i] + offset), __ATOMIC_RELAXED);
    return sum;
}

static uint32_t relaxed(const uint32_t *n)
{
    return __atomic_load_n(n, __ATOMIC_RELAXED);
}

static void add_node(struct text *t, const struct sim *sim, uint32_t i)
{
    const struct node *n = &sim->fleet.nodes[i];
    char name[NAME_MAX_BYTES], address[INET_ADDRSTRLEN];
    fleet_name(i, name);
    fleet_address(&sim->fleet, i, address);
    text_addf(t,
              "{\"node\":\"%s\",\"address\":\"%s\",\"connections\":%u,\"handshakes_full\":%u,\"handshakes_"
              "resumed\":%u,"
              "\"handshakes_failed\":%u,\"requests\":%u,\"unauthorized\":%u}",
              name, address, relaxed(&n->connections), relaxed(&n->handshakes_full),
              relaxed(&n->handshakes_resumed), relaxed(&n->handshakes_failed), relaxed(&n->requests),
              relaxed(&n->unauthorized));
}

static void add_top(struct text *t, const struct sim *sim)
{
    uint32_t top[TOP_NODES];
    size_t n = 0;
    for (uint32_t i = 0; i < sim->fleet.count; i++) {
        uint32_t requests = relaxed(&sim->fleet.nodes[i].requests);
        if (requests == 0 && relaxed(&sim->fleet.nodes[i].connections) == 0)
            continue;
        size_t at = n < TOP_NODES ? n++ : TOP_NODES;
        if (at == TOP_NODES && relaxed(&sim->fleet.nodes[top[TOP_NODES - 1]].requests) >= requests)
            continue;
        at = at == TOP_NODES ? TOP_NODES - 1 : at;
        for (; at > 0 && relaxed(&sim->fleet.nodes[top[at - 1]].requests) < requests; at--)
            top[at] = top[at - 1];
        top[at] = i;
    }
    for (size_t i = 0; i < n; i++) {
        text_addf(t, i ? "," : "");
        add_node(t, sim, top[i]);
    }
}

static void status_page(struct sim *sim, struct text *t)
{
    uint64_t open = total(sim, offsetof(struct worker, counters.connections)) -
                    total(sim, offsetof(struct worker, counters.connections_closed));
    text_addf(t, "{\"kubelets\":%u,\"threads\":%zu,\"faults_set\":%zu,\"connections_open\":%llu",
              sim->fleet.count, sim->workers_n, fault_count(sim_faults(sim)), (unsigned long long)open);
#define X(name)                                                                                              \
    text_addf(t, ",\"" #name "\":%llu",                                                                      \
              (unsigned long long)total(sim, offsetof(struct worker, counters.name)));
    COUNTERS(X)
#undef X
    text_addf(t, ",\"paths\":{");
    for (int i = 0; i < ROUTES_N; i++) {
        uint64_t sum = 0;
        for (int j = 0; j < ROUTES_N; j++)
            if (strcmp(route_class((enum route)j), route_class((enum route)i)) == 0)
                sum += total(sim, offsetof(struct worker, class_counts) + (size_t)j * sizeof(uint64_t));
        if (i == 0 || strcmp(route_class((enum route)i), route_class((enum route)(i - 1))) != 0)
            text_addf(t, "%s\"%s\":%llu", i ? "," : "", route_class((enum route)i), (unsigned long long)sum);
    }
    text_addf(t, "},\"top\":[");
    add_top(t, sim);
    text_addf(t, "]}\n");
}

static void nodes_page(struct sim *sim, struct text *t)
{
    text_addf(t, "[");
    for (uint32_t i = 0; i < sim->fleet.count; i++) {
        text_addf(t, i ? ",\n" : "");
        add_node(t, sim, i);
    }
    text_addf(t, "]\n");
}

static int replace_faults(struct sim *sim, char *body, struct text *t)
{
    const char *specs[FAULTS_MAX + 1], *bad = NULL;
    size_t n = 0;
    char *save = NULL;
    for (char *line = strtok_r(body, "\r\n", &save); line && n <= FAULTS_MAX;
         line = strtok_r(NULL, "\r\n", &save))
        specs[n++] = line;
    struct fault_fleet fleet = {sim->fleet.base, sim->fleet.count, sim->options.seed};
    struct fault_set *set = retired_n < SETS_MAX ? fault_set_new(specs, n, &fleet, &bad) : NULL;
    if (!set) {
        text_addf(t, "{\"error\":\"not a fault\",\"spec\":");
        text_add_json(t, bad ? bad : "too many replacements");
        text_addf(t, "}\n");
        return 400;
    }
    retired[retired_n++] = __atomic_exchange_n(&sim->faults, set, __ATOMIC_ACQ_REL);
    text_addf(t, "{\"faults\":%zu}\n", n);
    return 200;
}

/* Reboot, or only new ticket keys, for the nodes that match. */
static void pull_lever(struct sim *sim, const char *pattern, bool forget, bool reboot, struct text *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < sim->fleet.count; i++) {
        if (!fault_node_matches(pattern, i, sim->fleet.base + i))
            continue;
        n++;
        if (forget)
            ticket_forget(sim, i);
        else
            ticket_rotate(sim, i);
        if (reboot)
            __atomic_fetch_add(&sim->fleet.nodes[i].reboot, 1, __ATOMIC_RELEASE);
    }
    for (size_t i = 0; reboot && i < sim->workers_n; i++)
        worker_poke(sim->workers[i]);
    text_addf(t, "{\"nodes\":%u}\n", n);
}

static int answer(struct sim *sim, const struct http_request *request, char *body, struct text *t)
{
    struct slice value;
    char id[512] = "", node[64] = "*";
    bool post = slice_is(request->method, "POST");
    if (http_query(request->query, "id", &value))
        snprintf(id, sizeof(id), "%.*s", (int)value.n, value.at);
    if (http_query(request->query, "node", &value))
        snprintf(node, sizeof(node), "%.*s", (int)value.n, value.at);
    if (slice_is(request->path, "/status") || slice_is(request->path, "/"))
        status_page(sim, t);
    else if (slice_is(request->path, "/nodes"))
        nodes_page(sim, t);
    else if (slice_is(request->path, "/ledger") && slice_is(request->method, "DELETE"))
        ledger_clear(&sim->ledger);
    else if (slice_is(request->path, "/ledger"))
        ledger_report(&sim->ledger, t, *id ? id : NULL, http_query_flag(request->query, "all"));
    else if (slice_is(request->path, "/faults") && (post || slice_is(request->method, "DELETE")))
        return replace_faults(sim, body, t);
    else if (slice_is(request->path, "/rotate-tickets") && post)
        pull_lever(sim, node, false, false, t);
    else if (slice_is(request->path, "/forget-tickets") && post)
        pull_lever(sim, node, true, false, t);
    else if (slice_is(request->path, "/reboot") && post)
        pull_lever(sim, node, true, true, t);
    else
        return 404;
    return 200;
}

static bool send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* The whole request, body included, into buffer; the head's length, or -1. */
static long read_request(int fd, char *buffer, struct http_request *ret_request)
{
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, buffer + n, REQUEST_MAX - 1 - n, 0);
        if (got <= 0)
            return -1;
        n += (size_t)got;
        buffer[n] = '\0';
        long head = http_parse_head(buffer, n, ret_request);
        if (head < 0 || ret_request->framing == FRAMING_CHUNKED)
            return -1;
        if (head > 0 && n - (size_t)head >= ret_request->content_length) {
            buffer[(size_t)head + ret_request->content_length] = '\0';
            return head;
        }
        if (n == REQUEST_MAX - 1)
            return -1;
    }
}

void status_serve_one(struct status *status)
{
    static char buffer[REQUEST_MAX]; /* the main thread serves one at a time */
    struct timeval limit = {.tv_sec = TIMEOUT_S};
    struct http_request request = {0};
    int fd = accept4(status->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    struct text body = {0}, head = {0};
    long head_n = read_request(fd, buffer, &request);
    int code = head_n > 0 ? answer(status->sim, &request, buffer + head_n, &body) : 400;
    text_addf(&head,
              "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: "
              "close\r\n\r\n",
              code, code == 200 ? "OK" : "Refused", body.n);
    if (send_all(fd, head.at, head.n))
        (void)!send_all(fd, body.at, body.n);
    text_fini(&head);
    text_fini(&body);
    close(fd);
}

void status_fini(struct status *status)
{
    if (status->fd >= 0)
        close(status->fd);
    if (status->unix_path)
        unlink(status->unix_path);
    for (size_t i = 0; i < retired_n; i++)
        fault_set_free(retired[i]);
    retired_n = 0;
}
