/* test/unit/test_konnectivity_stats.c — the proxy-server's metrics: what each call counts, workers added up,
 * bounds, labels. That names and help texts are the original's is compared with the original in
 * test/integration/51. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/konnectivity/stats.h"

#define PREFIX "konnectivity_network_proxy_server_"

static struct broker_worker workers[2];

static char *print(unsigned page)
{
    struct broker broker = {.count = 2, .states = workers};
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    stats_print(out, &broker, &workers[page]);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Whole lines. */
static void expect(const char *text, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "\n" PREFIX "%s\n", line);
    if (!strstr(text, wanted))
        fail_msg("no line %s in\n%s", line, text);
}

static int reset(void **state)
{
    (void)state;
    memset(workers, 0, sizeof(workers));
    return 0;
}

static void what_workers_count_is_added_up(void **state)
{
    (void)state;
    stats_packet(&workers[0].stats, STATS_FROM_AGENT, PACKET_DATA);
    stats_packet(&workers[1].stats, STATS_FROM_AGENT, PACKET_DATA);
    stats_packet(&workers[1].stats, STATS_TO_CLIENT, PACKET_DIAL_RSP);
    stats_packet(&workers[1].stats, STATS_TO_CLIENT, 7); /* of no known type */
    stats_dial_failed(&workers[0].stats, STATS_DIAL_FRONTEND_CLOSE);
    stats_gauge_add(&workers[0].stats, STATS_ESTABLISHED, 3);
    stats_gauge_sub(&workers[1].stats, STATS_ESTABLISHED, 2); /* raised elsewhere */
    stats_gauge_add(&workers[1].stats, STATS_CONNECT_STREAMS, 5);
    stats_lease_culled(&workers[1].stats);
    char *text = print(0);
    expect(text, "stream_packets_total{packet_type=\"DATA\",segment=\"from_agent\"} 2");
    expect(text, "stream_packets_total{packet_type=\"DIAL_RSP\",segment=\"to_client\"} 1");
    expect(text, "stream_packets_total{packet_type=\"DRAIN\",segment=\"from_agent\"} 0");
    expect(text, "dial_failure_count{reason=\"frontend_close\"} 1");
    expect(text, "dial_failure_count{reason=\"no_agent\"} 0");
    expect(text, "established_connections 1");
    expect(text, "grpc_connections{service_method=\"Connect\"} 5");
    expect(text, "grpc_connections{service_method=\"Proxy\"} 0");
    expect(text, "culled_leases_count 1");
    free(text);
}

static void backends_are_what_the_page_s_worker_sees(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        stats_set_backends(&workers[i].stats, STATS_DEFAULT, 4 + i);
        stats_set_backends(&workers[i].stats, STATS_DEST_HOST, 9);
    }
    char *text = print(1);
    expect(text, "ready_backend_connections 5");
    expect(text, "ready_backends{proxy_strategy=\"default\"} 5");
    expect(text, "ready_backends{proxy_strategy=\"destHost\"} 9");
    expect(text, "ready_backends{proxy_strategy=\"defaultRoute\"} 0");
    free(text);
}

static void errors_appear_when_they_happen(void **state)
{
    char *text = print(0);
    (void)state;
    assert_null(strstr(text, "stream_errors_total"));
    free(text);
    stats_stream_error(&workers[0].stats, STATS_FROM_AGENT, STATS_STATUS_CANCELED, STATS_NO_PACKET);
    stats_stream_error(&workers[1].stats, STATS_TO_AGENT, STATS_STATUS_UNAVAILABLE, PACKET_DIAL_REQ);
    stats_stream_error(&workers[1].stats, STATS_TO_AGENT, 99, 99);
    text = print(0);
    expect(text, "stream_errors_total{code=\"Canceled\",packet_type=\"Unknown\",segment=\"from_agent\"} 1");
    expect(text, "stream_errors_total{code=\"Unavailable\",packet_type=\"DIAL_REQ\",segment=\"to_agent\"} 1");
    expect(text, "stream_errors_total{code=\"Unknown\",packet_type=\"Unknown\",segment=\"to_agent\"} 1");
    free(text);
}

