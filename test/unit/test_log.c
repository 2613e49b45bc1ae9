/* test/unit/test_log.c — log lines: both formats, escapes, limits, and what is lost when nobody reads. */
#include "io/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "io/worker.h"
#include "test/support/poll_engine.h"

static struct mailboxes *mail;
static struct worker worker;
static int pipe_fds[2];
static char out[1 << 20];

static int setup(void **state)
{
    (void)state;
    static const struct buf_limits limits = {
        {1, 1, 1}
    };
    assert_int_equal(mailboxes_new(1, 64, &mail), 0);
    assert_int_equal(worker_init(&worker, 0, 1, mail, &limits), 0);
    assert_int_equal(poll_engine_new(&worker, &worker.engine), 0);
    worker_start_clock(&worker);
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    worker_fini(&worker);
    mailboxes_free(&mail);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static void configure(bool json, enum log_level level)
{
    log_configure(&(struct log_options){.fd = pipe_fds[1], .json = json, .level = level});
}

/* Reads everything written so far behind the first `len` bytes of `out`; a string. */
static size_t read_out_append(size_t len)
{
    ssize_t n;
    while ((n = read(pipe_fds[0], out + len, sizeof(out) - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    return len;
}

static size_t read_out(void)
{
    return read_out_append(0);
}

static json_t *parse_line(const char *line, size_t len)
{
    json_error_t error;
    json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!json)
        print_error("%s in: %.*s\n", error.text, (int)len, line);
    assert_non_null(json);
    return json;
}

static const char *text_of(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

static void key_value_lines_have_the_first_keys_in_order(void **state)
{
    (void)state;
    configure(false, LOG_INFO);
    log_begin(&worker, LOG_WARN, "dial_failed");
    log_str(&worker, "peer", "10.0.0.1:10250");
    log_u64(&worker, "count", UINT64_MAX);
    log_ms(&worker, "took_ms", 1234567890);
    log_end(&worker);
    log_flush(&worker);
    read_out();
    char rest[200];
    int year, month, day, hour, minute, second, micro;
    assert_int_equal(sscanf(out, "time=%d-%d-%dT%d:%d:%d.%dZ %199[^\n]", &year, &month, &day, &hour, &minute,
                            &second, &micro, rest),
                     8);
    assert_true(year >= 2024);
    assert_string_equal(rest, "level=warn worker=0 event=dial_failed peer=10.0.0.1:10250 "
                              "count=18446744073709551615 took_ms=1234.567");
}

static void values_that_could_mislead_are_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
    } rows[] = {
        {"plain/value:1", "v=plain/value:1\n"       },
        {"",              "v=\"\"\n"                },
        {"two words",     "v=\"two words\"\n"       },
        {"a=b",           "v=\"a=b\"\n"             },
        {"say \"x\"",     "v=\"say \\\"x\\\"\"\n"   },
        {"c:\\x",         "v=\"c:\\\\x\"\n"         },
        {"line\nbreak",   "v=\"line\\u000abreak\"\n"},
        {"\x1b[31m",      "v=\"\\u001b[31m\"\n"     },
        {"\xc3\xa9",      "v=\"\\u00c3\\u00a9\"\n"  },
        {"\x7f",          "v=\"\\u007f\"\n"         },
    };
    configure(false, LOG_INFO);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        log_begin(&worker, LOG_INFO, "e");
        log_str(&worker, "v", rows[i].value);
        log_end(&worker);
        log_flush(&worker);
        read_out();
        assert_string_equal(strstr(out, "v="), rows[i].written);
    }
}

static void json_lines_parse_whatever_the_bytes(void **state)
{
    (void)state;
    configure(true, LOG_INFO);
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    log_begin(&worker, LOG_INFO, "every \"byte\"");
    log_strn(&worker, "all", bytes, sizeof(bytes));
    log_u64(&worker, "n", 7);
    log_ms(&worker, "ms", 1);
    log_str(&worker, "empty", "");
    log_end(&worker);
    log_flush(&worker);
    size_t len = read_out();
    json_t *json = parse_line(out, len);
    assert_string_equal(text_of(json, "level"), "info");
    assert_string_equal(text_of(json, "event"), "every \"byte\"");
    assert_string_equal(text_of(json, "empty"), "");
    assert_int_equal(json_integer_value(json_object_get(json, "n")), 7);
    assert_int_equal(json_integer_value(json_object_get(json, "worker")), 0);
    const json_t *all = json_object_get(json, "all");
    assert_int_equal(json_string_length(all), 128 + 2 * 128); /* Latin-1 read as UTF-8 */
    assert_memory_equal(json_string_value(all), bytes, 128);
    json_decref(json);
}

static void lines_above_the_level_cost_nothing(void **state)
{
    (void)state;
    configure(false, LOG_WARN);
    log_begin(&worker, LOG_INFO, "quiet");
    log_str(&worker, "k", "v");
    log_end(&worker);
    log_any_thread(LOG_DEBUG, "quiet", "x");
    log_flush(&worker);
    assert_int_equal(read_out(), 0);
    log_begin(&worker, LOG_WARN, "loud");
    log_end(&worker);
    log_flush(&worker);
    assert_true(read_out() > 0);
}

static void a_line_that_is_too_long_is_given_up_whole_and_counted(void **state)
{
    (void)state;
    char value[LOG_LINE_MAX + 100];
    memset(value, 'x', sizeof(value));
    for (int json = 0; json < 2; json++) {
        configure(json, LOG_INFO);
        uint64_t before = worker.log.dropped;
        uint64_t cut = 0;
        /* Every length around the limit: in one piece, and as escapes that end anywhere. */
        for (size_t len = LOG_LINE_MAX - 200; len <= LOG_LINE_MAX + 50; len++) {
            log_begin(&worker, LOG_INFO, "long");
            log_strn(&worker, "v", value, len);
            log_str(&worker, "tail", "\n\"");
            log_end(&worker);
            log_flush(&worker);
            size_t n = read_out();
            if (n == 0) {
                cut++;
                continue;
            }
            assert_true(n <= LOG_LINE_MAX + 2);
            assert_int_equal(out[n - 1], '\n');
            if (json)
                json_decref(parse_line(out, n));
            else
                assert_non_null(strstr(out, "tail=\"\\u000a\\\"\"\n"));
        }
        assert_true(cut > 50 && cut < 250);
        assert_int_equal(worker.log.dropped - before, cut);
    }
    log_begin(&worker, LOG_INFO, "next"); /* a cut line does not spoil the next */
    log_end(&worker);
    log_flush(&worker);
    json_decref(parse_line(out, read_out()));
}

/* Checks that `out` holds whole JSON lines with growing numbers; returns how many. */
static unsigned whole_lines(uint64_t *ret_last)
{
    unsigned lines = 0;
    for (char *line = out; *line; lines++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        json_t *json = parse_line(line, (size_t)(end - line));
        uint64_t n = (uint64_t)json_integer_value(json_object_get(json, "n"));
        assert_true(n > *ret_last);
        *ret_last = n;
        json_decref(json);
        line = end + 1;
    }
    return lines;
}

static void a_full_pipe_drops_whole_lines_and_counts_each(void **state)
{
    (void)state;
    configure(true, LOG_INFO);
    uint64_t written = 0, last = 0, read = 0;
    char padding[301];
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 300; i++) {
            written++;
            memset(padding, 'p', sizeof(padding));
            padding[written * 7 % 300] = '\0';
            log_begin(&worker, LOG_INFO, "flood");
            log_u64(&worker, "n", written);
            log_str(&worker, "padding", padding);
            log_end(&worker);
            if (i % 90 == 0)
                log_flush(&worker);
        }
        log_flush(&worker);
        if (round % 3 == 2) { /* the reader comes back: what was torn is completed first */
            size_t len = read_out();
            log_flush(&worker);
            read_out_append(len);
            read += whole_lines(&last);
        }
    }
    size_t len = read_out();
    log_flush(&worker);
    read_out_append(len);
    read += whole_lines(&last);
    assert_true(worker.log.dropped > 0);
    assert_int_equal(read + worker.log.dropped, written);
    assert_int_equal(atomic_load(&worker.counters.values[COUNTER_log_dropped]), worker.log.dropped);
}

