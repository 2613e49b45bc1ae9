/* test/fuzz/their_http1.c — running http_parser over one message.
 *
 * It is paused when the message is complete, so that it does not start on the bytes that follow; a pause is
 * therefore no error, and where it happened is where it saw the end.
 */
#include "test/fuzz/their_http1.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct their_message *message;
    enum their_body body;
    bool in_name;
};

static int on_url(http_parser *p, const char *at, size_t len)
{
    struct their_message *m = ((struct run *)p->data)->message;
    memcpy(m->url + m->url_len, at, len);
    m->url_len += len;
    return 0;
}

/* Names come in pieces; the first piece after a value begins a field. */
static int on_name(http_parser *p, const char *at, size_t len)
{
    struct run *run = p->data;
    (void)at;
    if (!run->in_name && len > 0)
        run->message->fields_n++;
    run->in_name = true;
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    (void)at;
    (void)len;
    ((struct run *)p->data)->in_name = false;
    return 0;
}

static int on_head(http_parser *p)
{
    struct run *run = p->data;
    run->message->head_complete = true;
    run->message->length = p->content_length;
    run->message->chunked = (p->flags & F_CHUNKED) != 0;
    return (int)run->body; /* 0: body follows, 1: none, 2: none and no further messages */
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    struct their_message *m = ((struct run *)p->data)->message;
    memcpy(m->body + m->body_len, at, len);
    m->body_len += len;
    return 0;
}

static int on_message(http_parser *p)
{
    ((struct run *)p->data)->message->message_complete = true;
    http_parser_pause(p, 1);
    return 0;
}

void their_message_parse(bool is_request, enum their_body body, const char *data, size_t len,
                         struct their_message *ret)
{
    http_parser p;
    http_parser_settings settings;
    struct run run = {.message = ret, .body = body};
    *ret = (struct their_message){.url = malloc(len + 1), .body = malloc(len + 1)};
    if (ret->url == NULL || ret->body == NULL)
        abort();
    http_parser_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_headers_complete = on_head;
    settings.on_body = on_body;
    settings.on_message_complete = on_message;
    http_parser_init(&p, is_request ? HTTP_REQUEST : HTTP_RESPONSE);
    p.data = &run;
    ret->used = http_parser_execute(&p, &settings, data, len);
    enum http_errno error = HTTP_PARSER_ERRNO(&p);
    if (error != HPE_OK && error != HPE_PAUSED)
        ret->error = http_errno_description(error);
    ret->method = is_request ? http_method_str(p.method) : "";
    ret->status = p.status_code;
    ret->major = p.http_major;
    ret->minor = p.http_minor;
    ret->upgrade = p.upgrade;
    ret->keep_alive = http_should_keep_alive(&p) != 0;
    ret->until_close = !ret->chunked && ret->length == UINT64_MAX && !is_request;
}

void their_message_fini(struct their_message *message)
{
    free(message->url);
    free(message->body);
    message->url = message->body = NULL;
}
