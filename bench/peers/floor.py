"""The floors: what the same requests cost without a proxy's work. They speak no TLS and stand before
hawser-responder instead of the simulated kubelets.

- relay-epoll: bytes between one Unix and one TCP connection by epoll; every proxy makes at least these calls.
- relay-rings: the same on Hawser's own engine; what Hawser costs above it is the broker, not its rings.
- direct: no proxy at all; shows the generator's own latency. It has no CPU figure.
"""
from peers.peer import Peer


def responder(setup):
    return f"tcp:127.0.0.1:{setup.port + 1}"


class Relay(Peer):
    floor = True
    program = ""

    def missing(self):
        return None

    def version(self):
        return "this tree"

    def write(self, folder, setup, listen):
        return [self.tools.program(self.program), f"unix:{listen}", self.to(setup)], {}

    def to(self, setup):
        return responder(setup)


class RelayEpoll(Relay):
    name = "relay-epoll"
    program = "hawser-relay"


class RelayRings(Relay):
    name = "relay-rings"
    program = "hawser-ring-relay"

    def to(self, setup):
        return responder(setup).removeprefix("tcp:")  # the broker's own spelling of an address


class Direct(Peer):
    name = "direct"
    floor = True

    def missing(self):
        return None

    def version(self):
        return "no proxy"

    def write(self, folder, setup, listen):
        return None, {}