static void a_full_buffer_is_written_before_the_turn_ends(void **state)
{
    (void)state;
    configure(true, LOG_INFO);
    uint64_t last = 0;
    unsigned lines = 0, n = 0;
    while (lines == 0) {
        log_begin(&worker, LOG_INFO, "many");
        log_u64(&worker, "n", ++n);
        log_end(&worker);
        assert_true(worker.log.used <= LOG_BUFFER_BYTES);
        if (read_out())
            lines += whole_lines(&last);
    }
    log_flush(&worker);
    read_out();
    assert_int_equal(lines + whole_lines(&last), n);
    assert_int_equal(worker.log.dropped, 0);
}

static void lines_of_any_thread_are_always_whole(void **state)
{
    (void)state;
    char message[1500];
    for (int json = 0; json < 2; json++) {
        configure(json, LOG_INFO);
        for (size_t len = 0; len < sizeof(message) - 1; len += 37) {
            memset(message, '\n', len); /* six bytes each when escaped */
            message[len] = '\0';
            log_any_thread(LOG_ERROR, "start", "%s", message);
            size_t n = read_out();
            assert_true(n > 0 && n <= LOG_LINE_MAX + 2);
            assert_int_equal(out[n - 1], '\n');
            assert_int_equal(strcspn(out, "\n"), n - 1);
            if (json)
                json_decref(parse_line(out, n));
            else if (len)
                assert_int_equal(out[n - 2], '"');
        }
    }
}

