"""Processes of a run: started pinned, measured through /proc, stopped by their own pid."""
import os
import resource
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something of a run did not work; the text says what. The row of the table says it too."""


def raise_descriptors():
    """For this process and all that it starts. Raising the hard limit needs a privilege; takes what there is."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for want in (1 << 17, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(want, hard), max(want, hard)))
            return
        except (ValueError, OSError):
            continue


class Process:
    """One program of the run, with its children (nginx has some). Output goes to a file beside its configuration."""

    def __init__(self, argv, cpus, log_path, env=None):
        self.argv = argv
        self.log_path = log_path
        environment = dict(os.environ, **(env or {}))
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                          preexec_fn=lambda: os.sched_setaffinity(0, cpus), start_new_session=True)

    def log_tail(self):
        with open(self.log_path, errors="replace") as log:
            return " | ".join(line.strip() for line in log.readlines()[-3:])[-400:]

    def check_alive(self):
        if self.popen.poll() is not None:
            raise Failure(f"{os.path.basename(self.argv[0])} ended with {self.popen.returncode}: {self.log_tail()}")

    def wait_listening(self, address, seconds=60):
        """Until a connect to unix:PATH or tcp:HOST:PORT succeeds."""
        limit = time.monotonic() + seconds
        while True:
            self.check_alive()
            try:
                connect(address, 1.0).close()
                return
            except OSError:
                if time.monotonic() > limit:
                    raise Failure(f"{os.path.basename(self.argv[0])} does not listen on {address}: {self.log_tail()}")
                time.sleep(0.05)

    def pids(self):
        found, todo = [], [self.popen.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as f:
                        todo.extend(int(child) for child in f.read().split())
            except OSError:
                continue
        return found

    def sample(self):
        return sample(self.pids())

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                pass
        if self.popen.poll() is None:
            for pid in reversed(self.pids()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.popen.wait()


def connect(address, timeout):
    if address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(address[5:])
        return s
    host, port = address[4:].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout)


def sample(pids):
    """CPU and memory of some processes. `run_s` is the scheduler's own count in nanoseconds, summed over all threads
    that live now (io_uring's kernel workers are threads of the process too); `user_s` and `system_s` come in ticks."""
    out = {"user_s": 0.0, "system_s": 0.0, "run_s": 0.0, "tasks": [], "rss_kb": 0, "pss_kb": 0}
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        out["user_s"] += int(fields[11]) / TICK
        out["system_s"] += int(fields[12]) / TICK
        for task in sorted(os.listdir(f"/proc/{pid}/task")):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                out["run_s"] += int(f.read().split()[0]) / 1e9
            out["tasks"].append(int(task))
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                name, _, rest = line.partition(":")
                if name in ("Rss", "Pss"):
                    out[name.lower() + "_kb"] += int(rest.split()[0])
    return out


def cpu_between(before, after):
    """(total, user, system) in seconds. The fine count is used unless a thread came or went between the samples; user
    and system are the ticks' proportions of it."""
    user = after["user_s"] - before["user_s"]
    system = after["system_s"] - before["system_s"]
    ticks = user + system
    total = after["run_s"] - before["run_s"] if before["tasks"] == after["tasks"] else ticks
    if ticks <= 0:
        return total, 0.0, total
    return total, total * user / ticks, total * system / ticks


def machine_sample():
    """Seconds of all processors together: busy and stolen; the pages of TCP's socket buffers; the kernel's own objects
    (sockets, files, what io_uring keeps of an operation)."""
    with open("/proc/stat") as f:
        v = [int(x) / TICK for x in f.readline().split()[1:]]
    pages = 0
    with open("/proc/net/sockstat") as f:
        for line in f:
            if line.startswith("TCP:"):
                pages = int(line.split()[line.split().index("mem") + 1])
    with open("/proc/meminfo") as f:
        slab = next(int(line.split()[1]) for line in f if line.startswith("Slab:"))
    return {"slab_kb": slab, "busy_s": v[0] + v[1] + v[2] + v[5] + v[6], "steal_s": v[7], "time": time.monotonic(),
            "tcp_kb": pages * os.sysconf("SC_PAGE_SIZE") // 1024}
