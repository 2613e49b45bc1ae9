/* test/unit/test_config_errors_together.c — every way in which settings of a configuration do not fit each
 * other, with the exact line it gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/config_bad.h"

static void what_settings_owe_each_other_is_told_in_one_line(void **state)
{
    static const struct bad cases[] = {
        BAD(HEAD "listeners: [{name: a}]\n" ROUTE,
            "f:3:13: listeners[0]: found neither unix nor tcp, expected one of them"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a}, tcp: {address: 127.0.0.1, port: 80}}]\n" ROUTE,
            "f:3:13: listeners[0]: found both unix and tcp, expected one of them"),
        BAD(HEAD "listeners: [" TCP "}]\n" ROUTE,
            "f:3:13: listeners[0].tls: found nothing, expected certificateFile, keyFile, clientCaFile and "
            "allowedNames (or insecure: true on a loopback address)"),
        BAD(HEAD "listeners: [{name: t, tcp: {address: 0.0.0.0, port: 80}, insecure: true}]\n" ROUTE,
            "f:3:68: listeners[0].insecure: found true for 0.0.0.0, expected a loopback address or tls"),
        BAD(HEAD "listeners: [{name: t, tcp: {address: 10.0.0.1, port: 80}, insecure: true}]\n" ROUTE,
            "f:3:69: listeners[0].insecure: found true for 10.0.0.1, expected a loopback address or tls"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a}, insecure: true}]\n" ROUTE,
            "f:3:51: listeners[0].insecure: found insecure on a Unix socket, expected it only with tcp"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a}, tls: {certificateFile: /c, keyFile: /k, "
                 "clientCaFile: /a, "
                 "allowedNames: [x]}}]\n" ROUTE,
            "f:3:46: listeners[0].tls: found tls on a Unix socket, expected it only with tcp"),
        BAD(HEAD "listeners: [" TCP
                 "insecure: true, tls: {certificateFile: /c, keyFile: /k, clientCaFile: /a, "
                 "allowedNames: [x]}}]\n" ROUTE,
            "f:3:70: listeners[0].insecure: found insecure and tls, expected one of them"),
        BAD(HEAD "listeners: [" TCP
                 "tls: {certificateFile: /c, keyFile: /k, clientCaFile: /a, allowedNames: []}}]\n" ROUTE,
            "f:3:132: listeners[0].tls.allowedNames: found a list of 0, expected 1 to 256 entries"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a}}, {name: a, unix: {path: /b}}]\n" ROUTE,
            "f:3:49: listeners[1].name: found \"a\", which listeners[0] has too, expected another name"),
        BAD(HEAD "listeners:\n  - {name: a, unix: {path: /a}}\n  - {name: b, unix: {path: /a}}\n" ROUTE,
            "f:5:28: listeners[1].unix.path: found \"/a\", which listeners[0] has too, expected another "
            "path"),
        BAD(HEAD "listeners: [" TCP
                 "insecure: true}, {name: u, tcp: {address: 127.0.0.1, port: 80}, insecure: true}]\n" ROUTE,
            "f:3:119: listeners[1].tcp.port: found 80 on 127.0.0.1, which listeners[0] has too, expected "
            "another port"),
        BAD(HEAD "listeners: [" TCP "insecure: true}]\nadmin: {port: 80}\n" ROUTE,
            "f:4:15: admin.port: found 80 on 127.0.0.1, which listeners[0] has too, expected another port"),
        BAD(HEAD "listeners: [" TCP "insecure: true}]\nhealth: {port: 80, address: \"*\"}\n" ROUTE,
            "f:4:16: health.port: found 80 on *, which listeners[0] has too, expected another port"),
        BAD(HEAD REST "health: {port: 8134}\n",
            "f:5:16: health.port: found 8134 on 127.0.0.1, which admin has too, expected another port"),
        BAD(HEAD "listeners: [{name: t, tcp: {address: \"*\", port: 80}, insecure: true}]\n" ROUTE,
            "f:3:64: listeners[0].insecure: found true for *, expected a loopback address or tls"),
        BAD(HEAD "listeners: [{name: a, unix: {path: /a, anyPeer: true, allowedGids: [1]}}]\n" ROUTE,
            "f:3:49: listeners[0].unix.anyPeer: found true beside allowedUids or allowedGids, expected one "
            "of "
            "them"),
        BAD(HEAD REST "tlsProfiles: [{name: k}, {name: k}]\n",
            "f:5:33: tlsProfiles[1].name: found \"k\", which tlsProfiles[0] has too, expected another name"),
        BAD(HEAD REST "tlsProfiles: [{name: k, clientKeyFile: /k}]\n",
            "f:5:15: tlsProfiles[0].clientCertificateFile: found nothing, expected a file name beside "
            "clientKeyFile"),
        BAD(HEAD REST "tlsProfiles: [{name: k, clientCertificateFile: /c}]\n",
            "f:5:15: tlsProfiles[0].clientKeyFile: found nothing, expected a file name beside "
            "clientCertificateFile"),
        BAD(HEAD REST
            "tlsProfiles: [{name: k, clientCertificateFile: /c, clientKeyFile: /k, bearerTokenFile: /t}]\n",
            "f:5:88: tlsProfiles[0].bearerTokenFile: found it beside clientCertificateFile, expected one of "
            "them"),
        BAD(HEAD LISTENER "routes: [{name: r}]\n",
            "f:4:10: routes[0].tlsProfile: found nothing, expected the name of one of tlsProfiles for https "
            "(or match.schemes: [http])"),
        BAD(HEAD LISTENER PROFILE "routes:\n  - name: r\n    tlsProfile: kubelet\n",
            "f:7:17: routes[0].tlsProfile: found \"kubelet\", expected the name of one of tlsProfiles"),
        BAD(HEAD LISTENER "tlsProfiles: [{name: k}]\nroutes: [{name: r, tlsProfile: k}]\n",
            "f:5:32: routes[0].tlsProfile: found \"k\" without caFile, expected a profile that has it (or "
            "insecure: true on this route)"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {schemes: [tunnel]}, " BRIDGE "}]\n",
            "f:4:10: routes[0].tlsProfile: found nothing, expected the name of one of tlsProfiles for the "
            "bridge"),
        BAD(HEAD LISTENER
            "tlsProfiles: [{name: k}]\nroutes: [{name: r, tlsProfile: k, match: {schemes: [tunnel]}, " BRIDGE
            "}]\n",
            "f:5:32: routes[0].tlsProfile: found \"k\" without caFile, expected a profile that has it (or "
            "insecure: true on this route)"),
        BAD(HEAD LISTENER PROFILE "routes: [{name: r, tlsProfile: k, " BRIDGE "}]\n",
            "f:5:43: routes[0].bridge: found it without match.schemes: [tunnel], expected both"),
        BAD(HEAD LISTENER PROFILE "routes: [{name: r, action: refuse, match: {schemes: [tunnel]}, " BRIDGE
                                  "}]\n",
            "f:5:72: routes[0].bridge: found it beside action: refuse, expected one of them"),
        BAD(HEAD LISTENER PROFILE "routes: [{name: r, tlsProfile: k}, {name: r, tlsProfile: k}]\n",
            "f:5:43: routes[1].name: found \"r\", which routes[0] has too, expected another name"),
        BAD(HEAD LISTENER PROFILE "routes: [{name: r, tlsProfile: k, match: {listeners: [a, b]}}]\n",
            "f:5:58: routes[0].match.listeners[1]: found \"b\", expected the name of one of listeners"),
        BAD(HEAD LISTENER PROFILE "routes: [{name: r, tlsProfile: k, nodeNames: [{address: A, name: x}, "
                                  "{address: a., name: y}]}]\n",
            "f:5:80: routes[0].nodeNames[1].address: found a second node for \"a\", expected one"),
        BAD(HEAD "listeners: [{name: t, tcp: {address: 10.0.0.1, port: 80}, tls: {" PAIR
                 ", allowedNames: [x]}}]\n" ROUTE,
            "f:3:64: listeners[0].tls.clientCaFile: found nothing, expected a file name"),
        BAD(HEAD "listeners: [{name: t, tcp: {address: 10.0.0.1, port: 80}, tls: {" PAIR
                 ", clientCaFile: /a}}]\n" ROUTE,
            "f:3:64: listeners[0].tls.allowedNames: found nothing, expected a list"),
        BAD(HEAD "listeners: [{name: t, tcp: {address: 10.0.0.1, port: 80}, tls: {" PAIR
                 "}}]\nagents: {anonymous: true}\n" ROUTE,
            "f:3:64: listeners[0].tls.clientCaFile: found nothing, expected a file name"),
        BAD(HEAD "listeners: [{name: a, serves: agents, unix: {path: /a}}]\n" ROUTE,
            "f:3:31: listeners[0].serves: found agents on a Unix socket, expected requests (agents need tcp "
            "with tls)"),
        BAD(HEAD "listeners: [" TCP "insecure: true, serves: agents}]\n" ROUTE,
            "f:3:84: listeners[0].serves: found agents without tls, expected requests (agents need tcp with "
            "tls)"),
        BAD(HEAD "listeners: [" AGENTS "tls: {" PAIR "}}]\n" ROUTE,
            "f:3:82: listeners[0].tls.clientCaFile: found nothing, expected a file name, or "
            "agents.tokenReview "
            "(or agents.anonymous: true)"),
        BAD(HEAD "listeners: [" AGENTS "tls: {" PAIR
                 ", allowedNames: [x]}}]\nagents: {tokenReview: {audience: a, namespace: b, serviceAccount: "
                 "c}}\n" ROUTE,
            "f:3:82: listeners[0].tls.clientCaFile: found nothing, expected a file name beside allowedNames"),
        BAD(HEAD "listeners: [" AGENTS "tls: {" PAIR ", clientCaFile: /a}}]\n" ROUTE,
            "f:3:82: listeners[0].tls.allowedNames: found nothing, expected a list beside clientCaFile (such "
            "as "
            "[\"*\"])"),
        BAD(HEAD REST
            "agents: {anonymous: true, tokenReview: {audience: a, namespace: b, serviceAccount: c}}\n",
            "f:5:21: agents.anonymous: found true beside tokenReview, expected one of them"),
        BAD(HEAD REST "agents: {connectionBytesMax: 65536}\n",
            "f:5:30: agents.connectionBytesMax: found 65536, expected at least limits.bodyBufferBytes, "
            "262144"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {schemes: [http]}, via: [agent]}]\n",
            "f:4:51: routes[0].via: found agent, expected a listener with serves: agents for it"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {schemes: [http]}, via: [direct, agent]}]\n",
            "f:4:51: routes[0].via: found agent, expected a listener with serves: agents for it"),
        BAD(HEAD LISTENER "routes: [{name: r, match: {schemes: [http]}, strategies: [default]}]\n",
            "f:4:58: routes[0].strategies: found them without agent in via, expected both"),
        BAD(HEAD "listeners: [" AGENTS "tls: {" PAIR
                 ", clientCaFile: /a, allowedNames: [x]}}]\nroutes: [{name: r, match: {schemes: [http], "
                 "listeners: [g]}}]\n",
            "f:4:57: routes[0].match.listeners[0]: found \"g\", which serves agents, expected the name of "
            "one "
            "of listeners"),
        BAD(HEAD REST "pool: {breaker: {backoffMinMs: 1000, backoffMaxMs: 999}}\n",
            "f:5:52: pool.breaker.backoffMaxMs: found 999, expected at least backoffMinMs, 1000"),
        BAD(HEAD REST "pool: {ageMaxMs: 1000}\n",
            "f:5:18: pool.ageMaxMs: found 1000, expected at least idleTimeoutMs, 80000"),
        BAD(HEAD REST "limits: {headBytesMax: 4096}\n",
            "f:5:9: limits.connectHeadBytesMax: found 8192, expected at most headBytesMax, 4096"),
        BAD(HEAD REST "limits: {bodyBufferBytes: 16384}\n",
            "f:5:27: limits.bodyBufferBytes: found 16384, expected at least headBytesMax, 65536"),
    };
    (void)state;
    expect_lines(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_settings_owe_each_other_is_told_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
