"""What a run says: medians with their spread, ratios, the bars, JSON and a plot."""
import json
import os
import statistics
import subprocess

TITLES = {
    "W1": ("steady pooled, 1 KiB answers, one worker", "CPU us/request"),
    "W1x2": ("steady pooled, two workers", "CPU us/request"),
    "W2": ("sparse touch, every request dials", "CPU us/request"),
    "W3-unix": ("tunnel churn over a Unix socket", "CPU us/tunnel"),
    "W3-tcp": ("tunnel churn over TCP", "CPU us/tunnel"),
    "W4": ("memory per tunnel, one in a hundred in use", "RSS KiB/tunnel"),
    "W5-down": ("bulk bodies over TLS, downloads", "CPU s/GiB"),
    "W5-up": ("bulk bodies over TLS, uploads", "CPU s/GiB"),
    "W5o-down-unix": ("opaque bulk through tunnels over a Unix socket, down", "CPU s/GiB"),
    "W5o-up-unix": ("opaque bulk through tunnels over a Unix socket, up", "CPU s/GiB"),
    "W5o-down-tcp": ("opaque bulk through tunnels over TCP, down", "CPU s/GiB"),
    "W5o-up-tcp": ("opaque bulk through tunnels over TCP, up", "CPU s/GiB"),
    "MEM": ("memory per idle pooled TLS connection", "RSS KiB/connection"),
    "W8-dials": ("through one stock agent: tunnel churn, the server's process alone", "CPU us/tunnel"),
    "W8-down": ("through one stock agent: opaque bulk, down, the server's process alone", "CPU s/GiB"),
    "W8-up": ("through one stock agent: opaque bulk, up, the server's process alone", "CPU s/GiB"),
    "W8-mem": ("through one stock agent: memory per tunnel, the server's process alone", "RSS KiB/tunnel"),
    "W8stall-connect": ("64 busy clients beside a stalled one on one agent, CONNECT in front", "kept throughput"),
    "W8stall-single": ("64 busy clients beside a stalled one on one agent, gRPC in front", "kept throughput"),
}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)} if values else None


def summarise(rows):
    """{workload: {variant: summary}} in the order of first appearance."""
    out = {}
    for row in rows:
        entry = out.setdefault(row["workload"], {}).setdefault(row["variant"], {"rows": [], "remarks": [], "void": 0})
        entry["rows"].append(row)
    for workload, variants in out.items():
        for entry in variants.values():
            _summarise_variant(entry)
        base = _base(workload, variants)
        for entry in variants.values():
            entry["base"] = base
            entry["ratio"] = _ratio(entry, variants.get(base))
    return out


def _base(workload, variants):
    """Whom the others are put beside: HAProxy; in bulk tunnels the bare relay on Hawser's own rings; behind agents the proxy-server; in the other
    workloads of tunnels the best peer of the run, as a name, or None."""
    if workload.startswith("W5o"):
        return "relay-rings"
    if workload.startswith("W8"):
        return None if workload.startswith("W8stall") else "konnectivity"
    if not workload.startswith(("W3", "W4")):
        return "haproxy"
    peers = {name: entry["figure"]["median"] for name, entry in variants.items()
             if entry["state"] == "measured" and entry["figure"] and not entry["rows"][0]["floor"]
             and entry["rows"][0]["peer"] != "hawser"}
    return min(peers, key=peers.get) if peers else None


