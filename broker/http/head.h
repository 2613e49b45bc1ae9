/* broker/http/head.h — the head of a message, apart from any protocol's way of writing it.
 * head_view is what a parser found: slices into the parser's input, good while that input stays where it is.
 * head is the packed copy without pointers: one block that can be copied, posted to another worker and read
 * there. HTTP/1.1 fills and writes them today, HTTP/2 uses the same two. Pure; any thread that may read the
 * memory.
 */
#pragma once

#include "broker/http/authority.h"
#include "broker/http/http_name.h"

/* Fields per message, contracts.md section 6. Sizes head_view. */
#define HEAD_FIELDS_MAX 256

enum head_kind { HEAD_REQUEST, HEAD_RESPONSE, HEAD_TRAILERS };

/* RFC 9112 section 3.2. */
enum target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };

/* Where the body ends, RFC 9112 section 6.3. NONE: there is none by rule, whatever the fields say. */
enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };

struct head_field_view {
    struct slice name;  /* as sent, never empty */
    struct slice value; /* without surrounding whitespace; may be empty */
    enum http_field id;
};

struct head_view {
    enum head_kind kind;
    uint8_t minor; /* of HTTP/1: 0 or 1 */

    /* requests */
    enum http_method method;
    enum target_form form;
    enum http_scheme scheme; /* of absolute-form, else NONE */
    struct slice method_text;
    struct slice target; /* whole, as sent */
    /* Of the target; in origin- and asterisk-form of Host; host.len 0 if there is none. */
    struct authority authority;
    struct slice path; /* path and query: "/a?b"; absolute-form may have "" or "?b"; "*" in asterisk-form */
    struct slice host; /* value of Host; data NULL without one (HTTP/1.0) */

    /* responses */
    uint16_t status; /* 100 to 599 */
    struct slice reason;

    enum body_kind body;
    uint64_t length; /* Content-Length if has_length */
    bool has_length; /* always with BODY_LENGTH; with BODY_NONE what a body would have had (HEAD, 304) */

    bool keep_alive;      /* the connection may carry another message after this one */
    bool close;           /* Connection: close was said */
    bool expect_continue; /* Expect: 100-continue, HTTP/1.1 only */
    bool upgrade;         /* Connection: upgrade and an Upgrade field, HTTP/1.1 only */
    bool tunnel;          /* what follows the head is not HTTP: 101, and 2xx to CONNECT */

    uint64_t connection_named; /* set of the fields that Connection names; bit 0: unknown ones too */
    uint32_t fields_n;
    struct head_field_view fields[HEAD_FIELDS_MAX]; /* in the order of arrival; beyond fields_n undefined */
};

/* One change that packing makes on the way. SET drops every field of that name and adds one; names compare
 * without regard to case. */
enum head_change_op { HEAD_ADD, HEAD_SET, HEAD_DROP };
struct head_change {
    enum head_change_op op;
    struct slice name;
    struct slice value; /* unused by HEAD_DROP */
};

struct head_edit {
    const struct head_change *changes;
    uint32_t changes_n;
    bool keep_upgrade; /* keep Upgrade fields and the upgrade flag where the message asks for an upgrade */
};

struct head_span {
    uint32_t at; /* from the start of the block */
    uint32_t len;
};

struct head_field {
    struct head_span name, value;
    uint32_t id; /* enum http_field */
};

/* Public so that its owner may adjust framing and flags before writing; the spans are for the functions
 * below. */
struct head {
    uint32_t size; /* bytes of the whole block */
    uint32_t fields_n;
    enum head_kind kind;
    enum http_method method;
    enum target_form form;
    enum http_scheme scheme;
    enum host_kind host_kind;
    enum body_kind body;
    uint64_t length;
    uint16_t status;
    uint16_t port; /* as struct authority's */
    uint8_t minor; /* what the sender spoke */
    bool has_port;
    bool has_length;
    bool keep_alive; /* of the connection the head came from, as are the next two */
    bool close;
    bool expect_continue;
    bool upgrade; /* kept and wanted: the writer adds Connection: Upgrade */
    bool tunnel;
    struct head_span method_text, host, path, reason;
    struct head_field fields[];
};

size_t head_pack_bound(const struct head_view *, const struct head_edit *);
/* Bytes that head_pack() can need for this view and edit; it may need fewer. */
MUST_USE int head_pack(const struct head_view *, const struct head_edit *, void *block, size_t cap,
                       struct head **ret_head);
/* Copies what may be forwarded into the caller's block (aligned for uint64_t) and gives it back as a head;
 * the block stays the caller's. Left out: hop-by-hop fields and whatever Connection names (RFC 9110, 7.6.1),
 * and what struct head carries elsewhere: Host, Content-Length, Expect. Trailer stays. A path is made
 * complete: "" becomes "/" ("*" for OPTIONS), "?q" becomes "/?q". edit may be NULL. 0; -ENOSPC: cap too
 * small; -EINVAL: a name or value in the edit has bytes a field cannot have, or names framing that struct
 * head carries (Content-Length, Host, Expect, Connection, Transfer-Encoding): no edit can smuggle a line or a
 * second framing. */
bool head_check(const struct head *, size_t size);
/* Every span lies inside size bytes and the counts agree: what a receiver asserts in debug. */

struct slice head_method_text(const struct head *);
struct slice head_host(const struct head *);
/* Host without brackets; len 0 if the message had none. */
struct slice head_path(const struct head *);
struct slice head_reason(const struct head *);
struct slice head_field_name_at(const struct head *, uint32_t i);
struct slice head_field_value_at(const struct head *, uint32_t i);
/* Slices into the block, good as long as it is. i < fields_n (asserted). */

uint32_t head_find(const struct head *, enum http_field, uint32_t from);
uint32_t head_find_name(const struct head *, struct slice name, uint32_t from);
/* Index of the first such field at or after `from`; fields_n if there is none. */
const struct head_field_view *head_view_find(const struct head_view *, enum http_field);
/* First such field of a view, or NULL. */

bool head_name_is_valid(struct slice name);
/* A token, RFC 9110 section 5.6.2. */
bool head_value_is_valid(struct slice value);
/* No CTL but HTAB and no whitespace at the ends, RFC 9110 section 5.5. */
