"""The workloads of requests: what is asked, of how many kubelets, and which number of a trial is the figure. Those of
tunnels are in tunnels.py. Each is a function of a context and yields rows."""
import dataclasses
import os
import subprocess

from harness.agents import OF_AGENTS, w8, w8stall
from harness.process import Failure
from harness.trial import REUSE_MIN, Trial, settle
from harness.turns import trials
from harness.tunnels import per_gib, w3, w4, w5o

RESUMED_MIN = 0.99


def _w1(context, workload, workers):
    scale = context.scale
    context.start_backend(scale.w1_count, idle_s=90)
    setup = context.setup(scale.w1_count, workers=workers)
    variants = [(peer, setup, peer.name) for peer in context.peers + (context.floors if workers == 1 else [])]

    def body(trial, seed):
        if not trial.peer.floor:
            # Two at a time to each kubelet and worker: requests that meet by chance find a second pooled connection,
            # also where every worker has a pool of its own. Pooling is what W1 measures, not how a pool fills.
            # Several times with new connections, for it is chance which worker accepts how many of them.
            for turn in range(1 if workers == 1 else 4):
                trial.warm(pacing="closed", order="sweep", burst=2 * workers, connections=32,
                           requests=4 * workers * scale.w1_count, seed=seed + 100 * turn)
        trial.warm(rate=scale.w1_rate, duration=scale.w1_settle, seed=seed + 1000)
        row = trial.measure(rate=scale.w1_rate, duration=scale.w1_seconds, seed=seed, buckets=True)
        if "cpu_s" in row:
            row["figure"] = row["cpu_s"] * 1e6 / max(1, row["load"]["completed"])
            # Beside it, not instead of it: at capacity nobody sleeps, so the price of waking is left out.
            busy = trial.measure(pacing="closed", connections=16, duration=scale.w1_busy_seconds, seed=seed)
            if not busy["load"]["failures"]["total"]:
                row["busy_figure"] = busy["cpu_s"] * 1e6 / max(1, busy["load"]["completed"])
        if not trial.peer.floor and row["reuse"] < REUSE_MIN:
            row["void"] = row["void"] or f"reuse {row['reuse']:.2%}"
        return row

    yield from trials(context, workload, variants, body)


def w1(context):
    """Steady pooled: 1 KiB answers, Poisson arrivals, one worker."""
    yield from _w1(context, "W1", 1)


def w1x2(context):
    """The same with two workers on two processors."""
    yield from _w1(context, "W1x2", 2)


def w2(context):
    """Sparse touch: each kubelet once per period, which is longer than any idle limit; every request dials."""
    scale = context.scale
    context.start_backend(scale.w2_count, idle_s=2)
    setup = context.setup(scale.w2_count, idle_s=1.0)
    variants = []
    for peer in context.peers:
        variants.append((peer, setup, peer.name))
        variants.append((peer, dataclasses.replace(setup, resume=False), peer.name + "-no-resume"))
    rate = scale.w2_count / scale.w2_period

    def body(trial, seed):
        # One touch each leaves a ticket; then all idle connections end.
        trial.warm(pacing="even", order="sweep", rate=4 * rate, requests=scale.w2_count, seed=seed)
        settle(scale.w2_period)
        row = trial.measure(pacing="even", order="sweep", rate=rate, duration=scale.w2_period * scale.w2_rounds,
                            seed=seed, buckets=True)
        row["figure"] = row["cpu_s"] * 1e6 / max(1, row["load"]["completed"])
        if row["reuse"] > 0.01:
            row["void"] = row["void"] or f"connections were still pooled ({row['reuse']:.1%} reuse)"
        resumed = row["resumed"] or 0.0
        if trial.setup.resume and resumed < RESUMED_MIN:
            row["remarks"].append(f"resumed only {resumed:.1%}")
        if not trial.setup.resume and resumed > 0:
            row["void"] = row["void"] or "resumed although switched off"
        return row

    yield from trials(context, "W2", variants, body)