static void durations_fall_in_their_buckets(void **state)
{
    (void)state;
    stats_duration(&workers[0].stats, STATS_DIAL, 1000); /* on the bound: in */
    stats_duration(&workers[1].stats, STATS_DIAL, 5000001);
    stats_duration(&workers[1].stats, STATS_DIAL, UINT64_C(13000000000));
    stats_duration(&workers[0].stats, STATS_CONNECTION, UINT64_C(90000000000000));
    char *text = print(0);
    expect(text, "dial_duration_seconds_bucket{le=\"1e-06\"} 1");
    expect(text, "dial_duration_seconds_bucket{le=\"0.005\"} 1");
    expect(text, "dial_duration_seconds_bucket{le=\"0.025\"} 2");
    expect(text, "dial_duration_seconds_bucket{le=\"12.5\"} 2");
    expect(text, "dial_duration_seconds_bucket{le=\"+Inf\"} 3");
    expect(text, "dial_duration_seconds_sum 13.005001");
    expect(text, "dial_duration_seconds_count 3");
    expect(text, "connection_duration_seconds_bucket{le=\"86400\"} 0");
    expect(text, "connection_duration_seconds_bucket{le=\"+Inf\"} 1");
    expect(text, "frontend_write_duration_seconds_count 0");
    free(text);
}

static void calls_about_leases_are_told_apart(void **state)
{
    char *text = print(0);
    (void)state;
    assert_null(strstr(text, "lease_list"));
    free(text);
    stats_lease_call(&workers[1].stats, STATS_LEASE_LIST, 200, "", 20000000);
    stats_lease_call(&workers[1].stats, STATS_LEASE_LIST, 403, "Forbidden", 1000);
    stats_lease_call(&workers[1].stats, STATS_LEASE_LIST, 403, "Fo\"rb\nidden", 1000);
    stats_lease_call(&workers[1].stats, STATS_LEASE_LIST, 200, "", 1000);
    text = print(0);
    expect(text, "lease_list_total{http_status_code=\"200\",reason=\"\"} 2");
    expect(text, "lease_list_total{http_status_code=\"403\",reason=\"Forbidden\"} 1");
    expect(text, "lease_list_total{http_status_code=\"403\",reason=\"Fo_rb_idden\"} 1");
    expect(text, "lease_list_latency_seconds_bucket{http_status_code=\"200\",le=\"0.01\"} 1");
    expect(text, "lease_list_latency_seconds_bucket{http_status_code=\"200\",le=\"0.025\"} 2");
    expect(text, "lease_list_latency_seconds_count{http_status_code=\"403\"} 2");
    assert_null(strstr(text, "lease_delete"));
    free(text);
}

static void lease_rows_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STATS_LEASE_ROWS + 5; i++)
        stats_lease_call(&workers[0].stats, STATS_LEASE_DELETE, 400 + i, "", 1);
    char *text = print(0);
    expect(text, "lease_delete_total{http_status_code=\"414\",reason=\"\"} 1");
    expect(text,
           "lease_delete_total{http_status_code=\"415\",reason=\"\"} 6"); /* the last one has the rest */
    assert_null(strstr(text, "http_status_code=\"416\""));
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_workers_count_is_added_up, reset),
        cmocka_unit_test_setup(backends_are_what_the_page_s_worker_sees, reset),
        cmocka_unit_test_setup(errors_appear_when_they_happen, reset),
        cmocka_unit_test_setup(durations_fall_in_their_buckets, reset),
        cmocka_unit_test_setup(calls_about_leases_are_told_apart, reset),
        cmocka_unit_test_setup(lease_rows_are_bounded, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
