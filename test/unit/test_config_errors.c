/* test/unit/test_config_errors.c — every way in which the YAML or a setting of a configuration can be wrong,
 * with the exact line it gets. Settings that do not fit each other: test_config_errors_together.c; files that
 * they name: test_config_files.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/config_bad.h"

static void bad_yaml_is_told_in_one_line(void **state)
{
    static const struct bad cases[] = {
        BAD("", "f:1:1: (document): found nothing, expected a document"),
        BAD("# only this\n", "f:1:1: (document): found nothing, expected a document"),
        BAD("---\n", "f:2:1: (document): found a single value, expected a mapping with apiVersion and kind"),
        BAD("just text\n",
            "f:1:1: (document): found a single value, expected a mapping with apiVersion and kind"),
        BAD("[a, b]\n", "f:1:1: (document): found a list, expected a mapping with apiVersion and kind"),
        BAD("*a\n", "f:1:1: (document): found an alias, expected a mapping with apiVersion and kind"),
        BAD(HEAD "kind: BrokerConfiguration\n",
            "f:3:1: kind: found field \"kind\" a second time, expected it once (first in line 2)"),
        BAD(HEAD "pool: {idleTimeoutMs: 1000,\n  idleTimeoutMs: 1000}\n",
            "f:4:3: pool.idleTimeoutMs: found field \"idleTimeoutMs\" a second time, expected it once (first "
            "in line 3)"),
        BAD(HEAD REST "---\n" HEAD,
            "f:5:1: (document): found a second document, expected one document in the file"),
        BAD(HEAD "pool:\n\tidleTimeoutMs: 1\n", "f:4:1: pool: found a tab, expected spaces"),
        BAD(HEAD "pool: {\n", "f:4:1: pool: found a mistake in the syntax (did not find expected node "
                              "content, while parsing a flow node), expected YAML"),
        BAD(HEAD "pool: \"x\n", "f:4:1: pool: found a mistake in the syntax (found unexpected end of stream, "
                                "while scanning a quoted scalar), expected YAML"),
        BAD(HEAD "pool:\n  a: 1\n b: 2\n", "f:5:2: (document): found a mistake in the syntax (did not find "
                                           "expected key, while parsing a block mapping), expected YAML"),
        BAD(HEAD "a: &x [b, b]\nc: [*x, *x]\n", "f:3:4: a: found an anchor, expected a value without one"),
        BAD(HEAD "c: *x\n", "f:3:4: c: found an alias, expected the value itself"),
        BAD(HEAD "pool: !!map {}\n", "f:3:7: pool: found a tag, expected a value without one"),
        BAD(HEAD "? [a]\n: b\n", "f:3:3: (document): found a key that is no text, expected a field's name"),
        BAD(HEAD "a: [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]\n",
            "f:3:19: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: found values nested too deep, expected "
            "the documented fields"),
        BAD(HEAD "a: \xff\n",
            "f:3:4: (document): found bytes that are no text (invalid leading UTF-8 octet), expected UTF-8"),
        BAD(HEAD "a: \x01\n", "f:3:4: (document): found bytes that are no text (control characters are not "
                              "allowed), expected UTF-8"),
        BAD(HEAD "a: \"b\\0c\"\n", "f:3:4: a: found a NUL character, expected text"),
        BAD("\xef\xbb\xbf"
            "kind: X\n",
            "f:1:8: kind: found text \"X\", expected BrokerConfiguration"),
    };
    (void)state;
    expect_lines(cases, sizeof(cases) / sizeof(cases[0]));
}

static void what_the_table_does_not_allow_is_told_in_one_line(void **state)
{
    static const struct bad cases[] = {
        BAD("apiVersion: v1\nkind: Pod\nspec: {}\n",
            "f:1:13: apiVersion: found text \"v1\", expected hawser.dev/v1alpha1"),
        BAD("kind: Pod\n", "f:1:7: kind: found text \"Pod\", expected BrokerConfiguration"),
        BAD("kind: BrokerConfiguration\n", "f:1:1: apiVersion: found nothing, expected hawser.dev/v1alpha1"),
        BAD(HEAD ROUTE, "f:1:1: listeners: found nothing, expected a list"),
        BAD(HEAD LISTENER, "f:1:1: routes: found nothing, expected a list"),
        BAD(HEAD REST "pools: {}\n",
            "f:5:1: pools: found unknown field \"pools\", expected pool (did you mean it?)"),
        BAD(HEAD REST "pool: {idleTimeout: 5}\n",
            "f:5:8: pool.idleTimeout: found unknown field \"idleTimeout\", expected idleTimeoutMs (did you "
            "mean it?)"),
        BAD(HEAD REST "pool: {idelTimeoutMs: 5}\n",
            "f:5:8: pool.idelTimeoutMs: found unknown field \"idelTimeoutMs\", expected idleTimeoutMs (did "
            "you mean it?)"),
        BAD(HEAD REST "pool: {idletimeoutms: 5}\n",
            "f:5:8: pool.idletimeoutms: found unknown field \"idletimeoutms\", expected idleTimeoutMs (did "
            "you mean it?)"),
        BAD(HEAD REST "log: {colour: red}\n",
            "f:5:7: log.colour: found unknown field \"colour\", expected format, level, accessLog, file "
            "or auditFile"),
        BAD(HEAD REST "tlsProfiles: [{name: a, nodeNameFile: /x}]\n",
            "f:5:25: tlsProfiles[0].nodeNameFile: found unknown field \"nodeNameFile\", expected it only "
            "under routes[]"),
        BAD(HEAD REST "\"a\\nb\": 1\n",
            "f:5:1: a\\x0ab: found unknown field \"a\\x0ab\", expected apiVersion, kind, workers, reloadMs, "
            "engine, "
            "listeners, tlsProfiles, routes, pool, limits, timeouts, http2, agents, kubernetes, admin, "
            "health or "
            "log"),
        BAD(HEAD REST "workers: two\n",
            "f:5:10: workers: found text \"two\", expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: \"2\"\n",
            "f:5:10: workers: found text \"2\", expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: 2.5\n",
            "f:5:10: workers: found number 2.5, expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: -1\n",
            "f:5:10: workers: found number -1, expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: +1\n", "f:5:10: workers: found number +1, expected a number from 0 to 64 "
                                       "(threads), decimal, no sign or leading zero"),
        BAD(HEAD REST "workers: 010\n", "f:5:10: workers: found number 010, expected a number from 0 to 64 "
                                        "(threads), decimal, no sign or leading zero"),
        BAD(HEAD REST "workers: 0x10\n", "f:5:10: workers: found number 0x10, expected a number from 0 to "
                                         "64 (threads), decimal, no sign or leading zero"),
        BAD(HEAD REST "workers: 1x\n",
            "f:5:10: workers: found text \"1x\", expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: 65\n",
            "f:5:10: workers: found number 65, expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: 99999999999999999999999999\n",
            "f:5:10: workers: found number 99999999999999999999999999, expected a number from 0 to 64 "
            "(threads)"),
        BAD(HEAD REST "workers:\n",
            "f:5:9: workers: found nothing, expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: ~\n",
            "f:5:10: workers: found nothing, expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: [1]\n",
            "f:5:10: workers: found a list, expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "workers: {a: 1}\n",
            "f:5:10: workers: found a mapping, expected a number from 0 to 64 (threads)"),
        BAD(HEAD REST "engine: epoll\n", "f:5:9: engine: found text \"epoll\", expected auto or uring"),
        BAD(HEAD REST "engine: Auto\n", "f:5:9: engine: found text \"Auto\", expected auto or uring"),
        BAD(HEAD REST "pool: 5\n", "f:5:7: pool: found number 5, expected a mapping"),
        BAD(HEAD REST "pool:\n", "f:5:6: pool: found nothing, expected a mapping"),
        BAD(HEAD REST "pool: {waitTimeoutMs: 0}\n",
            "f:5:23: pool.waitTimeoutMs: found number 0, expected a number from 1 to 600000 (ms)"),
        BAD(HEAD REST "pool: {waitTimeoutMs: 600001}\n",
            "f:5:23: pool.waitTimeoutMs: found number 600001, expected a number from 1 to 600000 (ms)"),
        BAD(HEAD REST "pool: {ageJitterPercent: 51}\n",
            "f:5:26: pool.ageJitterPercent: found number 51, expected a number from 0 to 50 (percent)"),
        BAD(HEAD REST "pool: {breaker: {failures: 0}}\n",
            "f:5:28: pool.breaker.failures: found number 0, expected a number from 1 to 1000 (in a row)"),
        BAD(HEAD REST "limits: {headBytesMax: 1}\n",
            "f:5:24: limits.headBytesMax: found number 1, expected a number from 1024 to 1048576 (bytes)"),
        BAD(HEAD REST "log: {accessLog: yes}\n",
            "f:5:18: log.accessLog: found text \"yes\", expected true or false"),
        BAD(HEAD REST "log: {accessLog: \"true\"}\n",
            "f:5:18: log.accessLog: found text \"true\", expected true or false"),
        BAD(HEAD REST "log: {file: hawser.log}\n",
            "f:5:13: log.file: found text \"hawser.log\", expected stderr or an absolute path"),
        BAD(HEAD REST "admin: {address: localhost}\n",
            "f:5:18: admin.address: found text \"localhost\", expected an IPv4 or IPv6 address, or '*' for "
            "all of both"),
        BAD(HEAD "listeners: []\n" ROUTE, "f:3:12: listeners: found a list of 0, expected 1 to 64 entries"),
        BAD(HEAD "listeners: {name: a}\n" ROUTE, "f:3:12: listeners: found a mapping, expected a list"),
        BAD(HEAD "listeners: [a]\n" ROUTE, "f:3:13: listeners[0]: found text \"a\", expected a mapping"),
        BAD(HEAD "listeners: [{unix: {path: /a}}]\n" ROUTE,
            "f:3:13: listeners[0].name: found nothing, expected a name of lower-case letters, digits and "
            "'-'"),
        BAD(HEAD "listeners: [{name: A, unix: {path: /a}}]\n" ROUTE,
            "f:3:20: listeners[0].name: found text \"A\", expected a name of lower-case letters, digits and "
            "'-'"),
        BAD(HEAD "listeners: [{name: 7, unix: {path: /a}}]\n" ROUTE,
            "f:3:20: listeners[0].name: found number 7, expected a name of lower-case letters, digits and "
            "'-', in quotes"),
        BAD(HEAD "listeners: [{name: a, unix: {}}]\n" ROUTE,
            "f:3:29: listeners[0].unix.path: found nothing, expected an absolute path of at most 107 bytes"),
        BAD(HEAD "listeners: [{name: a, unix: {path: \"/a\\nb\"}}]\n" ROUTE,
            "f:3:36: listeners[0].unix.path: found text \"/a\\x0ab\", expected an absolute path of at most "
            "107 bytes"),
        BAD(HEAD "listeners: [{name: a, unix: {path: a.sock}}]\n" ROUTE,
            "f:3:36: listeners[0].unix.path: found text \"a.sock\", expected an absolute path of at most 107 "
            "bytes"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a, mode: 0660}}]\n" ROUTE,
            "f:3:46: listeners[0].unix.mode: found number 0660, expected four octal digits in quotes, such "
            "as \"0660\""),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a, mode: \"rw\"}}]\n" ROUTE,
            "f:3:46: listeners[0].unix.mode: found text \"rw\", expected four octal digits in quotes, such "
            "as \"0660\""),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a, owner: \"a b\"}}]\n" ROUTE,
            "f:3:47: listeners[0].unix.owner: found text \"a b\", expected a user or group name, or a number "
            "in quotes"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a, allowedUids: [root]}}]\n" ROUTE,
            "f:3:54: listeners[0].unix.allowedUids[0]: found text \"root\", expected a number from 0 to "
            "4294967294"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a, allowedUids: [4294967295]}}]\n" ROUTE,
            "f:3:54: listeners[0].unix.allowedUids[0]: found number 4294967295, expected a number from 0 to "
            "4294967294"),
        BAD(HEAD "listeners: [{name: a, tcp: {address: 127.0.0.1, port: 65536}}]\n" ROUTE,
            "f:3:55: listeners[0].tcp.port: found number 65536, expected a number from 1 to 65535"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {hosts: [\"a*b\"]}}]\n",
            "f:4:36: routes[0].match.hosts[0]: found text \"a*b\", expected a host name or address, '*', "
            "'*.domain' or 'prefix*'"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {hosts: [\"**\"]}}]\n",
            "f:4:36: routes[0].match.hosts[0]: found text \"**\", expected a host name or address, '*', "
            "'*.domain' or 'prefix*'"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {hosts: [a, \"\"]}}]\n",
            "f:4:39: routes[0].match.hosts[1]: found text \"\", expected a host name or address, '*', "
            "'*.domain' or 'prefix*'"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {cidrs: [10.0.0.0/33]}}]\n",
            "f:4:36: routes[0].match.cidrs[0]: found text \"10.0.0.0/33\", expected an address block such as "
            "10.0.0.0/8 or fd00::/8"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {cidrs: [10.0.0.1/8]}}]\n",
            "f:4:36: routes[0].match.cidrs[0]: found text \"10.0.0.1/8\", expected an address block such as "
            "10.0.0.0/8 or fd00::/8"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {ports: [80, 0]}}]\n",
            "f:4:40: routes[0].match.ports[1]: found number 0, expected a port or a range of ports such as "
            "\"8000-8999\""),
        BAD(HEAD LISTENER "routes: [{name: r, match: {ports: [9-8]}}]\n",
            "f:4:36: routes[0].match.ports[0]: found text \"9-8\", expected a port or a range of ports such "
            "as \"8000-8999\""),
        BAD(HEAD LISTENER "routes: [{name: r, match: {schemes: [ftp]}}]\n",
            "f:4:38: routes[0].match.schemes[0]: found text \"ftp\", expected http, https or tunnel"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {schemes: []}}]\n",
            "f:4:37: routes[0].match.schemes: found a list of 0, expected 1 to 3 entries"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {clients: [\"uid:-1\"]}}]\n",
            "f:4:38: routes[0].match.clients[0]: found text \"uid:-1\", expected a common name, a DNS name, "
            "'*.domain', uid:N or gid:N"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {clients: [\"uid:4294967295\"]}}]\n",
            "f:4:38: routes[0].match.clients[0]: found text \"uid:4294967295\", expected a common name, a "
            "DNS "
            "name, '*.domain', uid:N or gid:N"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {clients: [\"gid:07\"]}}]\n",
            "f:4:38: routes[0].match.clients[0]: found text \"gid:07\", expected a common name, a DNS name, "
            "'*.domain', uid:N or gid:N"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {clients: [a, \"x*\"]}}]\n",
            "f:4:41: routes[0].match.clients[1]: found text \"x*\", expected a common name, a DNS name, "
            "'*.domain', uid:N or gid:N"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {clients: []}}]\n",
            "f:4:37: routes[0].match.clients: found a list of 0, expected 1 to 256 entries"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {clients: [{uid: 0}]}}]\n",
            "f:4:38: routes[0].match.clients[0]: found a mapping, expected a common name, a DNS name, "
            "'*.domain', uid:N or gid:N"),
        BAD(HEAD LISTENER "routes: [{name: r, bridge: {issuerCertificateFile: /c, issuerKeyFile: /k, "
                          "clientCaFile: /a}}]\n",
            "f:4:28: routes[0].bridge.allowedNames: found nothing, expected a list"),
        BAD(HEAD LISTENER "routes: [{name: r, bridge: {issuerCertificateFile: /c, issuerKeyFile: /k, "
                          "clientCaFile: /a, allowedNames: []}}]\n",
            "f:4:107: routes[0].bridge.allowedNames: found a list of 0, expected 1 to 256 entries"),
        BAD(HEAD LISTENER "routes: [{name: r, bridge: {certificateLifeMs: 1000}}]\n",
            "f:4:48: routes[0].bridge.certificateLifeMs: found number 1000, expected a number from 600000 to "
            "2592000000 (ms)"),
        BAD(HEAD REST "tlsProfiles: [{name: k, alpn: h3}]\n",
            "f:5:31: tlsProfiles[0].alpn: found text \"h3\", expected http/1.1, h2 or none"),
        BAD(HEAD REST "pool: {warmSpares: 3}\n",
            "f:5:20: pool.warmSpares: found number 3, expected a number from 0 to 2 (connections)"),
        BAD(HEAD REST "timeouts: {tunnelAnswerMs: 10000}\n",
            "f:5:28: timeouts.tunnelAnswerMs: found number 10000, expected a number from 100 to 9500 (ms)"),
        BAD(HEAD REST "limits: {tunnelsMax: 0}\n",
            "f:5:22: limits.tunnelsMax: found number 0, expected a number from 1 to 1048576 (tunnels)"),
        BAD(HEAD REST "http2: {streamsMax: 1001}\n",
            "f:5:21: http2.streamsMax: found number 1001, expected a number from 1 to 1000 (streams)"),
        BAD(HEAD REST "log: {auditFile: audit.log}\n",
            "f:5:18: log.auditFile: found text \"audit.log\", expected stderr or an absolute path"),
        BAD(HEAD "listeners: [{name: a, serves: all}]\n" ROUTE,
            "f:3:31: listeners[0].serves: found text \"all\", expected requests or agents"),
        BAD(HEAD LISTENER "routes: [{name: r, via: agent}]\n",
            "f:4:25: routes[0].via: found text \"agent\", expected a list"),
        BAD(HEAD LISTENER "routes: [{name: r, via: []}]\n",
            "f:4:25: routes[0].via: found a list of 0, expected 1 to 2 entries"),
        BAD(HEAD LISTENER "routes: [{name: r, via: [direct, ssh]}]\n",
            "f:4:34: routes[0].via[1]: found text \"ssh\", expected direct or agent"),
        BAD(HEAD LISTENER "routes: [{name: r, via: [agent, agent]}]\n",
            "f:4:33: routes[0].via[1]: found agent a second time, expected it once (first as [0])"),
        BAD(HEAD LISTENER "routes: [{name: r, via: [agent, direct, agent]}]\n",
            "f:4:25: routes[0].via: found a list of 3, expected 1 to 2 entries"),
        BAD(HEAD LISTENER "routes: [{name: r, via: [[agent]]}]\n",
            "f:4:26: routes[0].via[0]: found a list, expected direct or agent"),
        BAD(HEAD LISTENER "routes: [{name: r, strategies: [destHost, random]}]\n",
            "f:4:43: routes[0].strategies[1]: found text \"random\", expected default, destHost or "
            "defaultRoute"),
        BAD(HEAD REST "agents: {strategies: [default, destHost, default]}\n",
            "f:5:42: agents.strategies[2]: found default a second time, expected it once (first as [0])"),
        BAD(HEAD REST "agents: {serverId: \"\"}\n",
            "f:5:20: agents.serverId: found text \"\", expected 1 to 253 printable ASCII characters without "
            "blanks"),
        BAD(HEAD REST "agents: {serverId: \"a b\"}\n",
            "f:5:20: agents.serverId: found text \"a b\", expected 1 to 253 printable ASCII characters "
            "without blanks"),
        BAD(HEAD REST "agents: {serverId: \"\xc3\xa4\"}\n",
            "f:5:20: agents.serverId: found text \"\xc3\xa4\", expected 1 to 253 printable ASCII characters "
            "without blanks"),
        BAD(HEAD REST "agents: {serverCount: 0}\n",
            "f:5:23: agents.serverCount: found number 0, expected a number from 1 to 1000 (servers)"),
        BAD(HEAD REST "agents: {dialMs: 0}\n",
            "f:5:18: agents.dialMs: found number 0, expected a number from 100 to 120000 (ms)"),
        BAD(HEAD REST "agents: {pendingDialsMax: 0}\n",
            "f:5:27: agents.pendingDialsMax: found number 0, expected a number from 1 to 1000000 (dials)"),
        BAD(HEAD REST "agents: {patienceMs: 99}\n",
            "f:5:22: agents.patienceMs: found number 99, expected a number from 100 to 600000 (ms)"),
        BAD(HEAD REST "agents: {keepaliveMs: 0}\n",
            "f:5:23: agents.keepaliveMs: found number 0, expected a number from 1000 to 3600000 (ms)"),
        BAD(HEAD REST "agents: {keepaliveTimeoutMs: 0}\n",
            "f:5:30: agents.keepaliveTimeoutMs: found number 0, expected a number from 100 to 600000 (ms)"),
        BAD(HEAD REST "agents: {anonymous: 1}\n",
            "f:5:21: agents.anonymous: found number 1, expected true or false"),
        BAD(HEAD REST "agents: {tokenReview: {audience: a, namespace: b}}\n",
            "f:5:23: agents.tokenReview.serviceAccount: found nothing, expected a name of lower-case "
            "letters, "
            "digits, '-' and '.'"),
        BAD(HEAD REST "agents: {tokenReview: {namespace: b, serviceAccount: c}}\n",
            "f:5:23: agents.tokenReview.audience: found nothing, expected 1 to 253 printable ASCII "
            "characters "
            "without blanks"),
        BAD(HEAD REST "agents: {tokenReview: {audience: a, namespace: \"a:b\", serviceAccount: c}}\n",
            "f:5:48: agents.tokenReview.namespace: found text \"a:b\", expected a name of lower-case "
            "letters, "
            "digits and '-'"),
        BAD(HEAD REST "agents: {tokenReview: {audience: a, namespace: a, serviceAccount: \"b:c\"}}\n",
            "f:5:67: agents.tokenReview.serviceAccount: found text \"b:c\", expected a name of lower-case "
            "letters, digits, '-' and '.'"),
        BAD(HEAD REST "agents: {leases: {label: konnectivity}}\n",
            "f:5:26: agents.leases.label: found text \"konnectivity\", expected a label and its value such "
            "as "
            "k8s-app=konnectivity-server"),
        BAD(HEAD REST "agents: {leases: {label: \"a=b,c\"}}\n",
            "f:5:26: agents.leases.label: found text \"a=b,c\", expected a label and its value such as "
            "k8s-app=konnectivity-server"),
        BAD(HEAD REST "kubernetes: {qps: 0}\n",
            "f:5:19: kubernetes.qps: found number 0, expected a number from 1 to 10000 (a second)"),
        BAD(HEAD REST "kubernetes: {burst: 10001}\n",
            "f:5:21: kubernetes.burst: found number 10001, expected a number from 1 to 10000 (requests)"),
        BAD(HEAD LISTENER "routes: [{name: r, action: deny}]\n",
            "f:4:28: routes[0].action: found text \"deny\", expected allow or refuse"),
        BAD(HEAD LISTENER "routes: [{name: r, nodeNames: {10.0.0.1: a}}]\n",
            "f:4:31: routes[0].nodeNames: found a mapping, expected a list"),
        BAD(HEAD LISTENER "routes: [{name: r, nodeNames: [{address: 10.0.0.1}]}]\n",
            "f:4:32: routes[0].nodeNames[0].name: found nothing, expected a node's name: lower-case letters, "
            "digits, '-' and '.'"),
        BAD(HEAD REST "tlsProfiles: [{name: k, minVersion: 1.1}]\n",
            "f:5:37: tlsProfiles[0].minVersion: found number 1.1, expected 1.2 or 1.3"),
        BAD(HEAD REST "tlsProfiles: [{name: k, caFile: 7}]\n",
            "f:5:33: tlsProfiles[0].caFile: found number 7, expected a file name, in quotes"),
        BAD(HEAD REST "tlsProfiles: [{name: k, insecure: true}]\n",
            "f:5:25: tlsProfiles[0].insecure: found unknown field \"insecure\", expected it only under "
            "listeners[] or routes[]"),
    };
    (void)state;
    expect_lines(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_yaml_is_told_in_one_line),
        cmocka_unit_test(what_the_table_does_not_allow_is_told_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
