"""One trial: one proxy, started fresh, warmed, loaded, measured, stopped. Workloads are made of trials."""
import json
import os
import subprocess
import time

from harness.process import Failure, Process, cpu_between, machine_sample
from harness.process import sample as process_sample
from peers.floor import responder

LOAD_CPU = {1}  # generator and kubelets; the proxy has CPU 0, or both when it has two workers
REUSE_MIN = 0.999


class Trial:
    def __init__(self, context, peer, setup, label):
        self.context, self.peer, self.setup, self.label = context, peer, setup, label
        folder = os.path.join(context.folder, label)
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, "output.log")
        self.socket = os.path.join(context.sockets, f"{peer.name}.sock")
        self.listen = f"tcp:127.0.0.1:{setup.port + 3}" if setup.transport == "tcp" else "unix:" + self.socket
        self.process, self.companions, self.responder = None, [], None
        # The floors of requests have a responder of their own and leave the kubelets alone.
        self.backend = context.backend if setup.tunnels or not peer.floor else None
        argv, env = peer.write_tunnels(folder, setup, self.listen) if setup.tunnels else \
            peer.write(folder, setup, self.socket)
        try:
            if not self.backend:
                address = responder(setup)
                self.responder = Process([context.tools.program("hawser-responder"), address, "1024"], LOAD_CPU, self.log)
                self.responder.wait_listening(address)
            if argv:
                cpus = {0} if setup.workers == 1 else set(range(setup.workers))
                self.process = Process(argv, cpus, self.log, env)
                self.process.wait_listening(self.listen, 180)
            for companion in peer.companions(folder, setup):
                self.companions.append(Process(companion, LOAD_CPU, self.log))
            if setup.tunnels:
                self._wait_tunnel()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _wait_tunnel(self):
        """A proxy may listen before it can reach anything."""
        limit = time.monotonic() + 30
        while True:
            result = self.load(pacing="closed", requests=1, connections=1)
            if result["completed"]:
                return
            if time.monotonic() > limit:
                raise Failure(f"no tunnel after 30 s: {result['first_failure']}; {self.process.log_tail()}")
            time.sleep(0.2)

    def stop(self):
        for process in [self.process, self.responder] + self.companions:
            if process:
                process.stop()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def _argv(self, options):
        address = self.listen if self.process else responder(self.setup)
        target = self.peer.tunnel_target if self.setup.tunnels else self.peer.target
        count = 1 if target == "bare" else self.setup.count  # a relay dials one address
        argv = [self.context.tools.program("hawser-load"), "--connect", address, "--target", target,
                "--base", self.setup.base, "--count", str(count), "--port", str(self.setup.port)]
        for name, value in options.items():
            argv += ["--" + name] + ([] if value is True else [str(value)])
        return argv

    def load(self, seconds_max=600, **options):
        """Runs hawser-load once with --name value for each option; returns its JSON."""
        done = subprocess.run(self._argv(options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=seconds_max, check=False,
                              preexec_fn=_be_fair if options.get("pacing") == "closed" else _be_on_time)
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

    def measure(self, rest=0.0, **options):
        """A load between two samples of everything; `rest` seconds later what it left to be done is done, too."""
        before = self.samples()
        load = self.load(**options)
        time.sleep(rest)
        return self.row(before, self.samples(), load)

    def crowd(self, count, active, seconds, **options):
        """Tunnels held open: weighs the proxy without them and with them, then watches it hold them for a while.
        Returns its row, and the samples (before, held)."""
        before = self.samples()
        argv = self._argv(dict(options, crowd=count, active=active))
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=_be_on_time) as crowd:
            line = crowd.stdout.readline()
            time.sleep(2)
            held = self.samples()
            time.sleep(seconds)
            after = self.samples()
            out, err = crowd.communicate(timeout=120)
        self.process.check_alive()
        if crowd.returncode != 0 or not line:
            raise Failure(f"hawser-load: {err.strip()[-300:]}")
        row = self.row(held, after, json.loads(out))
        row["opened"] = json.loads(line)["open"]
        return row, before, held

    def row(self, before, after, load):
        row = {"peer": self.peer.name, "label": self.label, "load": load, "remarks": []}
        elapsed = after["machine"]["time"] - before["machine"]["time"]
        steal = (after["machine"]["steal_s"] - before["machine"]["steal_s"]) / (elapsed * os.cpu_count())
        busy = after["machine"]["busy_s"] - before["machine"]["busy_s"]
        row["elapsed_s"], row["steal"] = elapsed, steal
        row["foreign_cpu"] = busy - load["generator_cpu_s"]
        if self.process:
            total, user, system = cpu_between(before["proxy"], after["proxy"])
            row["cpu_s"], row["user_s"], row["system_s"] = total, user, system
            row["alone_cpu_s"] = cpu_between(before["alone"], after["alone"])[0]
            row["rss_kb"], row["pss_kb"] = after["proxy"]["rss_kb"], after["proxy"]["pss_kb"]
            row["foreign_cpu"] -= total
        for helper in ("responder", "far"):
            if helper in before:
                row["foreign_cpu"] -= cpu_between(before[helper], after[helper])[0]
        if before["counters"]:
            row["kubelets"] = {key: after["counters"][key] - before["counters"][key] for key in before["counters"]}
            row["kubelets"]["connections_open"] = after["counters"]["connections_open"]
            self._reuse(row)
        row["foreign_cpu"] = max(0.0, row["foreign_cpu"] / elapsed)
        self._judge(row)
        return row

    def samples(self):
        sample = {"machine": machine_sample(), "counters": None}
        if self.process:
            pids = [pid for process in [self.process] + self.companions for pid in process.pids()]
            sample["proxy"] = process_sample(pids)
            sample["alone"] = self.process.sample()
        if self.responder:
            sample["responder"] = self.responder.sample()
        if self.backend:
            sample["counters"] = self.backend.counters()
            sample["far"] = self.backend.process.sample()
        return sample

    @staticmethod
    def _reuse(row):
        seen = row["kubelets"]
        handshakes = seen["handshakes_full"] + seen["handshakes_resumed"]
        requests = max(1, seen["requests"])
        row["reuse"] = max(0.0, 1.0 - handshakes / requests)
        row["resumed"] = seen["handshakes_resumed"] / handshakes if handshakes else None

    @staticmethod
    def _judge(row):
        """What makes a figure worth less, or nothing; `void` is set where it must not be compared."""
        load = row["load"]
        row["void"] = None
        if load["failures"]["total"]:
            row["remarks"].append(f"{load['failures']['total']} failed: {load['first_failure']}")
            if load["failures"]["total"] * 1000 > load["scheduled"]:
                row["void"] = "failures"
        if not load["generator_in_time"]:
            row["void"] = f"generator late (p99 {load['lag_us']['p99'] / 1000:.1f} ms)"
        if "kubelets" in row and row["kubelets"]["requests"] < load["completed"]:
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
