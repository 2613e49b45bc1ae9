"""The simulated kubelets of a run: tools/kubelet-sim with certificates from tools/hawser-pki. All proxies of a
workload meet the same process; its counters, taken before and after, tell reuse and resumption from the far side."""
import json
import os
import subprocess
import urllib.request

from harness.process import Failure, Process

STATUS = "127.0.0.1:10252"
COUNTERS = ("requests", "connections", "handshakes_full", "handshakes_resumed", "connections_open")


class Backend:
    def __init__(self, tools, folder, count, idle_s, cpus, program=None):
        self.pki = os.path.join(folder, "pki")
        os.makedirs(self.pki, exist_ok=True)
        argv = [program or tools.program("kubelet-sim"), "-pki", self.pki, "-base", "127.16.0.1", "-count", str(count),
                "-status", STATUS, "-idle", f"{idle_s:g}s"]
        self.process = Process(argv, cpus, os.path.join(folder, "kubelets.log"))
        self.process.wait_listening("tcp:127.16.0.1:10250", 120)
        self.process.wait_listening("tcp:" + STATUS)

    def credentials(self):
        return {"ca": f"{self.pki}/ca.crt", "client_cert": f"{self.pki}/client.crt",
                "client_key": f"{self.pki}/client.key", "node_name": "node-{}"}

    def counters(self):
        self.process.check_alive()
        with urllib.request.urlopen(f"http://{STATUS}/", timeout=5) as answer:
            status = json.load(answer)
        return {name: status[name] for name in COUNTERS}

    def stop(self):
        self.process.stop()
