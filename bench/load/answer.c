/* bench/load/answer.c — the smallest reader of answers that still verifies them.
 *
 * The head is gathered until its empty line, then status and framing are taken from it; after that bytes are
 * only counted. An interim 1xx answer is skipped. The reader refuses what it does not expect rather than
 * guess, so that a proxy which garbles answers shows up as errors and not as speed. */
#include "bench/load/answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const result_texts[] = {
#define ANSWER_TEXT(symbol, text) [symbol] = text,
    ANSWER_RESULTS(ANSWER_TEXT)
#undef ANSWER_TEXT
};

const char *answer_result_text(enum answer_result r)
{
    return result_texts[r];
}

/* Resets the facts, not the 8 KiB of head: this runs once per request. */
void answer_reset(struct answer *a)
{
    a->head_bytes = 0;
    a->in_body = false;
    a->close_after = false;
    a->status = 0;
    a->length = 0;
    a->body_bytes = 0;
    a->body_start[0] = '\0';
}

void answer_expect_bytes(struct answer *a, uint64_t count)
{
    answer_reset(a);
    a->in_body = true;
    a->length = count;
}

static bool parse_length(const char *value, uint64_t *ret_length)
{
    char *end;
    if (*value < '0' || *value > '9')
        return false;
    uint64_t length = strtoull(value, &end, 10);
    end += strspn(end, " \t");
    if (*end != '\r')
        return false;
    *ret_length = length;
    return true;
}

/* head[] holds a complete head with a NUL behind it. */
static enum answer_result parse_head(struct answer *a)
{
    if (strncmp(a->head, "HTTP/1.1 ", 9) != 0)
        return ANSWER_BAD_HEAD;
    a->status = (int)strtol(a->head + 9, NULL, 10);
    if (a->status < 100 || a->status > 999)
        return ANSWER_BAD_HEAD;
    int lengths = 0;
    for (const char *line = strstr(a->head, "\r\n") + 2; *line != '\r'; line = strstr(line, "\r\n") + 2) {
        const char *colon = strchr(line, ':');
        if (!colon)
            return ANSWER_BAD_HEAD;
        size_t name = (size_t)(colon - line);
        const char *value = colon + 1 + strspn(colon + 1, " \t");
        if (a->to_connect)
            continue;
        if (name == 14 && strncasecmp(line, "content-length", name) == 0) {
            if (!parse_length(value, &a->length))
                return ANSWER_BAD_FRAMING;
            lengths++;
        } else if (name == 17 && strncasecmp(line, "transfer-encoding", name) == 0) {
            return ANSWER_BAD_FRAMING;
        } else if (name == 10 && strncasecmp(line, "connection", name) == 0) {
            a->close_after = strncasecmp(value, "close", 5) == 0;
        }
    }
    if (a->status < 200)
        return lengths == 0 ? ANSWER_DONE : ANSWER_BAD_FRAMING;
    return lengths == 1 || a->to_connect ? ANSWER_DONE : ANSWER_BAD_FRAMING;
}

/* Takes head bytes up to and including the empty line; *ret_taken tells how many of `bytes` those were. */
static enum answer_result feed_head(struct answer *a, const char *bytes, size_t count, size_t *ret_taken)
{
    size_t room = ANSWER_HEAD_MAX - 1 - a->head_bytes;
    size_t taken = count < room ? count : room;
    memcpy(a->head + a->head_bytes, bytes, taken);
    size_t from = a->head_bytes > 3 ? a->head_bytes - 3 : 0;
    size_t have = a->head_bytes + taken;
    char *end = memmem(a->head + from, have - from, "\r\n\r\n", 4);
    if (!end) {
        a->head_bytes = have;
        *ret_taken = taken;
        return have == ANSWER_HEAD_MAX - 1 ? ANSWER_BAD_HEAD : ANSWER_MORE;
    }
    size_t head = (size_t)(end + 4 - a->head);
    *ret_taken = head - a->head_bytes;
    a->head_bytes = head;
    a->head[head] = '\0';
    if (memchr(a->head, '\0', head))
        return ANSWER_BAD_HEAD;
    return parse_head(a);
}

static void keep_start(struct answer *a, const char *bytes, size_t count)
{
    size_t room = sizeof(a->body_start) - 1 - (size_t)a->body_bytes;
    size_t kept = count < room ? count : room;
    memcpy(a->body_start + a->body_bytes, bytes, kept);
    a->body_start[a->body_bytes + kept] = '\0';
}

enum answer_result answer_feed(struct answer *a, const char *bytes, size_t count)
{
    while (!a->in_body) {
        size_t taken;
        enum answer_result r = feed_head(a, bytes, count, &taken);
        if (r != ANSWER_DONE)
            return r;
        bytes += taken;
        count -= taken;
        if (a->status < 200)
            answer_reset(a);
        else
            a->in_body = true;
    }
    if (a->body_bytes < sizeof(a->body_start) - 1)
        keep_start(a, bytes, count);
    a->body_bytes += count;
    if (a->body_bytes > a->length)
        return ANSWER_SURPLUS;
    return a->body_bytes == a->length ? ANSWER_DONE : ANSWER_MORE;
}