def _summarise_variant(entry):
    rows = entry["rows"]
    entry["state"] = "measured"
    if all(row.get("missing") for row in rows):
        entry["state"], entry["remarks"] = "missing", [rows[0]["missing"]]
        return
    for row in rows:
        notes = [f"failed: {row['failed']}"] if row.get("failed") else list(row.get("remarks", []))
        if row.get("void"):
            notes.append(f"void: {row['void']}")
        entry["remarks"] += [f"{note} (run {row['repeat'] + 1})" for note in notes]
    good = [row for row in rows if "load" in row and not row.get("void")]
    entry["void"] = len(rows) - len(good)
    entry["good"] = [row["repeat"] for row in good]
    if not good:
        entry["state"] = "void"
        good = [row for row in rows if "load" in row]  # shown, but marked and never compared
    for name, of in {
        "figure": lambda r: r.get("figure"),
        "busy": lambda r: r.get("busy_figure"),
        "user": lambda r: r["user_s"] / r["cpu_s"] if r.get("cpu_s") else None,
        "p50": lambda r: r["load"]["latency_us"].get("p50"),
        "p99": lambda r: r["load"]["latency_us"].get("p99"),
        "p999": lambda r: r["load"]["latency_us"].get("p999"),
        "setup_p50": lambda r: _of_tunnels(r, "setup_us", "p50"),
        "setup_p99": lambda r: _of_tunnels(r, "setup_us", "p99"),
        "exchange_p50": lambda r: _of_tunnels(r, "exchange_us", "p50"),
        "exchange_p99": lambda r: _of_tunnels(r, "exchange_us", "p99"),
        "reuse": lambda r: r.get("reuse"),
        "resumed": lambda r: r.get("resumed"),
        "pss_mb": lambda r: r["pss_kb"] / 1024 if "pss_kb" in r else None,
        "gib_per_s": lambda r: r.get("gib_per_s"),
        "pss_per_connection": lambda r: r.get("pss_per_connection_kb"),
        "tcp_per_connection": lambda r: r.get("tcp_per_connection_kb"),
        "slab_per_connection": lambda r: r.get("slab_per_connection_kb"),
        "holding": lambda r: r.get("holding_cpu"),
        "open_tunnels": lambda r: r.get("open_tunnels"),
        "base_pss_mb": lambda r: r["base_pss_kb"] / 1024 if "base_pss_kb" in r else None,
        "without_mib": lambda r: r.get("without_mib"),
        "with_mib": lambda r: r.get("with_mib"),
        "p99_ratio": lambda r: r.get("p99_ratio"),
        "open": lambda r: r["kubelets"]["connections_open"] if "kubelets" in r else None,
    }.items():
        values = [value for value in map(of, good) if value is not None]
        entry[name] = spread(values)


def _of_tunnels(row, histogram, quantile):
    """A floor's tunnels are not asked for, so they have no setup."""
    return None if row["floor"] else row["load"].get(histogram, {}).get(quantile)


def _ratio(entry, base):
    """Pairwise: each run beside the base's run of the same repeat."""
    if not base or entry["state"] != "measured" or base["state"] != "measured":
        return None
    figures = {row["repeat"]: row["figure"] for row in base["rows"] if "figure" in row and not row.get("void")}
    pairs = [row["figure"] / figures[row["repeat"]] for row in entry["rows"]
             if "figure" in row and not row.get("void") and figures.get(row["repeat"])]
    return spread(pairs)


def _cell(s, form="{:.1f}"):
    if not s:
        return "-"
    text = form.format(s["median"])
    low, high = form.format(s["min"]), form.format(s["max"])
    return text if low == high else f"{text} ({low}-{high})"


def _percent(s):
    return _cell({k: v * 100 for k, v in s.items()} if s else None, "{:.2f}%")


