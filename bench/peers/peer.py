"""What a proxy of the benchmark is: the setup all are given, and the six things each must be able to do."""
import dataclasses
import ipaddress
import os
import resource
import shutil
import subprocess


@dataclasses.dataclass(frozen=True)
class Setup:
    """The same for every proxy of a run."""
    count: int                 # kubelets, on consecutive addresses
    base: str = "127.16.0.1"
    port: int = 10250
    workers: int = 1
    idle_s: float = 80.0       # a pooled connection idle for so long is closed; below the kubelet's 90 s
    resume: bool = True
    per_endpoint: int = 8      # idle connections kept per kubelet where a proxy wants a number
    big_buffers: bool = False  # bulk: buffers that a proxy's user might enlarge for it
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""
    node_name: str = "node-{:05d}"  # of kubelet 1, 2, …; its certificate has CN system:node:NAME and DNS SAN NAME
    transport: str = "unix"    # of the proxy's listener; tunnels are also measured over "tcp"
    tunnels: bool = False      # CONNECT to hawser-target instead of requests to kubelets
    nofile: int = dataclasses.field(default_factory=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    def endpoints(self):
        """(address, node name) of every kubelet."""
        first = int(ipaddress.IPv4Address(self.base))
        for i in range(self.count):
            yield str(ipaddress.IPv4Address(first + i)), self.node_name.format(i + 1)


class Peer:
    name = ""
    target = "absolute"  # hawser-load --target
    floor = False        # a floor is shown beside the proxies and is no proxy: it speaks no TLS
    requests = True      # takes part in the workloads of requests ...
    transports = ()      # ... and over these in those of tunnels
    tunnel_target = "connect"

    def __init__(self, tools):
        self.tools = tools  # paths found by prepare.py

    def missing(self):
        """None, or why this peer can not run here."""
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def write(self, folder, setup, listen):
        """Writes its configuration into `folder`; `listen` is the path of the Unix socket. Returns (argv, env)."""
        raise NotImplementedError

    def write_tunnels(self, folder, setup, listen):
        """The same for tunnels; `listen` is an address, unix:PATH or tcp:IPV4:PORT."""
        raise NotImplementedError

    def companions(self, folder, setup):
        """Programs that do a part of its work, each an argv. They run beside the load and are counted with it."""
        return []

    def first_line(self, argv):
        out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
        return out.strip().splitlines()[0] if out.strip() else "unknown"


def find_program(name):
    """Debian keeps proxies in sbin, which a user's PATH may lack."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


def write_file(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


OPENSSL_CONF = """# One TLS for the peers that use OpenSSL: version, cipher and curve, as the other proxies have them.
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = P-256
"""
