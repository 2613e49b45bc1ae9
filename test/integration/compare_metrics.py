#!/usr/bin/env python3
"""compare_metrics.py THEIRS OURS - two files of Prometheus' text: each konnectivity_* family of theirs must be among ours, with
its type, its help text, its labels, and for a histogram its bounds. Prints one line for each difference; exits 1 if there was
one, 2 if theirs has none of those families."""
import re
import sys

PREFIX = "konnectivity_network_proxy_server_"
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)')


def read(path):
    """{family: {"help", "type", "labels": set of label names, "bounds": list of le, "values": {label: set}}}"""
    families, family = {}, None
    with open(path, encoding="utf-8") as lines:
        for line in lines.read().splitlines():
            if line.startswith("# HELP "):
                _, _, name, text = line.split(" ", 3)
                family = families.setdefault(name, {"help": text, "type": "", "labels": set(), "bounds": [], "values": {}})
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                families[name]["type"] = kind
            else:
                sample = SAMPLE.match(line)
                if not sample:
                    sys.exit(f"{path}: no sample: {line!r}")
                float(sample[3])
                for label, value in LABEL.findall(sample[2] or ""):
                    if label == "le":
                        family["bounds"].append(value)
                        continue
                    family["labels"].add(label)
                    family["values"].setdefault(label, set()).add(value)
    return families


def main():
    theirs, ours = read(sys.argv[1]), read(sys.argv[2])
    names = sorted(name for name in theirs if name.startswith(PREFIX))
    if not names:
        return 2
    differences = 0

    def differ(text):
        nonlocal differences
        differences += 1
        print(text)

    for name in names:
        a, b = theirs[name], ours.get(name)
        if not b:
            differ(f"{name}: missing")
            continue
        for what in ("type", "help"):
            if a[what] != b[what]:
                differ(f"{name}: {what}: theirs {a[what]!r}, ours {b[what]!r}")
        if a["labels"] != b["labels"]:
            differ(f"{name}: labels: theirs {sorted(a['labels'])}, ours {sorted(b['labels'])}")
        if [float(le) for le in dict.fromkeys(a["bounds"])] != [float(le) for le in dict.fromkeys(b["bounds"])]:
            differ(f"{name}: bounds: theirs {a['bounds']}, ours {b['bounds']}")
        for label, values in a["values"].items():
            if label != "code" and not values <= b["values"].get(label, set()):
                differ(f"{name}: {label}: theirs {sorted(values)}, ours {sorted(b['values'].get(label, set()))}")
    for name in sorted(name for name in theirs if name.startswith("process_")):
        # What the kernel counts for a whole network namespace says nothing about a process.
        if "network" not in name and theirs[name] != ours.get(name):
            differ(f"{name}: theirs {theirs[name]}, ours {ours.get(name)}")
    print(f"{len(names)} families compared: {' '.join(name.removeprefix(PREFIX) for name in names)}", file=sys.stderr)
    return 1 if differences else 0


sys.exit(main())