COLUMNS = {
    "W1": ["busy", "user", "p50", "p99", "p999", "reuse", "resumed", "open", "pss_mb"],
    "W1x2": ["busy", "user", "p50", "p99", "p999", "reuse", "resumed", "open", "pss_mb"],
    "W2": ["user", "p50", "p99", "p999", "reuse", "resumed"],
    "W3-unix": ["busy", "user", "setup_p50", "setup_p99", "exchange_p50", "exchange_p99", "pss_mb"],
    "W3-tcp": ["busy", "user", "setup_p50", "setup_p99", "exchange_p50", "exchange_p99", "pss_mb"],
    "W4": ["pss_per_connection", "tcp_per_connection", "slab_per_connection", "open_tunnels", "base_pss_mb",
           "holding", "exchange_p99"],
    "W5-down": ["user", "gib_per_s"],
    "W5-up": ["user", "gib_per_s"],
    "W5o-down-unix": ["user", "gib_per_s"],
    "W5o-up-unix": ["user", "gib_per_s"],
    "W5o-down-tcp": ["user", "gib_per_s"],
    "W5o-up-tcp": ["user", "gib_per_s"],
    "MEM": ["pss_per_connection", "tcp_per_connection", "open", "base_pss_mb", "resumed"],
    "W8-dials": ["busy", "setup_p50", "setup_p99", "exchange_p50", "exchange_p99"],
    "W8-down": ["gib_per_s"],
    "W8-up": ["gib_per_s"],
    "W8-mem": ["pss_per_connection", "open_tunnels", "base_pss_mb", "holding", "exchange_p99"],
    "W8stall-connect": ["without_mib", "with_mib", "p99_ratio"],
    "W8stall-single": ["without_mib", "with_mib", "p99_ratio"],
}
HEADS = {
    "busy": "at capacity",
    "user": "user part", "p50": "p50 us", "p99": "p99 us", "p999": "p99.9 us", "reuse": "reuse", "resumed": "resumed",
    "open": "open conns", "pss_mb": "PSS MiB", "gib_per_s": "GiB/s", "pss_per_connection": "PSS KiB/conn",
    "tcp_per_connection": "TCP buffers KiB/conn", "base_pss_mb": "PSS before MiB",
    "slab_per_connection": "kernel slab KiB/conn", "holding": "CPUs while held", "open_tunnels": "tunnels",
    "setup_p50": "setup p50 us", "setup_p99": "setup p99 us", "exchange_p50": "exchange p50 us",
    "exchange_p99": "exchange p99 us", "without_mib": "MiB/s without", "with_mib": "MiB/s beside it", "p99_ratio": "p99 beside it / without",
}
FORMS = {"p50": "{:.0f}", "p99": "{:.0f}", "p999": "{:.0f}", "open": "{:.0f}", "gib_per_s": "{:.2f}",
         "setup_p50": "{:.0f}", "setup_p99": "{:.0f}", "exchange_p50": "{:.0f}", "exchange_p99": "{:.0f}",
         "open_tunnels": "{:.0f}", "holding": "{:.3f}", "p99_ratio": "{:.2f}"}
BASE_NAMES = {"haproxy": "HAProxy", None: "best peer"}


def table(summary):
    lines = []
    for workload, variants in summary.items():
        title, unit = TITLES[workload]
        lines += ["", f"{workload}: {title}"]
        base = next(iter(variants.values()))["base"]
        heads = ["", unit, f"x {BASE_NAMES.get(base, base)}"] + [HEADS[c] for c in COLUMNS[workload]] + [""]
        grid = [heads]
        for name, entry in variants.items():
            grid.append([name] + _table_row(workload, entry))
        widths = [max(len(row[i]) for row in grid) for i in range(len(heads))]
        for row in grid:
            lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        for name, entry in variants.items():
            lines += [f"  ! {name}: {remark}" for remark in entry["remarks"]]
    return "\n".join(lines)


def _table_row(workload, entry):
    if entry["state"] == "missing":
        return ["MISSING", "-"] + ["-"] * len(COLUMNS[workload]) + [""]
    form = "{:.3f}" if workload.startswith(("W5", "W8-down", "W8-up", "W8stall")) else "{:.1f}"
    cells = [_cell(entry.get("figure"), form), _cell(entry["ratio"], "{:.2f}")]
    for column in COLUMNS[workload]:
        value = entry.get(column)
        cells.append(_percent(value) if column in ("user", "reuse", "resumed") else
                     _cell(value, FORMS.get(column, "{:.1f}")))
    runs = len(entry["rows"])
    return cells + ["VOID" if entry["state"] == "void" else f"{entry['void']}/{runs} void" if entry["void"] else ""]


