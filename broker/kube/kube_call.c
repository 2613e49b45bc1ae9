/* broker/kube/kube_call.c — see kube_call.h. It speaks the messages of exchange.h: OPEN and DATA go out with
 * the request, HEAD, DATA and one last word come back. Answers are gathered in memory of their own, by
 * malloc: they are few, small, and none of the data path's. */
#include "broker/kube/kube_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/http/head.h"
#include "broker/kube/kube.h"
#include "io/worker.h"

static struct worker *worker_of(const struct kube_call *c)
{
    return c->kube->home->worker;
}

static void post(struct kube_call *c, uint32_t kind, struct seg seg, uint32_t value)
{
    struct worker *w = worker_of(c);
    struct msg msg = {
        .deliver = egress_deliver, .seg = seg, .kind = kind, .value = value, .extra = {c->slot, w->number}
    };
    mailbox_post(w, w->number, &msg); /* the endpoint's home is the API's */
}

static void call_free(struct kube_call *c)
{
    struct kube *k = c->kube;
    struct broker_worker *bw = k->home;
    bw->free_slots[bw->free_count++] = c->slot;
    list_remove(&c->node);
    free(c->body);
    slab_give(&k->calls, c);
    worker_defer(bw->worker, &k->start); /* there is room for another now */
}

/* -- request ------------------------------------------------------------------------------------------------
 */

static void add_field(struct head_view *view, enum http_field id, struct slice name, struct slice value)
{
    view->fields[view->fields_n++] = (struct head_field_view){name, value, id};
}

static void make_view(const struct kube *k, const struct kube_request *r, struct slice path,
                      struct head_view *view)
{
    memset(view, 0, offsetof(struct head_view, fields));
    view->kind = HEAD_REQUEST;
    view->minor = 1;
    view->method = r->method;
    view->method_text = slice_of_text(http_method_name(r->method));
    view->form = TARGET_ABSOLUTE;
    view->scheme = HTTP_SCHEME_HTTPS;
    view->path = path;
    view->host = slice_of_text(k->authority);
    enum authority_result result = authority_parse(view->host, &view->authority);
    ASSERT(result == AUTHORITY_OK);
    view->keep_alive = true;
    view->body = r->body ? BODY_LENGTH : BODY_NONE;
    view->length = r->len;
    view->has_length = r->body != NULL;
    add_field(view, HTTP_FIELD_ACCEPT, SLICE("Accept"), SLICE("application/json"));
    add_field(view, HTTP_FIELD_USER_AGENT, SLICE("User-Agent"), SLICE("hawser/" HAWSER_VERSION));
    if (r->body)
        add_field(view, HTTP_FIELD_CONTENT_TYPE, SLICE("Content-Type"), SLICE("application/json"));
    if (bearer_field(&k->bearer).len > 0)
        add_field(view, HTTP_FIELD_AUTHORIZATION, SLICE("Authorization"), bearer_field(&k->bearer));
}

static uint32_t ms_left(const struct kube_call *c, uint64_t deadline_ns)
{
    uint64_t now = worker_of(c)->now_ns;
    return deadline_ns > now ? (uint32_t)((deadline_ns - now) / 1000000) + 1 : 1;
}

/* OPEN with the head packed. False: out of buffers. */
static bool make_open(struct kube_call *c, const struct kube_request *r, struct seg *ret_seg)
{
    struct kube *k = c->kube;
    struct head_view view;
    char path[2048]; /* a prefix has 255, and the longest path, a list of Leases, 1,500 */
    struct head *head;
    int len = snprintf(path, sizeof(path), "%s%s", k->prefix, r->path);
    ASSERT(len > 0 && (size_t)len < sizeof(path));
    make_view(k, r, slice_of(path, (size_t)len), &view);
    size_t bound = sizeof(struct exchange_open) + head_pack_bound(&view, NULL);
    struct buf *b = buf_get_bytes(&worker_of(c)->bufs, (uint32_t)bound);
    if (!b)
        return false;
    struct exchange_open *open = (struct exchange_open *)b->mem;
    *open = (struct exchange_open){.front = c,
                                   .deliver = kube_deliver,
                                   .key = k->key,
                                   .form = EXCHANGE_REQUEST,
                                   .identity = k->key.profile->id,
                                   .lease_ms = ms_left(c, r->deadline_ns),
                                   .first_byte_ms = ms_left(c, r->deadline_ns)};
    int rc = head_pack(&view, NULL, open->head, b->cap - sizeof(*open), &head);
    ASSERT(rc == 0);
    *ret_seg = (struct seg){b, b->mem, (uint32_t)sizeof(*open) + head->size, 0};
    return true;
}

static bool make_body(struct kube_call *c, const struct kube_request *r, struct seg *ret_seg)
{
    struct buf *b = r->len <= c->kube->home->budget ? buf_get_bytes(&worker_of(c)->bufs, (uint32_t)r->len)
                                                    : NULL;
    if (!b)
        return false;
    memcpy(b->mem, r->body, r->len);
    *ret_seg = (struct seg){b, b->mem, (uint32_t)r->len, 0};
    return true;
}

