/* tools/kubelet-sim/route.c — which path does what.
 *
 * One row per path gives its class for the tallies and its methods (405 with Allow otherwise); a handler only
 * says what the body is. The response's head is written here and nowhere else, but for the late one of /sink.
 */
#include "tools/kubelet-sim/route.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/kubelet-sim/conn.h"
#include "tools/kubelet-sim/content.h"
#include "tools/kubelet-sim/worker.h"

static const struct {
    const char *class, *path;
    size_t path_n;
    bool prefix;
    const char *methods;
} routes[] = {
#define X(symbol, class, path, prefix, methods) {class, path, sizeof(path) - 1, prefix, methods},
    ROUTES(X)
#undef X
};

enum route route_find(const struct http_request *request)
{
    struct slice path = request->path;
    for (int i = 0; i < ROUTES_N; i++)
        if (path.n >= routes[i].path_n && (routes[i].prefix || path.n == routes[i].path_n) &&
            memcmp(path.at, routes[i].path, routes[i].path_n) == 0)
            return (enum route)i;
    return ROUTE_UNKNOWN;
}

const char *route_class(enum route route)
{
    return routes[route].class;
}

static const char *status_text(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    }
    return "Status";
}

struct head {
    int status;
    const char *type, *extra; /* extra: whole field lines, or "" */
    uint64_t length;
    bool chunked;
};

/* After it conn->reply may be pumped: reply.chunked is set, and a HEAD request has no body left. */
static void put_head(struct conn *conn, const struct http_request *request, const struct head *head)
{
    struct buffer *out = conn->out;
    char framing[48];
    if (request->http10 && head->chunked)
        conn->close_after = true;
    conn->reply.chunked = head->chunked && !request->http10;
    if (conn->reply.chunked)
        snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
    else if (head->chunked)
        framing[0] = '\0';
    else
        snprintf(framing, sizeof(framing), "Content-Length: %llu\r\n", (unsigned long long)head->length);
    const char *connection = conn->close_after ? "Connection: close\r\n"
                             : request->http10 ? "Connection: keep-alive\r\n"
                                               : "";
    out->end += (size_t)snprintf(out->at + out->end, buffer_room(out),
                                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nDate: %s\r\n%s%s%s\r\n", head->status,
                                 status_text(head->status), head->type, conn->worker->date, framing,
                                 head->extra, connection);
    if (slice_is(request->method, "HEAD")) {
        reply_fini(&conn->reply);
        conn->reply.kind = REPLY_NONE;
    }
}

/* A client that waits for 100 Continue before a body nobody will read: no telling whether it will send it. */
static void forgo_body(struct conn *conn, const struct http_request *request)
{
    if (request->expects_continue && !conn->body.ended)
        conn->close_after = conn->body.ended = true;
}

static void answer_text(struct conn *conn, const struct http_request *request, struct text *text,
                        struct head head)
{
    forgo_body(conn, request);
    conn->reply = (struct reply){.kind = REPLY_TEXT, .text = text->at, .left = text->n};
    head.length = text->n;
    *text = (struct text){0};
    put_head(conn, request, &head);
    if (conn->reply.kind == REPLY_TEXT)
        reply_pump(conn);
}

void answer_plain(struct conn *conn, const struct http_request *request, int status, const char *words)
{
    struct text text = {0};
    text_addf(&text, status == 200 ? "%s" : "%s\n", words);
    const char *extra = status == 200 ? "" : "X-Content-Type-Options: nosniff\r\n";
    answer_text(conn, request, &text, (struct head){status, "text/plain; charset=utf-8", extra, 0, false});
}

