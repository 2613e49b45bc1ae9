"""The floors: what the same requests cost without a proxy's work. They speak no TLS and stand before
hawser-responder instead of the simulated kubelets.

- relay-epoll, relay-uring: bytes between one Unix and one TCP connection; every proxy makes at least these calls.
- direct: no proxy at all; shows the generator's own latency. It has no CPU figure.
"""
from peers.peer import Peer


def responder(setup):
    return f"tcp:127.0.0.1:{setup.port + 1}"


class Relay(Peer):
    floor = True
    engine = ""

    def missing(self):
        return None

    def version(self):
        return "this tree"

    def write(self, folder, setup, listen):
        return [self.tools.program("hawser-relay"), f"--{self.engine}", f"unix:{listen}", responder(setup)], {}


class RelayEpoll(Relay):
    name = "relay-epoll"
    engine = "epoll"


class RelayUring(Relay):
    name = "relay-uring"
    engine = "uring"


class Direct(Peer):
    name = "direct"
    floor = True

    def missing(self):
        return None

    def version(self):
        return "no proxy"

    def write(self, folder, setup, listen):
        return None, {}