def bars(summary):
    """Hawser's targets: (name, wanted, found or None, met or None). None: not measured in this run, never a pass."""
    def median(workload, variant, name):
        entry = summary.get(workload, {}).get(variant)
        return entry[name]["median"] if entry and entry["state"] == "measured" and entry.get(name) else None

    def over(a, b):
        return a / b if a is not None and b else None

    def of_best(workload, name):
        """Hawser's, of the lowest of the peers'."""
        peers = [median(workload, variant, name) for variant, entry in summary.get(workload, {}).items()
                 if variant != "hawser" and not entry["rows"][0].get("floor")]
        return over(median(workload, "hawser", name), min((p for p in peers if p is not None), default=None))

    w1 = median("W1", "hawser", "figure")
    checks = [
        ("W1 CPU per request, of HAProxy's", "<=", 1.0, median("W1", "hawser", "ratio")),
        ("W1 reuse", ">=", 0.999, median("W1", "hawser", "reuse")),
        ("W1x2 CPU per request, of one worker's", "<=", 1.15, over(median("W1x2", "hawser", "figure"), w1)),
        ("W2 resumed", ">=", 0.99, median("W2", "hawser", "resumed")),
        ("W2 CPU per request, of resumption off", "<=", 0.6,
         over(median("W2", "hawser", "figure"), median("W2", "hawser-no-resume", "figure"))),
        ("W3 Unix CPU per tunnel, of the best peer's", "<=", 0.5, median("W3-unix", "hawser", "ratio")),
        ("W3 Unix setup p99, of the best peer's", "<", 1.0, of_best("W3-unix", "setup_p99")),
        ("W3 TCP CPU per tunnel, of the best peer's", "<=", 0.5, median("W3-tcp", "hawser", "ratio")),
        ("W3 TCP setup p99, of the best peer's", "<", 1.0, of_best("W3-tcp", "setup_p99")),
        ("W4 RSS KiB per tunnel", "<=", 4.0, median("W4", "hawser", "figure")),
        ("W5 down CPU s/GiB, of HAProxy's", "<=", 0.7, median("W5-down", "hawser", "ratio")),
        ("W5 up CPU s/GiB, of HAProxy's", "<=", 0.7, median("W5-up", "hawser", "ratio")),
        ("W5o down CPU s/GiB, of the ring relay's", "<=", 1.1, median("W5o-down-unix", "hawser", "ratio")),
        ("W5o up CPU s/GiB, of the ring relay's", "<=", 1.1, median("W5o-up-unix", "hawser", "ratio")),
        ("W8 CPU per dial, of the proxy-server's", "<=", 0.25, median("W8-dials", "hawser", "ratio")),
        ("W8 down CPU s/GiB, of the proxy-server's", "<=", 0.4, median("W8-down", "hawser", "ratio")),
        ("W8 up CPU s/GiB, of the proxy-server's", "<=", 0.4, median("W8-up", "hawser", "ratio")),
        ("W8 RSS per tunnel, of the proxy-server's", "<=", 0.2, median("W8-mem", "hawser", "ratio")),
        ("W8stall CONNECT kept throughput", ">", 0.9, median("W8stall-connect", "hawser", "figure")),
        ("W8stall CONNECT p99, of without", "<", 2.0, median("W8stall-connect", "hawser", "p99_ratio")),
        ("W8stall gRPC kept throughput", ">", 0.9, median("W8stall-single", "hawser", "figure")),
        ("W8stall gRPC p99, of without", "<", 2.0, median("W8stall-single", "hawser", "p99_ratio")),
    ]
    compare = {"<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b,
               ">": lambda a, b: a > b}
    out = []
    for name, relation, limit, found in checks:
        met = None if found is None else compare[relation](found, limit)
        out.append({"name": name, "relation": relation, "limit": limit, "found": found, "met": met})
    return out


