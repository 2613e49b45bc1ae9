/* tools/kubelet-sim/content.c — bodies of the size and shape a node's would have: names, uids and figures
 * differ from node to node and from pod to pod, are the same each time, and mean nothing. */
#include "tools/kubelet-sim/content.h"

#include <time.h>

#include "tools/kubelet-sim/sim.h"

static const char *const namespaces[] = {"default",  "kube-system", "monitoring",
                                         "payments", "ingress",     "batch"};
enum { NAMESPACES_N = sizeof(namespaces) / sizeof(*namespaces) };

struct pod {
    char name[48], uid[40], ip[16];
    const char *namespace;
};

static struct pod pod_of(uint32_t node, uint32_t i)
{
    uint32_t h = (node * 2654435761u) ^ (i * 40503u + 977u);
    struct pod pod = {.namespace = namespaces[h % NAMESPACES_N]};
    snprintf(pod.name, sizeof(pod.name), "workload-%u-%08x-%05x", i, h, h * 31 & 0xfffff);
    snprintf(pod.uid, sizeof(pod.uid), "%08x-%04x-4%03x-a%03x-%08x%04x", h, h & 0xffff, i & 0xfff,
             node & 0xfff, node, i);
    snprintf(pod.ip, sizeof(pod.ip), "10.%u.%u.%u", 128 + (node >> 8) % 127, node & 0xff, i % 254 + 1);
    return pod;
}

static double cpu_seconds(uint32_t node, uint32_t i)
{
    return 1000.0 + node % 997 * 3.5 + i * 17.25;
}

void content_metrics_resource(const struct sim *sim, uint32_t node, struct text *t)
{
    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    text_addf(t,
              "# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in "
              "core-seconds\n"
              "# TYPE node_cpu_usage_seconds_total counter\nnode_cpu_usage_seconds_total{node=\"node-%05u\"} "
              "%.6f %llu\n"
              "# HELP node_memory_working_set_bytes [STABLE] Current working set of the node in bytes\n"
              "# TYPE node_memory_working_set_bytes gauge\nnode_memory_working_set_bytes{node=\"node-%05u\"} "
              "%u %llu\n",
              node + 1, cpu_seconds(node, 99), (unsigned long long)now_ms, node + 1,
              3000000000u + node * 4096, (unsigned long long)now_ms);
    text_addf(
        t,
        "# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in "
        "core-seconds\n# TYPE container_cpu_usage_seconds_total counter\n");
    for (uint32_t i = 0; i < sim->options.pods; i++) {
        struct pod p = pod_of(node, i);
        text_addf(
            t,
            "container_cpu_usage_seconds_total{container=\"main\",namespace=\"%s\",pod=\"%s\"} %.6f %llu\n",
            p.namespace, p.name, cpu_seconds(node, i), (unsigned long long)now_ms);
    }
    text_addf(
        t,
        "# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes\n"
        "# TYPE container_memory_working_set_bytes gauge\n");
    for (uint32_t i = 0; i < sim->options.pods; i++) {
        struct pod p = pod_of(node, i);
        text_addf(
            t, "container_memory_working_set_bytes{container=\"main\",namespace=\"%s\",pod=\"%s\"} %u %llu\n",
            p.namespace, p.name, 20000000u + i * 65536, (unsigned long long)now_ms);
    }
    text_addf(
        t,
        "# HELP scrape_error [ALPHA] 1 if there was an error while getting container metrics, 0 otherwise\n"
        "# TYPE scrape_error gauge\nscrape_error 0\n");
}