def w5(context):
    """Bulk: bodies of 256 MiB over TLS, some in parallel, down and up."""
    scale = context.scale
    context.start_backend(scale.w5_parallel, idle_s=90)
    setup = context.setup(scale.w5_parallel)
    shared = {"pacing": "closed", "order": "sweep", "deadline": 600000, "connections": scale.w5_parallel}

    def down(trial, seed):
        trial.warm(**shared, requests=scale.w5_parallel)
        return per_gib(trial.measure(**shared, seed=seed, requests=scale.w5_bodies,
                                      path=f"/bytes/{scale.w5_bytes}", expect=scale.w5_bytes))

    def up(trial, seed):
        trial.warm(**shared, requests=scale.w5_parallel)
        return per_gib(trial.measure(**shared, seed=seed, requests=scale.w5_bodies, path="/sink",
                                      upload=scale.w5_bytes, expect="count"))

    variants = [(peer, setup, peer.name) for peer in context.peers]
    variants += [(peer, dataclasses.replace(setup, big_buffers=True), "haproxy-32k") for peer in context.peers
                 if peer.name == "haproxy"]
    yield from trials(context, "W5-down", variants, down)
    yield from trials(context, "W5-up", variants, up)


def mem(context):
    """Memory per idle pooled TLS connection: each kubelet is touched once, then the pool is weighed."""
    scale = context.scale
    context.start_backend(scale.mem_count, idle_s=90)
    setup = context.setup(scale.mem_count, per_endpoint=2)
    variants = [(peer, setup, peer.name) for peer in context.peers if peer.name != "envoy" or context.envoy_mem]

    def body(trial, seed):
        settle(1)
        before, tcp_before = trial.process.sample(), context.machine()["tcp_kb"]
        row = trial.measure(pacing="closed", order="sweep", requests=scale.mem_count, connections=8, seed=seed,
                            deadline=20000)
        settle(1)
        after, tcp_after = trial.process.sample(), context.machine()["tcp_kb"]
        pooled = context.backend.counters()["connections_open"]
        row["pooled"] = pooled
        row["base_pss_kb"] = before["pss_kb"]
        # RSS, in favour of nginx: a page of configuration that its worker writes to for the first time is a second
        # page for PSS, but it belongs to having ten thousand upstreams and not to the connection.
        row["figure"] = (after["rss_kb"] - before["rss_kb"]) / max(1, pooled)
        row["pss_per_connection_kb"] = (after["pss_kb"] - before["pss_kb"]) / max(1, pooled)
        row["tcp_per_connection_kb"] = (tcp_after - tcp_before) / max(1, pooled)
        if pooled < 0.99 * scale.mem_count:
            row["void"] = row["void"] or f"only {pooled} connections pooled"
        return row

    yield from trials(context, "MEM", variants, body)


def proof(context):
    """Before anything is measured: does each proxy verify? One whose trusted CA is another must refuse every request.
    Returns {peer: what happened}; a peer that answers all the same is not comparable."""
    other = os.path.join(context.sockets, "other-ca")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "1", "-subj", "/CN=another CA", "-keyout", other + ".key", "-out", other + ".crt"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context.start_backend(2, idle_s=90)
    found = {}
    for peer in context.peers:
        if peer.missing():
            continue
        try:
            with Trial(context, peer, context.setup(2, ca=other + ".crt"), "proof-" + peer.name) as trial:
                load = trial.load(pacing="closed", requests=4, connections=1)
            found[peer.name] = f"NOT VERIFYING: answered {load['completed']} of 4" if load["completed"] else "refuses"
        except (Failure, OSError) as error:
            found[peer.name] = f"not shown: {error}"
    return found


OF_TUNNELS = ("W3", "W4", "W5o") + OF_AGENTS  # which know no kubelets
WORKLOADS = {"W1": w1, "W1x2": w1x2, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W5o": w5o, "MEM": mem, "W8": w8,
             "W8stall": w8stall}
