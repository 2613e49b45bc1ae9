/* broker/http/head.c — packing a head into one block without pointers.
 *
 * The block, in this order and without gaps:
 *
 *     struct head | fields[fields_n] | bytes of method, host, path, reason, names and values
 *
 * Everything refers to its bytes by offset from the block's start, so the block may be copied or handed to
 * another worker as it is. The field table's place must be known before the first byte is written, so the
 * fields are counted once and copied once; both passes ask the same question, is_forwarded(), and the
 * assertion at the end holds them to the same answer.
 *
 * Packing is also where a proxy forgets what was meant for one connection only. Doing it here, once, means
 * that no writer of any protocol can forget to. What it refuses to do: judge the message (the parser did) or
 * invent fields.
 */
#include "broker/http/head.h"

#include <errno.h>

#include "broker/http/http1_scan.h"

struct packer {
    char *block;
    size_t cap;
    size_t at; /* where the next byte goes */
};

static const struct head_edit no_edit;

static struct head_span put(struct packer *p, struct slice s)
{
    struct head_span span = {(uint32_t)p->at, s.len};
    if (s.len > 0 && p->at + s.len <= p->cap)
        memcpy(p->block + p->at, s.data, s.len);
    p->at += s.len;
    return span;
}

static bool same_name(const struct head_field_view *field, enum http_field id, struct slice name)
{
    return field->id == id && (id != HTTP_FIELD_OTHER || slice_eq_nocase(field->name, name));
}

static bool replaced_by_edit(const struct head_field_view *field, const struct head_edit *edit)
{
    for (uint32_t i = 0; i < edit->changes_n; i++) {
        const struct head_change *change = &edit->changes[i];
        if (change->op != HEAD_ADD && same_name(field, http_field_of(change->name), change->name))
            return true;
    }
    return false;
}

/* Only for names without a row: those with one are in connection_named. */
static bool named_by_connection(const struct head_view *view, struct slice name)
{
    for (uint32_t i = 0; i < view->fields_n; i++) {
        if (view->fields[i].id != HTTP_FIELD_CONNECTION)
            continue;
        struct slice rest = view->fields[i].value, option;
        while (slice_next_element(&rest, &option))
            if (slice_eq_nocase(option, name))
                return true;
    }
    return false;
}

static bool is_forwarded(const struct head_view *view, const struct head_edit *edit,
                         const struct head_field_view *field)
{
    if (field->id == HTTP_FIELD_UPGRADE)
        return edit->keep_upgrade && view->upgrade;
    if (http_field_flags(field->id) & (FIELD_HOP | FIELD_CARRIED))
        return false;
    if (view->connection_named & (1ull << field->id))
        if (field->id != HTTP_FIELD_OTHER || named_by_connection(view, field->name))
            return false;
    return !replaced_by_edit(field, edit);
}

static uint32_t count_forwarded(const struct head_view *view, const struct head_edit *edit)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < view->fields_n; i++)
        n += is_forwarded(view, edit, &view->fields[i]);
    for (uint32_t i = 0; i < edit->changes_n; i++)
        n += edit->changes[i].op != HEAD_DROP;
    return n;
}

static bool edit_is_valid(const struct head_edit *edit)
{
    for (uint32_t i = 0; i < edit->changes_n; i++) {
        const struct head_change *change = &edit->changes[i];
        enum http_field id = http_field_of(change->name);
        if (!head_name_is_valid(change->name))
            return false;
        if ((http_field_flags(id) & FIELD_CARRIED) || id == HTTP_FIELD_CONNECTION ||
            id == HTTP_FIELD_TRANSFER_ENCODING)
            return false;
        if (change->op != HEAD_DROP && !head_value_is_valid(change->value))
            return false;
    }
    return true;
}

/* A complete path in at most two pieces, so that "?q" need not be copied to become "/?q". */
static struct head_span put_path(struct packer *p, const struct head_view *view)
{
    struct slice lead = SLICE("");
    if (view->kind == HEAD_REQUEST && view->form == TARGET_ABSOLUTE) {
        if (view->path.len == 0 && view->method == HTTP_METHOD_OPTIONS)
            lead = SLICE("*");
        else if (view->path.len == 0 || view->path.data[0] != '/')
            lead = SLICE("/");
    }
    struct head_span span = put(p, lead);
    span.len += put(p, view->path).len;
    return span;
}

static void put_field(struct packer *p, struct head *head, struct slice name, struct slice value,
                      enum http_field id)
{
    struct head_field field = {.id = id};
    field.name = put(p, name);
    field.value = put(p, value);
    head->fields[head->fields_n++] = field;
}

static void copy_facts(const struct head_view *view, const struct head_edit *edit, struct head *head)
{
    *head = (struct head){
        .kind = view->kind,
        .method = view->method,
        .form = view->form,
        .scheme = view->scheme,
        .host_kind = view->authority.kind,
        .body = view->body,
        .length = view->length,
        .status = view->status,
        .port = view->authority.port,
        .minor = view->minor,
        .has_port = view->authority.has_port,
        .has_length = view->has_length,
        .keep_alive = view->keep_alive,
        .close = view->close,
        .expect_continue = view->expect_continue,
        .upgrade = view->upgrade && edit->keep_upgrade,
        .tunnel = view->tunnel,
    };
}

