"""How a tunnel fails to come about, and who leaves before it does.
    tunnel_failures.py SOCKET ADDRESS ADMIN UNREACHABLE CROWDED
UNREACHABLE: host:port that no network leads to, or "". CROWDED: host:port whose backlog is full."""
import socket
import sys
import time

from client import Judge, Reader, connect, read_all, say
from far_end import Door, echo, read_exactly, read_to_end, reset
from metrics import metric, until

path, address, admin, unreachable, crowded = sys.argv[1:6]
j = Judge()
DOWN = "%s:9" % address  # nobody listens there


def head_of(target):
    return b"CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % target.encode()


def fails(target, status, reason):
    """One answer, in time, whose phrase says why; and the end."""
    begun = time.monotonic()
    a = say(path, head_of(target))
    took = time.monotonic() - begun
    j.check("%s: %d %s" % (target, status, reason), a.status == status and reason in a.line, a.line)
    j.check("%s: one answer, and the end" % target, a.closed and a.data.count(b"HTTP/1.1 ") == 1, a.data[:300])
    j.check("%s: in under 10 s" % target, took < 10, took)
    return took


# -- reasons, each apart -------------------------------------------------------------------------------------------
fails(DOWN, 502, "connection refused by the destination")
if unreachable:
    fails(unreachable, 502, "destination unreachable")
took = fails(crowded, 504, "connecting to the destination timed out")
j.check("by connectMs (%.1f s)" % took, 2.8 < took < 8)
fails("192.0.2.1:443", 403, "no route matches the destination")
fails("169.254.169.254:80", 403, "no route matches the destination")
fails("%s:22" % address, 403, "a route refuses it")
if unreachable:  # a network, and with it names, of our own
    fails("metadata.test:80", 403, "not allowed by policy")
    fails("nowhere.test:80", 502, "destination name does not resolve")
    fails("here.test:9", 502, "connection refused by the destination")
for _ in range(3):
    fails("%s:7" % address, 502, "connection refused by the destination")
fails("%s:7" % address, 503, "destination is failing, not tried again yet")

# -- heads that are none -------------------------------------------------------------------------------------------
for name, head, status in (("a head of 9,000 bytes", head_of(DOWN)[:-2] + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 431),
                           ("a head without an end", b"CONNECT " + DOWN.encode() + b" HTTP/1.1\r\nX-A: " + b"a" * 9000, 431),
                           ("no port", b"CONNECT example.test HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                           ("no host", b"CONNECT :80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                           ("a path", b"CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                           ("a body", head_of(DOWN)[:-2] + b"Content-Length: 5\r\n\r\nhello", 400)):
    a = say(path, head)
    j.check("%s: %d" % (name, status), a.status == status, a.line)
    j.check("%s: the end" % name, a.closed, a.data[:200])
a = say(path, head_of(DOWN)[:-2] + b"X-A: " + b"a" * 8000 + b"\r\n\r\n")
j.equal("8,000 bytes are a head", 502, a.status)

# -- the client leaves ---------------------------------------------------------------------------------------------
def dials():
    host, port = crowded.split(":")
    wanted = "%s:%04X" % ("".join("%02X" % int(x) for x in reversed(host.split("."))), int(port))
    return sum(line.split()[2] == wanted and line.split()[3] == "02" for line in open("/proc/net/tcp") if ":" in line)


before = dials()
for name, leave in (("closes", lambda s: s.close()), ("ends its direction", lambda s: s.shutdown(socket.SHUT_WR))):
    s = connect(path)
    s.sendall(head_of(crowded))
    j.check("a dial lasts", until(lambda: dials() == before + 1, 3), dials())
    j.equal("it is a tunnel, to be opened", 1, metric(admin, "hawser_tunnels_open"))
    leave(s)
    j.check("the client %s: the dial ends long before it would have" % name, until(lambda: dials() == before, 2), dials())
    j.check("and nothing of it is left", until(lambda: metric(admin, "hawser_tunnels_open") == 0, 3))
    j.equal("in the pool, too", 0, metric(admin, 'hawser_pool_connections{state="dialling"}'))
    s.close()
# Who has said something and ends has not left: it is dialled for him, and the answer comes.
door = Door(address, echo)
a = say(path, head_of(door.name) + b"all that I say", half_close=True)
j.equal("who speaks and ends has not left", b"all that I say", a.body)
j.check("and hears the end", a.closed and not a.reset)

# -- limits --------------------------------------------------------------------------------------------------------
held = []
while len(held) < 20:
    s = connect(path)
    s.sendall(head_of(door.name))
    line = Reader(s).until(b"\r\n\r\n").decode().split("\r\n")[0]
    if " 200 " not in line:
        break
    held.append(s)
j.equal("tunnelsMax tunnels", 8, len(held))
j.check("the next is told so, at once", " 503 " in line and "a limit of the broker is reached" in line, line)
held.pop().close()
j.check("one that ends makes room", until(lambda: metric(admin, "hawser_tunnels_open") == 7))
s = connect(path)
s.sendall(head_of(door.name) + b"ping")
j.check("for another", read_exactly(s, 43).endswith(b"ping"))
for s in held + [s]:
    s.close()
j.check("no tunnel is left", until(lambda: metric(admin, "hawser_tunnels_open") == 0))
j.finish()
