"""The floors: what the same requests cost without a proxy's work. They speak no TLS and stand before
hawser-responder instead of the simulated kubelets; for tunnels before hawser-target, without any CONNECT.

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
    transports = ("unix", "tcp")
    tunnel_target = "bare"

    def missing(self):
        return None

    def version(self):
        return "this tree"

    def write(self, folder, setup, listen):
        return [self.tools.program(self.program), f"unix:{listen}", self.to(setup)], {}

    def write_tunnels(self, folder, setup, listen):
        return [self.tools.program(self.program), self.spell(listen), self.spell(f"tcp:{setup.base}:{setup.port}")], {}

    def to(self, setup):
        return self.spell(responder(setup))

    def spell(self, address):
        return address


class RelayEpoll(Relay):
    name = "relay-epoll"
    program = "hawser-relay"


class RelayRings(Relay):
    name = "relay-rings"
    program = "hawser-ring-relay"

    def spell(self, address):
        return address.removeprefix("tcp:")  # the broker's own spelling


class Direct(Peer):
    name = "direct"
    floor = True

    def missing(self):
        return None

    def version(self):
        return "no proxy"

    def write(self, folder, setup, listen):
        return None, {}
