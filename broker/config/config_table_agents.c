/* broker/config/config_table_agents.c — the rows of the table of settings about Konnectivity's agents and
 * about the Kubernetes API. See config_table.c. "proxy-server": what Konnectivity's own server does. */
#include "broker/config/config_rows.h"

const struct config_word config_strategy_words[] = {
    {"default",      CONFIG_STRATEGY_DEFAULT      },
    {"destHost",     CONFIG_STRATEGY_DEST_HOST    },
    {"defaultRoute", CONFIG_STRATEGY_DEFAULT_ROUTE},
    {NULL,           0                            }
};

static const struct config_row token_review_rows[] = {
    ROW(STRING(config_token_review, audience, "audience"), .form = FORM_VISIBLE, .required = true,
        .help = "Audience that a token must be made for, such as system:konnectivity-server."),
    ROW(STRING(config_token_review, namespace, "namespace"), .form = FORM_NAME, .required = true,
        .help = "Namespace of the agents' service account."),
    ROW(STRING(config_token_review, service_account, "serviceAccount"), .form = FORM_KUBE_NAME,
        .required = true, .help = "Name of the agents' service account. Any other one is refused."),
    END,
};

static const struct config_row leases_rows[] = {
    ROW(STRING(config_leases, namespace, "namespace"), .form = FORM_NAME, .text = "kube-system",
        .help = "Namespace of the leases.", .source = "proxy-server"),
    ROW(STRING(config_leases, label, "label"), .form = FORM_SELECTOR, .text = "k8s-app=konnectivity-server",
        .help = "Label of the leases; agents must be told the same.", .source = "proxy-server"),
    END,
};

const struct config_row config_agents_rows[] = {
    ROW(STRING(config_agents, server_id, "serverId"), .form = FORM_VISIBLE, .restart = true,
        .help =
            "What this broker is called towards agents, which keep one stream to each server they know of: "
            "no two brokers alike. Absent: a random UUID at each start."),
    ROW(UINT(config_agents, server_count, "serverCount"), .min = 1, .max = 1000, .value = 1,
        .unit = "servers",
        .help = "How many brokers there are, told to agents, which connect until they "
                "have found so many.",
        .source = "proxy-server"),
    ROW(SEQUENCE(config_agents, strategies, strategy_count, "strategies", CONFIG_ENUM),
        .words = config_strategy_words, .min = 1, .max = CONFIG_STRATEGIES, .text = "`default`",
        .help = "How the agent for a connection is chosen, in order of priority: destHost: one that said it "
                "stands for that very host; defaultRoute: one that said it stands for every host; default: "
                "any. For routes that name none themselves.",
        .source = "proxy-server"),
    ROW(UINT(config_agents, dial_ms, "dialMs"), .min = 100, .max = 120000, .value = 30000, .unit = "ms",
        .help =
            "An agent that has not answered a dial after so long is taken for silent. Tunnels and requests "
            "have deadlines of their own, which are shorter.",
        .source = "kube-apiserver's client waits 30 s"),
    ROW(UINT(config_agents, pending_dials_max, "pendingDialsMax"), .min = 1, .max = 1000000, .value = 16384,
        .unit = "dials",
        .help = "Unanswered dials through agents in the process, half of them through one agent; the next is "
                "refused.",
        .source = "guess; as limits.requestsInFlightMax. 27,700 were seen where nothing bounded them"),
    ROW(UINT(config_agents, connection_bytes_max, "connectionBytesMax"), .min = 65536, .max = 1073741824,
        .value = 16777216, .unit = "bytes",
        .help = "A connection through an agent whose client has not taken so many bytes is cut. At least "
                "limits.bodyBufferBytes.",
        .source = "the largest window that Go's HTTP/2 opens"),
    ROW(UINT(config_agents, patience_ms, "patienceMs"), .min = 100, .max = 600000, .value = 10000,
        .unit = "ms",
        .help = "One that holds more than limits.bodyBufferBytes, and whose client has taken nothing for so "
                "long, is cut when others want the same agent.",
        .source = "kube-apiserver's client gives up its own connections after 10 s"),
    ROW(UINT(config_agents, keepalive_ms, "keepaliveMs"), .min = 1000, .max = 3600000, .value = 10000,
        .unit = "ms", .help = "An agent from which nothing came for so long is asked by PING.",
        .source = "guess; proxy-server's hour leaves dead agents in use"),
    ROW(UINT(config_agents, keepalive_timeout_ms, "keepaliveTimeoutMs"), .min = 100, .max = 600000,
        .value = 5000, .unit = "ms", .help = "Without an answer to it for so long the agent is lost.",
        .source = "guess; many round trips"),
    ROW(OPTIONAL(config_agents, token_review, "tokenReview", token_review_rows),
        .help = "Agents must show a service account's token, which the Kubernetes API is asked about. With a "
                "listener's clientCaFile both are asked for."),
    ROW(OPTIONAL(config_agents, leases, "leases", leases_rows),
        .help =
            "Keep a lease in the Kubernetes API, by which agents count the servers. Absent: serverCount is "
            "what they know."),
    ROW(BOOL(config_agents, anonymous, "anonymous"),
        .help =
            "Agents need not prove who they are: whoever reaches the listener may carry connections. Logged "
            "at start.",
        .source = "off: an agent sees where connections go, and what is not encrypted in them"),
    END,
};

const struct config_row config_kubernetes_rows[] = {
    ROW(STRING(config_kubernetes, kubeconfig_file, "kubeconfigFile"), .form = FORM_FILE,
        .help = "How the Kubernetes API is reached, as kubectl has it. Absent: as a Pod, with its service "
                "account. Read again when it changes, with the files that it names; another server needs a "
                "restart."),
    ROW(UINT(config_kubernetes, qps, "qps"), .min = 1, .max = 10000, .value = 20, .unit = "a second",
        .help = "Requests to the Kubernetes API.",
        .source = "guess; proxy-server's 5 made a hundred agents wait for minutes"),
    ROW(UINT(config_kubernetes, burst, "burst"), .min = 1, .max = 10000, .value = 40, .unit = "requests",
        .help = "How many of them may come at once.", .source = "guess; twice qps"),
    END,
};