/* -- audit lines --------------------------------------------------------------------------------------------
 */

static int audit_fds[2];
static char audit_out[1 << 20];

static int setup_audit(void **state)
{
    assert_int_equal(pipe2(audit_fds, O_NONBLOCK), 0);
    return setup(state);
}

static int teardown_audit(void **state)
{
    int rc = teardown(state);
    close(audit_fds[0]);
    close(audit_fds[1]);
    return rc;
}

static void configure_audit(bool json, enum log_level level)
{
    log_configure(&(struct log_options){
        .fd = pipe_fds[1], .json = json, .level = level, .audit = true, .audit_fd = audit_fds[1]});
}

static const char *read_audit(void)
{
    size_t len = 0;
    ssize_t n;
    while ((n = read(audit_fds[0], audit_out + len, sizeof(audit_out) - 1 - len)) > 0)
        len += (size_t)n;
    audit_out[len] = '\0';
    return audit_out;
}

static void audit_lines_go_their_own_way_whatever_the_level(void **state)
{
    (void)state;
    configure_audit(false, LOG_ERROR);
    log_begin(&worker, LOG_WARN, "quiet");
    log_str(&worker, "k", "v");
    log_end(&worker);
    log_begin_audit(&worker, "audit");
    log_str(&worker, "who", "me");
    log_u64(&worker, "n", 7);
    log_ms(&worker, "took_ms", 1500000);
    log_end(&worker);
    log_begin(&worker, LOG_ERROR, "loud");
    log_end(&worker);
    log_flush(&worker);
    read_out();
    assert_non_null(strstr(out, "level=error worker=0 event=loud\n"));
    assert_null(strstr(out, "quiet"));
    assert_null(strstr(out, "audit"));
    assert_non_null(strstr(read_audit(), "level=info worker=0 event=audit who=me n=7 took_ms=1.500\n"));
    assert_null(strstr(audit_out, "loud"));
}

static void without_audit_lines_none_are_begun(void **state)
{
    (void)state;
    configure(true, LOG_DEBUG);
    log_begin_audit(&worker, "audit");
    log_str(&worker, "who", "me");
    log_end(&worker);
    log_flush(&worker);
    assert_int_equal(read_out(), 0);
    log_begin(&worker, LOG_INFO, "next");
    log_end(&worker);
    log_flush(&worker);
    assert_true(read_out() > 0);
}

static void a_full_audit_pipe_loses_audit_lines_only(void **state)
{
    (void)state;
    configure_audit(true, LOG_INFO);
    unsigned written = 0, logged = 0, heard = 0;
    char padding[400];
    memset(padding, 'p', sizeof(padding));
    for (; written < 2000; written++) {
        log_begin_audit(&worker, "audit");
        log_u64(&worker, "n", written + 1);
        log_strn(&worker, "padding", padding, written % sizeof(padding));
        log_end(&worker);
        if (written % 100 == 0) {
            log_begin(&worker, LOG_INFO, "other");
            log_u64(&worker, "n", ++logged);
            log_end(&worker);
        }
        if (written % 70 == 0)
            log_flush(&worker);
    }
    log_flush(&worker);
    uint64_t last = 0;
    read_out();
    assert_int_equal(whole_lines(&last), logged);
    assert_int_equal(worker.log.dropped, 0);
    assert_true(worker.audit.dropped > 0);
    assert_int_equal(atomic_load(&worker.counters.values[COUNTER_audit_dropped]), worker.audit.dropped);
    assert_int_equal(atomic_load(&worker.counters.values[COUNTER_log_dropped]), 0);
    last = 0;
    size_t len = strlen(read_audit());
    log_flush(&worker); /* the rest of a line that was torn */
    memmove(out, audit_out, len);
    len += (size_t)snprintf(out + len, sizeof(out) - len, "%s", read_audit());
    heard = whole_lines(&last);
    assert_int_equal(heard + worker.audit.dropped, written);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(key_value_lines_have_the_first_keys_in_order),
        TEST(values_that_could_mislead_are_quoted),
        TEST(json_lines_parse_whatever_the_bytes),
        TEST(lines_above_the_level_cost_nothing),
        TEST(a_line_that_is_too_long_is_given_up_whole_and_counted),
        TEST(a_full_pipe_drops_whole_lines_and_counts_each),
        TEST(a_full_buffer_is_written_before_the_turn_ends),
        TEST(lines_of_any_thread_are_always_whole),
        cmocka_unit_test_setup_teardown(audit_lines_go_their_own_way_whatever_the_level, setup_audit,
                                        teardown_audit),
        cmocka_unit_test_setup_teardown(without_audit_lines_none_are_begun, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_audit_pipe_loses_audit_lines_only, setup_audit,
                                        teardown_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
