"""What stands behind the proxies. All proxies of a workload meet the same process.

Kubelets: tools/kubelet-sim, which makes its certificates too; its counters, taken before and after, tell reuse and
resumption from the far side. Tunnels' target: hawser-target, which tells hawser-load itself what it counted."""
import json
import os
import time
import urllib.request

from harness.process import Failure, Process

COUNTERS = ("requests", "connections", "connections_closed", "handshakes_full", "handshakes_resumed", "body_bytes_in")


class Backend:
    def __init__(self, tools, folder, count, port, idle_s, cpus, program=None):
        self.status = f"127.0.0.1:{port + 2}"
        self.work = os.path.join(folder, "kubelets")
        os.makedirs(self.work, exist_ok=True)
        ready = os.path.join(self.work, "ready")
        argv = [program or tools.program("kubelet-sim"), "--base", "127.16.0.1", "--count", str(count),
                "--port", str(port), "--workdir", self.work, "--status", self.status,
                "--idle-timeout", f"{int(idle_s * 1000)}ms", "--threads", "1", "--ready-file", ready]
        if not os.access(argv[0], os.X_OK):
            raise Failure("kubelet-sim is not built in this tree")
        self.process = Process(argv, cpus, os.path.join(folder, "kubelets.log"))
        limit = time.monotonic() + 120
        while not os.path.exists(ready):
            self.process.check_alive()
            if time.monotonic() > limit:
                self.stop()
                raise Failure("kubelet-sim is not ready after 120 s")
            time.sleep(0.05)

    def credentials(self):
        return {"ca": f"{self.work}/ca.crt", "client_cert": f"{self.work}/client.crt",
                "client_key": f"{self.work}/client.key"}

    def counters(self):
        self.process.check_alive()
        try:
            with urllib.request.urlopen(f"http://{self.status}/status", timeout=5) as answer:
                status = json.load(answer)
        except (OSError, ValueError) as error:
            raise Failure(f"kubelet-sim's status can not be read: {error}") from error
        status = status.get("counters", status)
        found = {name: status[name] for name in COUNTERS}
        found["connections_open"] = found["connections"] - found["connections_closed"]
        return found

    def stop(self):
        self.process.stop()
        ready = os.path.join(self.work, "ready")
        if os.path.exists(ready):
            os.unlink(ready)


class Target:
    """One process for every address of the range: it listens on all of them."""

    def __init__(self, tools, folder, port, cpus):
        self.process = Process([tools.program("hawser-target"), f"tcp:0.0.0.0:{port}"], cpus,
                               os.path.join(folder, "target.log"))
        self.process.wait_listening(f"tcp:127.0.0.1:{port}")

    def credentials(self):
        return {}

    def counters(self):
        self.process.check_alive()
        return None

    def stop(self):
        self.process.stop()