void content_metrics(const struct sim *sim, uint32_t node, struct text *t)
{
    static const char *const operations[] = {"create_container", "start_container",  "stop_container",
                                             "list_containers",  "container_status", "exec_sync",
                                             "image_status",     "version"};
    static const char *const bounds[] = {"0.005",     "0.0125",     "0.03125",     "0.078125",
                                         "0.1953125", "0.48828125", "1.220703125", "+Inf"};
    text_addf(t,
              "# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n# TYPE "
              "kubelet_node_name gauge\n"
              "kubelet_node_name{node=\"node-%05u\"} 1\n"
              "# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox\n"
              "# TYPE kubelet_running_pods gauge\nkubelet_running_pods %llu\n"
              "# HELP kubelet_runtime_operations_duration_seconds [ALPHA] Duration in seconds of runtime "
              "operations.\n"
              "# TYPE kubelet_runtime_operations_duration_seconds histogram\n",
              node + 1, (unsigned long long)sim->options.pods);
    for (uint32_t i = 0; i < 8; i++) {
        for (uint32_t j = 0; j < 8; j++)
            text_addf(
                t, "kubelet_runtime_operations_duration_seconds_bucket{operation_type=\"%s\",le=\"%s\"} %u\n",
                operations[i], bounds[j], (i + 1) * (j + 1) * (100 + node % 50));
        text_addf(t,
                  "kubelet_runtime_operations_duration_seconds_sum{operation_type=\"%s\"} %.6f\n"
                  "kubelet_runtime_operations_duration_seconds_count{operation_type=\"%s\"} %u\n",
                  operations[i], cpu_seconds(node, i) / 100, operations[i], (i + 1) * 8 * (100 + node % 50));
    }
}

void content_metrics_cadvisor(const struct sim *sim, uint32_t node, struct text *t)
{
    static const char *const names[] = {"container_cpu_usage_seconds_total",
                                        "container_memory_usage_bytes",
                                        "container_memory_rss",
                                        "container_network_receive_bytes_total",
                                        "container_fs_writes_bytes_total",
                                        "container_cpu_cfs_throttled_periods_total"};
    for (uint32_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
        text_addf(t, "# HELP %s of the container\n# TYPE %s gauge\n", names[k], names[k]);
        for (uint32_t i = 0; i < sim->options.pods; i++) {
            struct pod p = pod_of(node, i);
            text_addf(
                t,
                "%s{container=\"main\",id=\"/kubepods/burstable/pod%s\",image=\"registry.example/app:1.%u\","
                "name=\"%s\",namespace=\"%s\",pod=\"%s\"} %.3f\n",
                names[k], p.uid, i, p.uid, p.namespace, p.name, cpu_seconds(node, i) * (k + 1));
        }
    }
}

static void add_pod(struct text *t, const struct sim *sim, uint32_t node, uint32_t i)
{
    struct pod p = pod_of(node, i);
    char address[INET_ADDRSTRLEN];
    fleet_address(&sim->fleet, node, address);
    text_addf(t,
              "%s{\"metadata\":{\"name\":\"%s\",\"generateName\":\"workload-%u-\",\"namespace\":\"%s\","
              "\"uid\":\"%s\","
              "\"resourceVersion\":\"%u\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{\"app\":"
              "\"workload-%u\","
              "\"pod-template-hash\":\"%.8s\"},\"annotations\":{\"kubernetes.io/config.seen\":"
              "\"2026-01-01T00:00:00.000000000Z\",\"kubernetes.io/config.source\":\"api\"}},",
              i ? "," : "", p.name, i, p.namespace, p.uid, 100000 + node * 31 + i, i, p.uid);
    text_addf(
        t,
        "\"spec\":{\"volumes\":[{\"name\":\"kube-api-access\",\"projected\":{\"sources\":[{"
        "\"serviceAccountToken\":"
        "{\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{\"name\":\"kube-root-ca.crt\","
        "\"items\":"
        "[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}}],\"defaultMode\":420}}],\"containers\":[{\"name\":"
        "\"main\","
        "\"image\":\"registry.example/"
        "app:1.%u\",\"resources\":{\"limits\":{\"memory\":\"256Mi\"},\"requests\":"
        "{\"cpu\":\"100m\",\"memory\":\"128Mi\"}},\"volumeMounts\":[{\"name\":\"kube-api-access\","
        "\"readOnly\":true,"
        "\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}],\"terminationMessagePath\":"
        "\"/dev/"
        "termination-log\",\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"IfNotPresent\"}],"
        "\"restartPolicy\":\"Always\",\"dnsPolicy\":\"ClusterFirst\",\"serviceAccountName\":\"default\","
        "\"nodeName\":"
        "\"node-%05u\",\"schedulerName\":\"default-scheduler\",\"priority\":0,\"enableServiceLinks\":true},",
        i, node + 1);
    text_addf(
        t,
        "\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
        "\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-01T00:00:05Z\"}],\"hostIP\":\"%s\","
        "\"podIP\":\"%s\","
        "\"podIPs\":[{\"ip\":\"%s\"}],\"startTime\":\"2026-01-01T00:00:00Z\",\"containerStatuses\":[{"
        "\"name\":\"main\","
        "\"state\":{\"running\":{\"startedAt\":\"2026-01-01T00:00:03Z\"}},\"lastState\":{},\"ready\":true,"
        "\"restartCount\":0,\"image\":\"registry.example/app:1.%u\",\"containerID\":\"containerd://"
        "%s\",\"started\":"
        "true}],\"qosClass\":\"Burstable\"}}",
        address, p.ip, p.ip, i, p.uid);
}

