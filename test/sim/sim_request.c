/* test/sim/sim_request.c — see sim_request.h. */
#include "sim_request.h"

#include <inttypes.h>
#include <stdlib.h>

static enum sim_act some_act(struct sim_net *n, const struct sim_habits *h)
{
    static const enum sim_act good[] = {ACT_LENGTH, ACT_CHUNKED, ACT_NO_CONTENT, ACT_INTERIM, ACT_EARLY};
    static const enum sim_act closing[] = {ACT_UNTIL_CLOSE, ACT_LAST};
    static const enum sim_act bad[] = {ACT_EARLY_CLOSE, ACT_SILENT,     ACT_CUT_HEAD, ACT_CUT_BODY,
                                       ACT_RESET_BODY,  ACT_RESET_OPEN, ACT_GARBAGE};
    if (sim_chance(n, h->never_acts))
        return ACT_NEVER;
    if (sim_chance(n, h->bad_acts))
        return bad[sim_random(n) % ARRAY_SIZE(bad)];
    if (sim_chance(n, h->closing_acts))
        return closing[sim_random(n) % ARRAY_SIZE(closing)];
    return good[sim_random(n) % ARRAY_SIZE(good)];
}

/* Small, medium and large lengths alike, and nothing rather often. */
static uint32_t some_length(struct sim_net *n, uint32_t most)
{
    unsigned bits = (unsigned)sim_between(n, 0, 31);
    uint32_t scale = bits >= 31 ? most : (uint32_t)((1ull << bits) % ((uint64_t)most + 1));
    return (uint32_t)sim_between(n, 0, scale);
}

static void put_body(struct sim_net *n, const struct sim_exchange *x, struct sim_bytes *out)
{
    uint8_t *body = malloc(x->request_len + 1u);
    ASSERT(body != NULL);
    sim_body_fill(x->id, SIDE_REQUEST, 0, body, x->request_len);
    if (!x->request_chunked) {
        sim_bytes_put(out, body, x->request_len);
    } else {
        for (uint32_t at = 0; at < x->request_len;) {
            uint32_t len = (uint32_t)sim_between(n, 1, x->request_len - at);
            sim_bytes_print(out, "%x\r\n", len);
            sim_bytes_put(out, body + at, len);
            sim_bytes_print(out, "\r\n");
            at += len;
        }
        sim_bytes_print(out, sim_chance(n, 300) ? "0\r\nX-Trailer: yes\r\n\r\n" : "0\r\n\r\n");
    }
    free(body);
}

static void put_head(const struct sim_exchange *x, const struct sim_backend *b, struct sim_bytes *out)
{
    const char *host = sim_backend_host(b), *method = sim_method_name(x->method);
    bool bodied = x->method == METHOD_PUT || x->method == METHOD_POST;
    sim_bytes_print(out, "%s %s://%s/x/%" PRIu32 " HTTP/1.1\r\nHost: %s\r\nX-Id: %" PRIu32 "\r\n", method,
                    sim_backend_scheme(b), host, x->id, host, x->id);
    if (x->request_chunked)
        sim_bytes_print(out, "Transfer-Encoding: chunked\r\n\r\n");
    else if (bodied)
        sim_bytes_print(out, "Content-Length: %" PRIu32 "\r\n\r\n", x->request_len);
    else
        sim_bytes_print(out, "\r\n");
}

uint32_t sim_request_add(struct sim_net *n, struct sim_ledger *ledger, const struct sim_habits *h,
                         const struct sim_backend *b)
{
    struct sim_exchange *x = sim_ledger_add(ledger);
    x->backend = sim_backend_number(b);
    x->method = (enum sim_method)(sim_random(n) % METHOD_COUNT);
    x->act = some_act(n, h);
    x->answer_len = x->act == ACT_NO_CONTENT ? 0 : some_length(n, h->answer_max);
    bool bodied = x->method == METHOD_PUT || x->method == METHOD_POST;
    x->request_chunked = bodied && sim_chance(n, 300);
    x->request_len = bodied ? some_length(n, h->request_max) : 0;
    x->delay_ns = sim_between(n, 0, h->backend_think_max_ns);
    x->untrusted = !sim_backend_is_trusted(b);
    x->begun_ns = sim_now_ns(n);
    sim_trace(n, "ask", x->id, x->backend, (uint64_t)x->act);
    return x->id;
}

uint32_t sim_request_make(struct sim_net *n, struct sim_ledger *ledger, const struct sim_habits *h,
                          const struct sim_backend *b, uint64_t written, struct sim_bytes *out)
{
    uint32_t id = sim_request_add(n, ledger, h, b);
    struct sim_exchange *x = sim_ledger_find(ledger, id);
    put_head(x, b, out);
    x->request_at = written + (out->len - out->at);
    put_body(n, x, out);
    return id;
}
