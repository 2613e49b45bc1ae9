"""Konnectivity: the proxy-server of apiserver-network-proxy in http-connect mode, built from the Go module proxy, with one
stock agent of the same module beside it.

- It dials nothing by itself: every byte goes to the agent over one gRPC stream with mutual TLS, and the agent dials.
  So both are counted: together they do what the others do. The server's share, which is what a control plane pays, is
  shown in a remark.
- Unix socket only: its TCP front wants mutual TLS, which is not what the others are asked for.
- Log level 0 (its default of 4 writes several lines a tunnel). Go takes as many processors as it may run on.
"""
import os
import subprocess

from peers.peer import Peer


class Konnectivity(Peer):
    name = "konnectivity"
    requests = False
    transports = ("unix",)

    def missing(self):
        return self.tools.konnectivity_missing

    def version(self):
        return f"apiserver-network-proxy {self.tools.konnectivity_version}" if not self.missing() else "missing"

    def write_tunnels(self, folder, setup, listen):
        make_certificates(folder)
        return [os.path.join(self.tools.konnectivity, "server"), "--mode=http-connect",
                f"--uds-name={listen.removeprefix('unix:')}", "--server-port=0",
                f"--cluster-ca-cert={folder}/ca.crt", f"--cluster-cert={folder}/peer.crt",
                f"--cluster-key={folder}/peer.key", "--agent-bind-address=127.0.0.1", f"--agent-port={setup.port + 4}",
                "--health-bind-address=127.0.0.1", f"--health-port={setup.port + 5}",
                f"--admin-port={setup.port + 6}", "--v=0"], {}

    def companions(self, folder, setup):
        return [[os.path.join(self.tools.konnectivity, "agent"), f"--ca-cert={folder}/ca.crt",
                 f"--agent-cert={folder}/peer.crt", f"--agent-key={folder}/peer.key",
                 "--proxy-server-host=127.0.0.1", f"--proxy-server-port={setup.port + 4}",
                 "--health-server-host=127.0.0.1", f"--health-server-port={setup.port + 7}",
                 f"--admin-server-port={setup.port + 8}", "--sync-interval=100ms", "--v=0"]]


def make_certificates(folder):
    """A CA and one certificate, which server and agent show each other."""
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    subprocess.run(["openssl", "req", "-x509", *key, "-subj", "/CN=konnectivity CA", "-keyout", "ca.key", "-out",
                    "ca.crt"], **quiet)
    subprocess.run(["openssl", "req", "-x509", *key, "-subj", "/CN=konnectivity", "-CA", "ca.crt", "-CAkey", "ca.key",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", "peer.key", "-out", "peer.crt"], **quiet)
    os.unlink(os.path.join(folder, "ca.key"))
