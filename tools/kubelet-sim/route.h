/* tools/kubelet-sim/route.h — the kubelet's paths. */
#pragma once

struct conn;
struct http_request;

/*   symbol, class, path, whole path or prefix, methods allowed */
#define ROUTES(X)                                                                                            \
    X(HEALTHZ, "healthz", "/healthz", false, "GET")                                                          \
    X(BYTES, "bytes", "/bytes/", true, "GET")                                                                \
    X(METRICS_RESOURCE, "metrics", "/metrics/resource", false, "GET")                                        \
    X(METRICS_CADVISOR, "metrics", "/metrics/cadvisor", false, "GET")                                        \
    X(METRICS, "metrics", "/metrics", false, "GET")                                                          \
    X(PODS, "pods", "/pods", false, "GET")                                                                   \
    X(RUNNINGPODS, "pods", "/runningpods/", false, "GET")                                                    \
    X(STATS, "stats", "/stats/summary", false, "GET")                                                        \
    X(CONFIGZ, "configz", "/configz", false, "GET")                                                          \
    X(LOGS, "logs", "/containerLogs/", true, "GET")                                                          \
    X(ECHO, "echo", "/echo", false, "POST PUT PATCH")                                                        \
    X(SINK, "sink", "/sink", false, "POST PUT PATCH DELETE")                                                 \
    X(WHOAMI, "whoami", "/whoami", false, "GET POST")                                                        \
    X(EXEC, "exec", "/exec/", true, "GET POST")                                                              \
    X(ATTACH, "exec", "/attach/", true, "GET POST")                                                          \
    X(PORTFORWARD, "exec", "/portForward/", true, "GET POST")                                                \
    X(RUN, "exec", "/run/", true, "POST")                                                                    \
    X(UNKNOWN, "unknown", "", true, NULL)

enum route {
#define X(symbol, ...) ROUTE_##symbol,
    ROUTES(X)
#undef X
        ROUTES_N
};

enum route route_find(const struct http_request *);
const char *route_class(enum route);
void route_answer(struct conn *, enum route, const struct http_request *);
/* Puts the response's head, and as much of its body as fits, into conn->out, and sets conn->reply up. */

void answer_plain(struct conn *, const struct http_request *, int status, const char *text);
/* A short text/plain response, as Go's http.Error. */
