"""One trial: one proxy, started fresh, warmed, loaded, measured, stopped. Workloads are made of trials."""
import json
import os
import subprocess
import time

from harness.process import Failure, Process, cpu_between, machine_sample
from peers.floor import responder

LOAD_CPU = {1}  # generator and kubelets; the proxy has CPU 0, or both when it has two workers
REUSE_MIN = 0.999


class Trial:
    def __init__(self, context, peer, setup, label):
        self.context, self.peer, self.setup, self.label = context, peer, setup, label
        folder = os.path.join(context.folder, label)
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, "output.log")
        self.listen = os.path.join(context.sockets, f"{peer.name}.sock")
        self.responder = None
        self.process = None
        argv, env = peer.write(folder, setup, self.listen)
        if peer.floor:
            address = responder(setup)
            self.responder = Process([context.tools.program("hawser-responder"), address, "1024"], LOAD_CPU, self.log)
            self.responder.wait_listening(address)
        try:
            if argv:
                cpus = {0} if setup.workers == 1 else set(range(setup.workers))
                self.process = Process(argv, cpus, self.log, env)
                self.process.wait_listening("unix:" + self.listen, 180)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for process in (self.process, self.responder):
            if process:
                process.stop()
        if os.path.exists(self.listen):
            os.unlink(self.listen)

    def load(self, seconds_max=600, **options):
        """Runs hawser-load once with --name value for each option; returns its JSON."""
        address = "unix:" + self.listen if self.process else responder(self.setup)
        argv = [self.context.tools.program("hawser-load"), "--connect", address, "--target", self.peer.target,
                "--base", self.setup.base, "--count", str(self.setup.count), "--port", str(self.setup.port)]
        for name, value in options.items():
            argv += ["--" + name] + ([] if value is True else [str(value)])
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds_max,
                              check=False, preexec_fn=_be_fair if options.get("pacing") == "closed" else _be_on_time)
        if self.process:
            self.process.check_alive()
        if done.returncode != 0:
            raise Failure(f"hawser-load: {done.stderr.strip()[-300:]}")
        return json.loads(done.stdout)

    def warm(self, **options):
        """A load whose figures do not count; but a proxy that fails here is misconfigured, and the trial is over."""
        result = self.load(**options)
        if result["failures"]["total"] * 100 > result["scheduled"]:
            raise Failure(f"{result['failures']['total']} of {result['scheduled']} warm-up requests failed: "
                          f"{result['first_failure']}; {self.process.log_tail() if self.process else ''}")

    def measure(self, **options):
        """A load between two samples of everything."""
        before = self._samples()
        load = self.load(**options)
        after = self._samples()
        row = {"peer": self.peer.name, "label": self.label, "load": load, "remarks": []}
        elapsed = after["machine"]["time"] - before["machine"]["time"]
        steal = (after["machine"]["steal_s"] - before["machine"]["steal_s"]) / (elapsed * os.cpu_count())
        busy = after["machine"]["busy_s"] - before["machine"]["busy_s"]
        row["elapsed_s"], row["steal"] = elapsed, steal
        row["foreign_cpu"] = busy - load["generator_cpu_s"]
        if self.process:
            total, user, system = cpu_between(before["proxy"], after["proxy"])
            row["cpu_s"], row["user_s"], row["system_s"] = total, user, system
            row["rss_kb"], row["pss_kb"] = after["proxy"]["rss_kb"], after["proxy"]["pss_kb"]
            row["foreign_cpu"] -= total
        if not self.peer.floor:
            row["kubelets"] = {key: after["backend"][key] - before["backend"][key] for key in before["backend"]}
            row["kubelets"]["connections_open"] = after["backend"]["connections_open"]
            row["foreign_cpu"] -= cpu_between(before["kubelets"], after["kubelets"])[0]
            self._reuse(row)
        row["foreign_cpu"] = max(0.0, row["foreign_cpu"] / elapsed)
        self._judge(row)
        return row

    def _samples(self):
        sample = {"machine": machine_sample()}
        if self.process:
            sample["proxy"] = self.process.sample()
        if not self.peer.floor:
            sample["backend"] = self.context.backend.counters()
            sample["kubelets"] = self.context.backend.process.sample()
        return sample

    @staticmethod
    def _reuse(row):
        seen = row["kubelets"]
        handshakes = seen["handshakes_full"] + seen["handshakes_resumed"]
        requests = max(1, seen["requests"])
        row["reuse"] = max(0.0, 1.0 - handshakes / requests)
        row["resumed"] = seen["handshakes_resumed"] / handshakes if handshakes else None

    def _judge(self, row):
        """What makes a figure worth less, or nothing; `void` is set where it must not be compared."""
        load = row["load"]
        row["void"] = None
        if load["failures"]["total"]:
            row["remarks"].append(f"{load['failures']['total']} failed: {load['first_failure']}")
            if load["failures"]["total"] * 1000 > load["scheduled"]:
                row["void"] = "failures"
        if not load["generator_in_time"]:
            row["void"] = f"generator late (p99 {load['lag_us']['p99'] / 1000:.1f} ms)"
        if not self.peer.floor and row["kubelets"]["requests"] < load["completed"]:
            row["void"] = "the kubelets saw fewer requests than were answered"
        if row["steal"] > 0.01:
            row["remarks"].append(f"noisy: {row['steal']:.1%} of the machine stolen")
        if row["foreign_cpu"] > 0.10:
            row["remarks"].append(f"noisy: other programs used {row['foreign_cpu']:.2f} CPU")


def _be_on_time():
    """An open-loop generator must wake when its time has come, whatever the kubelets beside it do. It sleeps nearly
    always, so first place costs them little. Without the privilege its lag is judged all the same."""
    os.sched_setaffinity(0, LOAD_CPU)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass


def _be_fair():
    os.sched_setaffinity(0, LOAD_CPU)


def settle(seconds):
    time.sleep(seconds)
