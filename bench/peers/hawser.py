"""Hawser itself, configured as a user would: one route for all kubelets, the absolute form, verification of chain,
IP SAN and node name; tunnels: one route for all targets. Nothing is switched off that is on by default but the access log, as for all peers."""
import os

from peers.peer import Peer, write_file

ADMIN_PORT = 8134


class Hawser(Peer):
    name = "hawser"
    target = "absolute"
    transports = ("unix", "tcp")

    def missing(self):
        return None if os.access(self.tools.program("hawser"), os.X_OK) else "hawser is not built in this tree"

    def version(self):
        return self.first_line([self.tools.program("hawser"), "version"]) if not self.missing() else "missing"

    def write(self, folder, setup, listen):
        names = "".join(f"{ip} {name}\n" for ip, name in setup.endpoints())
        text = f"""apiVersion: hawser.dev/v1alpha1
kind: BrokerConfiguration
workers: {setup.workers}
listeners:
  - name: bench
    unix: {{path: {listen}, mode: "0600"}}
tlsProfiles:
  - name: kubelet
    caFile: {setup.ca}
    clientCertificateFile: {setup.client_cert}
    clientKeyFile: {setup.client_key}
    verifyKubeletName: true
    minVersion: "1.3"
    resumption: {"true" if setup.resume else "false"}
routes:
  - name: kubelets
    match: {{cidrs: [127.16.0.0/12], ports: [{setup.port}], schemes: [https]}}
    tlsProfile: kubelet
    nodeNameFile: {write_file(folder, "nodes", names)}
pool:
  idleTimeoutMs: {int(setup.idle_s * 1000)}
admin: {{address: 127.0.0.1, port: {ADMIN_PORT}}}
log: {{accessLog: false}}
"""
        return self._start(folder, text)

    def write_tunnels(self, folder, setup, listen):
        if setup.transport == "tcp":
            ip, port = listen.removeprefix("tcp:").split(":")
            listener = f"tcp: {{address: {ip}, port: {port}}}\n    insecure: true"
        else:
            listener = f"unix: {{path: {listen.removeprefix('unix:')}, mode: \"0600\"}}"
        text = f"""apiVersion: hawser.dev/v1alpha1
kind: BrokerConfiguration
workers: {setup.workers}
listeners:
  - name: bench
    {listener}
routes:
  - name: targets
    match: {{cidrs: [127.64.0.0/10], ports: [{setup.port}], schemes: [tunnel]}}
admin: {{address: 127.0.0.1, port: {ADMIN_PORT}}}
log: {{accessLog: false}}
"""
        return self._start(folder, text)

    def _start(self, folder, text):
        return [self.tools.program("hawser"), "serve", "--config", write_file(folder, "hawser.yaml", text)], {}