def bars_text(checks):
    lines = ["", "Hawser's bars:"]
    for bar in checks:
        state = {None: "not measured", True: "met", False: "MISSED"}[bar["met"]]
        found = "-" if bar["found"] is None else f"{bar['found']:.4g}"
        lines.append(f"  {bar['name']:<42} {bar['relation']:<2} {bar['limit']:<6} found {found:<8} {state}")
    return "\n".join(lines)


def write_json(path, parameters, rows, summary, checks):
    slim = {w: {v: {k: x for k, x in e.items() if k != "rows"} for v, e in variants.items()}
            for w, variants in summary.items()}
    with open(path, "w") as f:
        json.dump({"parameters": parameters, "summary": slim, "bars": checks, "rows": rows}, f, indent=1)


def _quoted(text):
    return '"' + text.replace('"', "'").replace("_", "\\\\_") + '"'


def plot(path, summary):
    """One panel of bars per workload, and W1's latency curve. Needs gnuplot; returns why not, or None."""
    panels = []
    for workload, variants in summary.items():
        bars_drawn = [(name, e["figure"]) for name, e in variants.items() if e["state"] == "measured" and e["figure"]]
        if bars_drawn:
            panels.append(_bar_panel(workload, bars_drawn))
    if "W1" in summary:
        panels.append(_latency_panel(summary["W1"]))
    panels = [panel for panel in panels if panel]
    if not panels:
        return "nothing to plot"
    columns = 2 if len(panels) > 1 else 1
    lines = (len(panels) + columns - 1) // columns
    script = [f"set terminal svg size {620 * columns},{360 * lines} font 'sans,11' background 'white'",
              f"set output '{path}'", f"set multiplot layout {lines},{columns}"] + panels + ["unset multiplot"]
    try:
        done = subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        return str(error)
    return done.stdout.strip() if done.returncode != 0 or not os.path.exists(path) else None


def _bar_panel(workload, drawn):
    title, unit = TITLES[workload]
    data = "\n".join(f"{i} {s['median']} {s['min']} {s['max']} {_quoted(name)}" for i, (name, s) in enumerate(drawn))
    return "\n".join([
        "reset", f"set title {_quoted(workload + ': ' + title)}", f"set ylabel {_quoted(unit)}", "set yrange [0:*]",
        "set style fill solid 0.6", "set boxwidth 0.6", "set grid y", "unset key", "set xtics rotate by -25",
        f"set xrange [-0.7:{len(drawn) - 0.3}]", f"$bars_{workload.replace('-', '_')} << EOD", data, "EOD",
        f"plot $bars_{workload.replace('-', '_')} using 1:2:xtic(5) with boxes lc rgb '#33658a', "
        f"'' using 1:2:3:4 with yerrorbars lc rgb 'black' pt 0"])


def _latency_panel(variants):
    blocks, curves = [], []
    for index, (name, entry) in enumerate(variants.items()):
        row = next((r for r in reversed(entry["rows"]) if "load" in r and not r.get("void")), None)
        buckets = row["load"]["latency_us"].get("buckets") if row else None
        if not buckets:
            continue
        total, seen, points = sum(count for _, count in buckets), 0, []
        for top, count in buckets:
            points.append(f"{top} {(total - seen) / total}")
            seen += count
        blocks += [f"$curve{index} << EOD", *points, "EOD"]
        curves.append(f"$curve{index} using 1:2 with lines lw 1.5 title {_quoted(name)}")
    if not curves:
        return None
    return "\n".join(["reset", "set title 'W1: share of requests slower than'", "set xlabel 'us'", "set logscale xy",
                      "set grid", "set yrange [1e-4:1]", *blocks, "plot " + ", ".join(curves)])