static void answer_bytes(struct conn *conn, const struct http_request *request)
{
    struct slice number = {request->path.at + routes[ROUTE_BYTES].path_n,
                           request->path.n - routes[ROUTE_BYTES].path_n};
    uint64_t n = 0;
    for (size_t i = 0; i < number.n && n <= UINT64_C(1) << 44; i++)
        n = number.at[i] >= '0' && number.at[i] <= '9' ? n * 10 + (uint64_t)(number.at[i] - '0')
                                                       : UINT64_MAX / 2;
    if (number.n == 0 || n > UINT64_C(1) << 44) {
        answer_plain(conn, request, 400, "not a number of bytes");
        return;
    }
    forgo_body(conn, request);
    conn->reply = (struct reply){.kind = REPLY_PATTERN, .left = n};
    put_head(
        conn, request,
        &(struct head){200, "application/octet-stream", "", n, http_query_flag(request->query, "chunked")});
    if (conn->reply.kind == REPLY_PATTERN)
        reply_pump(conn);
}

static void answer_log(struct conn *conn, const struct http_request *request)
{
    uint64_t lines = conn->worker->sim->options.log_lines;
    uint64_t tail = http_query_number(request->query, "tailLines", lines);
    uint64_t first = tail < lines ? lines - tail : 0;
    forgo_body(conn, request);
    conn->reply = (struct reply){.kind = REPLY_LOG,
                                 .at = first,
                                 .left = lines - first,
                                 .limit_left = http_query_number(request->query, "limitBytes", UINT64_MAX),
                                 .follow = http_query_flag(request->query, "follow")};
    put_head(conn, request, &(struct head){200, "text/plain", "", 0, true});
}

static void say_continue(struct conn *conn, const struct http_request *request)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request->expects_continue && !conn->body.ended) {
        memcpy(conn->out->at + conn->out->end, line, sizeof(line) - 1);
        conn->out->end += sizeof(line) - 1;
    }
}

static void answer_echo(struct conn *conn, const struct http_request *request)
{
    say_continue(conn, request);
    conn->reply = (struct reply){.kind = REPLY_ECHO};
    put_head(conn, request,
             &(struct head){200, "application/octet-stream", "", request->content_length,
                            request->framing == FRAMING_CHUNKED});
}

static void answer_sink(struct conn *conn, const struct http_request *request)
{
    say_continue(conn, request);
    conn->reply = (struct reply){.kind = REPLY_SINK, .sha256 = EVP_MD_CTX_new()};
    EVP_DigestInit_ex(conn->reply.sha256, EVP_sha256(), NULL);
}

static void add_name_entries(struct text *t, X509 *cert, int nid)
{
    const char *separator = "";
    const X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    text_addf(t, "[");
    for (int i = -1; name && (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;) {
        unsigned char *utf8 = NULL;
        if (ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i))) < 0)
            continue;
        text_addf(t, "%s", separator);
        text_add_json(t, (const char *)utf8);
        separator = ",";
        OPENSSL_free(utf8);
    }
    text_addf(t, "]");
}

static void answer_whoami(struct conn *conn, const struct http_request *request)
{
    char name[NAME_MAX_BYTES], address[INET_ADDRSTRLEN], cn[65] = "";
    X509 *peer = SSL_get0_peer_certificate(conn->ssl);
    struct sim *sim = conn->worker->sim;
    struct text t = {0};
    fleet_name(conn->node, name);
    fleet_address(&sim->fleet, conn->node, address);
    if (peer)
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, cn, sizeof(cn));
    text_addf(&t, "{\"node\":\"%s\",\"address\":\"%s\",\"port\":%llu,\"client_cn\":", name, address,
              (unsigned long long)sim->options.port);
    text_add_json(&t, cn);
    text_addf(&t, ",\"client_o\":");
    add_name_entries(&t, peer, NID_organizationName);
    text_addf(&t, ",\"tls\":\"%s\",\"cipher\":\"%s\",\"resumed\":%s,\"connection\":%u,\"request\":%u}\n",
              SSL_get_version(conn->ssl), SSL_get_cipher_name(conn->ssl), conn->resumed ? "true" : "false",
              conn->ordinal + 1, conn->requests);
    answer_text(conn, request, &t, (struct head){200, "application/json", "", 0, false});
}

