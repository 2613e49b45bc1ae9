"""Hawser in the place of Konnectivity's proxy-server: the same stock agent dials for it, with the same certificates. Everything goes
through the agent, and nothing is switched off but the access log."""
from peers.hawser import ADMIN_PORT, Hawser
from peers.konnectivity import Konnectivity, make_certificates


class HawserServer(Hawser):
    transports = ("unix",)

    def missing(self):
        return super().missing() or Konnectivity(self.tools).missing()

    def write_tunnels(self, folder, setup, listen):
        make_certificates(folder)
        return self._start(folder, f"""apiVersion: hawser.dev/v1alpha1
kind: BrokerConfiguration
workers: {setup.workers}
listeners:
  - name: bench
    unix: {{path: {listen.removeprefix('unix:')}, mode: "0600"}}
  - name: agents
    serves: agents
    tcp: {{address: 127.0.0.1, port: {setup.port + 4}}}
    tls: {{certificateFile: {folder}/peer.crt, keyFile: {folder}/peer.key, clientCaFile: {folder}/ca.crt, allowedNames: [konnectivity]}}
routes:
  - name: targets
    match: {{cidrs: [127.64.0.0/10], ports: [{setup.port}], schemes: [tunnel]}}
    via: [agent]
admin: {{address: 127.0.0.1, port: {ADMIN_PORT}}}
log: {{accessLog: false}}
""")

    def companions(self, folder, setup):
        return Konnectivity(self.tools).companions(folder, setup)