bool kube_call_begin(struct kube *k, struct kube_request *r)
{
    struct broker_worker *bw = k->home;
    struct kube_call *c = bw->free_count > 0 ? slab_take(&k->calls) : NULL;
    struct seg open, body = {0};
    if (!c)
        return false;
    list_init(&c->node);
    list_add_tail(&k->calls_open, &c->node);
    c->kube = k;
    c->slot = bw->free_slots[--bw->free_count];
    if ((r->body && !make_body(c, r, &body)) || !make_open(c, r, &open)) {
        if (body.buf)
            buf_unref(body.buf);
        call_free(c);
        return false;
    }
    c->request = r;
    r->call = c;
    post(c, EX_OPEN | (r->body ? 0 : EX_WITH_END), open, 0);
    if (r->body)
        post(c, EX_DATA | EX_WITH_END, body, 0);
    return true;
}

void kube_call_give_up(struct kube_call *c)
{
    c->request->call = NULL;
    c->request = NULL;
    post(c, EX_RESET, (struct seg){0}, ENDING_CANCELLED);
}

/* -- answer -------------------------------------------------------------------------------------------------
 */

/* In seconds; the other form, a date, is not used by API servers. */
static uint32_t retry_after_ms(const struct head *head)
{
    uint32_t i = head_find(head, HTTP_FIELD_RETRY_AFTER, 0), seconds = 0;
    if (i == head->fields_n)
        return 0;
    struct slice value = head_field_value_at(head, i);
    if (value.len == 0 || value.len > 4)
        return KUBE_RETRY_AFTER_MS;
    for (uint32_t n = 0; n < value.len; n++) {
        if (value.data[n] < '0' || value.data[n] > '9')
            return KUBE_RETRY_AFTER_MS;
        seconds = seconds * 10 + (uint32_t)(value.data[n] - '0');
    }
    return seconds ? seconds * 1000 : 1;
}

static void on_head(struct kube_call *c, struct seg seg)
{
    const struct head *head = (const struct head *)seg.data;
    if (head->status >= 200) {
        c->status = head->status;
        c->retry_after_ms = retry_after_ms(head);
    }
    worker_release_seg(worker_of(c), seg);
}

/* What is wrong with our side of it; egress is told to stop. */
static void cut(struct kube_call *c, enum ending reason, const char *detail)
{
    c->ending = reason;
    snprintf(c->detail, sizeof(c->detail), "%s", detail);
    post(c, EX_RESET, (struct seg){0}, reason);
}

static bool make_room(struct kube_call *c, size_t len)
{
    size_t cap = c->cap ? c->cap : 4096;
    while (cap < c->len + len + 1)
        cap *= 2;
    char *body = cap > c->cap ? realloc(c->body, cap) : c->body;
    if (!body)
        return false;
    c->body = body;
    c->cap = cap;
    return true;
}

static void on_data(struct kube_call *c, struct seg seg)
{
    bool wanted = c->request && c->ending == ENDING_DONE;
    if (wanted && c->len + seg.len > KUBE_ANSWER_MAX) {
        cut(c, ENDING_BAD_RESPONSE, "the answer is longer than 1 MiB");
    } else if (wanted && !make_room(c, seg.len)) {
        cut(c, ENDING_LIMIT, "out of memory");
    } else if (wanted) {
        memcpy(c->body + c->len, seg.data, seg.len);
        c->len += seg.len;
    }
    post(c, EX_CREDIT, seg, seg.len);
}

/* Always the last word. */
static void on_reset(struct kube_call *c, struct msg *msg)
{
    if (c->ending == ENDING_DONE) { /* else it is the answer to our own */
        c->ending = (enum ending)(msg->value & EX_VALUE);
        snprintf(c->detail, sizeof(c->detail), "%.*s", (int)msg->seg.len,
                 msg->seg.buf ? (const char *)msg->seg.data : "");
    }
    if (msg->seg.buf)
        worker_release_seg(worker_of(c), msg->seg);
}

static void on_last_word(struct kube_call *c)
{
    if (c->request && c->ending == ENDING_DONE && !make_room(c, 0))
        c->ending = ENDING_LIMIT;
    if (c->request && c->ending == ENDING_DONE)
        c->body[c->len] = '\0';
    if (c->request)
        kube_call_done(c);
    call_free(c);
}

void kube_deliver(struct worker *w, struct msg *msg)
{
    struct kube_call *c = msg->to;
    enum exchange_kind kind = (enum exchange_kind)(msg->kind & EX_KIND);
    switch (kind) {
    case EX_HEAD: on_head(c, msg->seg); break;
    case EX_DATA: on_data(c, msg->seg); break;
    case EX_RESET: on_reset(c, msg); break;
    case EX_END:
    case EX_CREDIT:
        if (msg->seg.buf)
            worker_release_seg(w, msg->seg);
        break;
    case EX_OPEN:
    case EX_CONNECTED:
    case EX_FIN:
    case EX_KIND:
    case EX_WITH_END: ASSERT(!"not a message to the front half of a request");
    }
    if ((msg->kind & EX_WITH_END) || kind == EX_END || kind == EX_RESET)
        on_last_word(c);
}