size_t head_pack_bound(const struct head_view *view, const struct head_edit *edit)
{
    if (edit == NULL)
        edit = &no_edit;
    size_t size = sizeof(struct head) + view->method_text.len + view->authority.host.len + view->path.len +
                  1 + view->reason.len + (view->fields_n + edit->changes_n) * sizeof(struct head_field);
    for (uint32_t i = 0; i < view->fields_n; i++)
        size += view->fields[i].name.len + view->fields[i].value.len;
    for (uint32_t i = 0; i < edit->changes_n; i++)
        size += edit->changes[i].name.len + edit->changes[i].value.len;
    return size;
}

int head_pack(const struct head_view *view, const struct head_edit *edit, void *block, size_t cap,
              struct head **ret_head)
{
    ASSERT((uintptr_t)block % _Alignof(struct head) == 0);
    ASSERT(view->fields_n <= HEAD_FIELDS_MAX);
    if (edit == NULL)
        edit = &no_edit;
    if (!edit_is_valid(edit))
        return -EINVAL;
    uint32_t fields_n = count_forwarded(view, edit);
    struct packer p = {block, cap < UINT32_MAX ? cap : UINT32_MAX, sizeof(struct head)};
    p.at += fields_n * sizeof(struct head_field);
    if (p.at > p.cap)
        return -ENOSPC;
    struct head *head = block;
    copy_facts(view, edit, head);
    head->method_text = put(&p, view->method_text);
    head->host = put(&p, view->authority.host);
    head->path = put_path(&p, view);
    head->reason = put(&p, view->reason);
    for (uint32_t i = 0; i < view->fields_n; i++) {
        const struct head_field_view *field = &view->fields[i];
        if (is_forwarded(view, edit, field))
            put_field(&p, head, field->name, field->value, field->id);
    }
    for (uint32_t i = 0; i < edit->changes_n; i++) {
        const struct head_change *change = &edit->changes[i];
        if (change->op != HEAD_DROP)
            put_field(&p, head, change->name, change->value, http_field_of(change->name));
    }
    ASSERT(head->fields_n == fields_n);
    if (p.at > p.cap)
        return -ENOSPC;
    head->size = (uint32_t)p.at;
    *ret_head = head;
    return 0;
}

static bool span_is_inside(struct head_span span, size_t size)
{
    return span.at <= size && span.len <= size - span.at;
}

bool head_check(const struct head *head, size_t size)
{
    if (size < sizeof *head || head->size > size || head->size < sizeof *head)
        return false;
    if (head->fields_n > (head->size - sizeof *head) / sizeof head->fields[0])
        return false;
    if (!span_is_inside(head->method_text, head->size) || !span_is_inside(head->host, head->size) ||
        !span_is_inside(head->path, head->size) || !span_is_inside(head->reason, head->size))
        return false;
    for (uint32_t i = 0; i < head->fields_n; i++) {
        const struct head_field *field = &head->fields[i];
        if (!span_is_inside(field->name, head->size) || !span_is_inside(field->value, head->size))
            return false;
        if (field->id >= HTTP_FIELD_COUNT)
            return false;
    }
    return true;
}

static struct slice span_slice(const struct head *head, struct head_span span)
{
    return (struct slice){(const char *)head + span.at, span.len};
}

struct slice head_method_text(const struct head *head)
{
    return span_slice(head, head->method_text);
}

struct slice head_host(const struct head *head)
{
    return span_slice(head, head->host);
}

struct slice head_path(const struct head *head)
{
    return span_slice(head, head->path);
}

struct slice head_reason(const struct head *head)
{
    return span_slice(head, head->reason);
}

struct slice head_field_name_at(const struct head *head, uint32_t i)
{
    ASSERT(i < head->fields_n);
    return span_slice(head, head->fields[i].name);
}

struct slice head_field_value_at(const struct head *head, uint32_t i)
{
    ASSERT(i < head->fields_n);
    return span_slice(head, head->fields[i].value);
}

uint32_t head_find(const struct head *head, enum http_field id, uint32_t from)
{
    for (uint32_t i = from; i < head->fields_n; i++)
        if (head->fields[i].id == id)
            return i;
    return head->fields_n;
}

uint32_t head_find_name(const struct head *head, struct slice name, uint32_t from)
{
    enum http_field id = http_field_of(name);
    if (id != HTTP_FIELD_OTHER)
        return head_find(head, id, from);
    for (uint32_t i = from; i < head->fields_n; i++)
        if (head->fields[i].id == id && slice_eq_nocase(head_field_name_at(head, i), name))
            return i;
    return head->fields_n;
}

const struct head_field_view *head_view_find(const struct head_view *view, enum http_field id)
{
    for (uint32_t i = 0; i < view->fields_n; i++)
        if (view->fields[i].id == id)
            return &view->fields[i];
    return NULL;
}

bool head_name_is_valid(struct slice name)
{
    return name.len > 0 && http1_token_length(name.data, name.data + name.len) == name.len;
}

bool head_value_is_valid(struct slice value)
{
    if (slice_trim(value).len != value.len)
        return false;
    return value.len == 0 || http1_find_control(value.data, value.data + value.len) == value.data + value.len;
}
