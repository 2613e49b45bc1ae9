/* test/unit/test_audit.c — what an audit line tells, that it fits whatever a client sends, and that nothing
 * else gets into it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "broker/audit.h"
#include "io/engine.h"
#include "io/log.h"
#include "io/mailbox.h"
#include "io/net.h"
#include "io/worker.h"
#include "test/support/poll_engine.h"

static struct mailboxes *mail;
static struct worker worker;
static int fds[2];
static char out[1 << 16];

static int setup(void **state)
{
    static const struct buf_limits limits = {
        {1, 1, 1}
    };
    (void)state;
    assert_int_equal(mailboxes_new(1, 64, &mail), 0);
    assert_int_equal(worker_init(&worker, 0, 1, mail, &limits), 0);
    assert_int_equal(poll_engine_new(&worker, &worker.engine), 0);
    worker_start_clock(&worker);
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    worker_fini(&worker);
    mailboxes_free(&mail);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static const char *line_of(bool json, const struct audit_record *record)
{
    log_configure(
        &(struct log_options){.fd = -1, .json = json, .level = LOG_ERROR, .audit = true, .audit_fd = fds[1]});
    audit_write(&worker, record);
    log_flush(&worker);
    ssize_t n = read(fds[0], out, sizeof(out) - 1);
    assert_true(n > 0);
    out[n] = '\0';
    return out;
}

static struct net_address address_of(const char *host, uint16_t port)
{
    struct net_address address;
    assert_true(net_address_parse(host, strlen(host), port, &address));
    return address;
}

static void a_tunnel_is_told_whole(void **state)
{
    struct net_peer peer = {.address = address_of("192.0.2.1", 40000)};
    struct audit_record record = {.kind = AUDIT_TUNNEL,
                                  .listener = "mtls",
                                  .peer = &peer,
                                  .client = "kube-apiserver",
                                  .method = "CONNECT",
                                  .host = "node-7",
                                  .port = 10250,
                                  .address = "[fd00::7]:10250",
                                  .route = "kubelets",
                                  .status = 200,
                                  .bytes_in = 11,
                                  .bytes_out = 22,
                                  .duration_ns = 1234567000,
                                  .ending = ENDING_DONE};
    (void)state;
    assert_non_null(strstr(line_of(false, &record),
                           "event=audit kind=tunnel listener=mtls peer=192.0.2.1:40000 client=kube-apiserver "
                           "method=CONNECT host=node-7 port=10250 address=[fd00::7]:10250 route=kubelets "
                           "status=200 bytes_in=11 bytes_out=22 total_ms=1234.567 end=done\n"));
}

static void a_refusal_says_who_and_why(void **state)
{
    struct net_peer peer = {.has_credentials = true, .uid = 7, .gid = 8, .pid = 9};
    struct audit_record record = {.kind = AUDIT_REFUSED,
                                  .listener = "unix",
                                  .peer = &peer,
                                  .client = "",
                                  .method = "GET",
                                  .host = "10.0.0.1",
                                  .port = 443,
                                  .path = "/exec/ns/pod",
                                  .status = 403,
                                  .ending = ENDING_NO_ROUTE,
                                  .detail = "no route matches"};
    (void)state;
    assert_non_null(strstr(line_of(false, &record),
                           "event=audit kind=refused listener=unix peer=unix uid=7 gid=8 pid=9 method=GET "
                           "host=10.0.0.1 port=443 path=/exec/ns/pod status=403 bytes_in=0 bytes_out=0 "
                           "total_ms=0.000 end=no_route detail=\"no route matches\"\n"));
    json_t *json = json_loads(line_of(true, &record), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "refused");
    assert_int_equal(json_integer_value(json_object_get(json, "uid")), 7);
    assert_string_equal(json_string_value(json_object_get(json, "end")), "no_route");
    assert_null(json_object_get(json, "client"));
    assert_null(json_object_get(json, "route"));
    assert_null(json_object_get(json, "address"));
    json_decref(json);
}

/* Or whoever wants to pass unseen would only have to ask for something long and strange. */
static void no_client_can_make_a_line_too_long(void **state)
{
    char strange[1000], name[64];
    struct net_peer peer = {.address = address_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)};
    (void)state;
    memset(strange, '\xff', sizeof(strange) - 1);
    strange[sizeof(strange) - 1] = '\0';
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct audit_record record = {.kind = AUDIT_UPGRADE,
                                  .listener = name,
                                  .peer = &peer,
                                  .client = strange,
                                  .method = strange,
                                  .host = strange,
                                  .path = strange,
                                  .address = strange,
                                  .route = name,
                                  .detail = strange,
                                  .port = 65535,
                                  .status = 999,
                                  .bytes_in = UINT64_MAX,
                                  .bytes_out = UINT64_MAX,
                                  .duration_ns = UINT64_MAX,
                                  .ending = ENDING_STALE_CONNECTION};
    for (int format = 0; format < 2; format++) {
        const char *line = line_of(format == 1, &record);
        assert_int_equal(worker.audit.dropped, 0);
        assert_int_equal(strcspn(line, "\n") + 1, strlen(line));
        assert_non_null(strstr(line, "stale_connection"));
    }
}

static void without_a_file_nothing_is_written(void **state)
{
    struct net_peer peer = {.address = address_of("192.0.2.1", 1)};
    struct audit_record record = {.kind = AUDIT_REFUSED, .peer = &peer, .ending = ENDING_LIMIT};
    (void)state;
    log_configure(&(struct log_options){.fd = fds[1], .level = LOG_DEBUG});
    audit_write(&worker, &record);
    log_flush(&worker);
    assert_int_equal(read(fds[0], out, sizeof(out)), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_tunnel_is_told_whole),
        TEST(a_refusal_says_who_and_why),
        TEST(no_client_can_make_a_line_too_long),
        TEST(without_a_file_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