static void answer_upgrade(struct conn *conn, const struct http_request *request)
{
    if (!request->wants_upgrade || request->upgrade.n == 0) {
        answer_plain(conn, request, 400, "Upgrade request required");
        return;
    }
    char accept[80] = "";
    if (request->websocket_key.n > 0 && request->websocket_key.n < 64) {
        unsigned char in[128], digest[20], base64[32];
        size_t n = (size_t)snprintf((char *)in, sizeof(in), "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                                    (int)request->websocket_key.n, request->websocket_key.at);
        EVP_Digest(in, n, digest, NULL, EVP_sha1(), NULL);
        EVP_EncodeBlock(base64, digest, sizeof(digest));
        snprintf(accept, sizeof(accept), "Sec-WebSocket-Accept: %s\r\n", (char *)base64);
    }
    struct buffer *out = conn->out;
    out->end += (size_t)snprintf(
        out->at, buffer_room(out),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %.*s\r\n%s\r\n",
        (int)(request->upgrade.n < 256 ? request->upgrade.n : 256), request->upgrade.at, accept);
    conn->reply = (struct reply){.kind = REPLY_TUNNEL};
    conn->body.ended = true; /* what follows is the tunnel's */
    conn->close_after = true;
}

static void answer_content(struct conn *conn, const struct http_request *request,
                           void (*content)(const struct sim *, uint32_t, struct text *), const char *type)
{
    struct text t = {0};
    content(conn->worker->sim, conn->node, &t);
    answer_text(conn, request, &t, (struct head){200, type, "", 0, false});
}

static bool method_allowed(const char *methods, struct slice method)
{
    if (slice_is(method, "HEAD"))
        return strstr(methods, "GET") != NULL;
    for (const char *at = methods; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == method.n && memcmp(at, method.at, method.n) == 0)
            return true;
    return false;
}

static void refuse_method(struct conn *conn, const struct http_request *request, const char *methods)
{
    struct text text = {0};
    char allow[64];
    snprintf(allow, sizeof(allow), "Allow: %s\r\n", methods);
    for (char *space = allow + 7; (space = strchr(space, ' '));)
        *space = ',';
    text_addf(&text, "Method Not Allowed\n");
    answer_text(conn, request, &text, (struct head){405, "text/plain; charset=utf-8", allow, 0, false});
}

void route_answer(struct conn *conn, enum route route, const struct http_request *request)
{
    static const char prometheus[] = "text/plain; version=0.0.4; charset=utf-8", json[] = "application/json";
    if (routes[route].methods && !method_allowed(routes[route].methods, request->method)) {
        refuse_method(conn, request, routes[route].methods);
        return;
    }
    switch (route) {
    case ROUTE_HEALTHZ: answer_plain(conn, request, 200, "ok"); break;
    case ROUTE_BYTES: answer_bytes(conn, request); break;
    case ROUTE_METRICS: answer_content(conn, request, content_metrics, prometheus); break;
    case ROUTE_METRICS_CADVISOR: answer_content(conn, request, content_metrics_cadvisor, prometheus); break;
    case ROUTE_METRICS_RESOURCE: answer_content(conn, request, content_metrics_resource, prometheus); break;
    case ROUTE_PODS:
    case ROUTE_RUNNINGPODS: answer_content(conn, request, content_pods, json); break;
    case ROUTE_STATS: answer_content(conn, request, content_stats, json); break;
    case ROUTE_CONFIGZ: answer_content(conn, request, content_configz, json); break;
    case ROUTE_LOGS: answer_log(conn, request); break;
    case ROUTE_ECHO: answer_echo(conn, request); break;
    case ROUTE_SINK: answer_sink(conn, request); break;
    case ROUTE_WHOAMI: answer_whoami(conn, request); break;
    case ROUTE_EXEC:
    case ROUTE_ATTACH:
    case ROUTE_PORTFORWARD:
    case ROUTE_RUN: answer_upgrade(conn, request); break;
    case ROUTE_UNKNOWN:
    case ROUTES_N: answer_plain(conn, request, 404, "404 page not found"); break;
    }
}