void content_pods(const struct sim *sim, uint32_t node, struct text *t)
{
    text_addf(t, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
    for (uint32_t i = 0; i < sim->options.pods; i++)
        add_pod(t, sim, node, i);
    text_addf(t, "]}\n");
}

void content_stats(const struct sim *sim, uint32_t node, struct text *t)
{
    text_addf(
        t,
        "{\"node\":{\"nodeName\":\"node-%05u\",\"startTime\":\"2026-01-01T00:00:00Z\",\"cpu\":{\"time\":"
        "\"2026-01-01T01:00:00Z\",\"usageNanoCores\":%u,\"usageCoreNanoSeconds\":%llu},\"memory\":{\"time\":"
        "\"2026-01-01T01:00:00Z\",\"availableBytes\":%u,\"usageBytes\":%u,\"workingSetBytes\":%u}},\"pods\":"
        "[",
        node + 1, 200000000u + node, (unsigned long long)(cpu_seconds(node, 99) * 1e9), 2000000000u,
        3500000000u, 3000000000u + node * 4096);
    for (uint32_t i = 0; i < sim->options.pods; i++) {
        struct pod p = pod_of(node, i);
        text_addf(t,
                  "%s{\"podRef\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s\"},\"startTime\":"
                  "\"2026-01-01T00:00:00Z\",\"containers\":[{\"name\":\"main\",\"cpu\":{\"usageNanoCores\":%"
                  "u},\"memory\":"
                  "{\"workingSetBytes\":%u}}],\"network\":{\"name\":\"eth0\",\"rxBytes\":%u,\"txBytes\":%u}}",
                  i ? "," : "", p.name, p.namespace, p.uid, 1000000u + i * 7919, 20000000u + i * 65536,
                  i * 123457, i * 54321);
    }
    text_addf(t, "]}\n");
}

void content_configz(const struct sim *sim, uint32_t node, struct text *t)
{
    (void)node;
    text_addf(
        t,
        "{\"kubeletconfig\":{\"port\":%llu,\"authentication\":{\"x509\":{},\"webhook\":{\"enabled\":true},"
        "\"anonymous\":{\"enabled\":%s}},\"authorization\":{\"mode\":\"Webhook\"},"
        "\"streamingConnectionIdleTimeout\":"
        "\"4h0m0s\",\"containerLogMaxSize\":\"10Mi\",\"maxPods\":110}}\n",
        (unsigned long long)sim->options.port, sim->options.anonymous ? "true" : "false");
}
