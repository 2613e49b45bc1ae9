"""Attacks on the HTTP/2 front over its socket: each is ended at its bound, counted and logged once, and costs little
memory.  http2_attacks.py SOCKET BACKEND ADMIN PID LOG"""
import struct
import sys
import time
import urllib.request

from http2 import *
from client import Judge

path, backend, admin, pid, log = sys.argv[1:6]
j = Judge()
GOOD = [(":method", "GET"), (":scheme", "http"), (":authority", backend), (":path", "/ok")]
POST = [(":method", "POST"), (":scheme", "http"), (":authority", backend), (":path", "/unread")]


def get(what):
    return [f if f[0] != ":path" else (":path", what) for f in GOOD]


def metric(name):
    text = urllib.request.urlopen("http://127.0.0.1:%s/metrics" % admin, timeout=10).read().decode()
    for line in text.split("\n"):
        if line.startswith(name + " "):
            return int(float(line.split(" ")[-1]))
    raise KeyError(name)


def memory():
    for line in open("/proc/%s/status" % pid):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])


def lines(what):
    return sum(1 for line in open(log, errors="replace") if what in line)


def flood(name, kind, attack, before=None, code=ENHANCE_YOUR_CALM):
    counted = metric('hawser_front_http2_floods_total{kind="%s"}' % kind)
    logged = lines("event=client_flood")
    c = Connection(path)
    if before:
        before(c)
    for data in attack(c):
        c.send(data)
        c.read(0.001)
        if c.closed or c.goaway:
            break
    c.until(lambda: c.closed, 10)
    j.check("%s: GOAWAY" % name, c.goaway is not None and c.goaway[1] == code, c.goaway)
    j.check("%s: the connection ends" % name, c.closed)
    j.equal("%s: counted once" % name, counted + 1, metric('hawser_front_http2_floods_total{kind="%s"}' % kind))
    j.equal("%s: logged once" % name, logged + 1, lines("event=client_flood"))
    good = Connection(path)
    j.check("%s: a good client is served" % name, good.answer(good.ask(GOOD)).status == 200)
    good.close()
    return c


def many(data, times=200, of=20):
    return lambda c: (data * times for _ in range(of))


def rapid_reset(c):
    for i in range(1000):
        yield frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, block(get("/slow?seconds=2"))) + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08")


requests = metric("hawser_requests_total")
flood("rapid reset", "reset", rapid_reset)
j.check("rapid reset: few of them were begun", metric("hawser_requests_total") - requests <= 110, metric("hawser_requests_total") - requests)
flood("malformed requests", "reset", lambda c: (frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, block(GOOD + [("te", "x")])) for i in range(400)))
flood("provoked resets", "reset", lambda c: (frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, block(get("/slow?seconds=2")))
                                             + frame(WINDOW_UPDATE, 0, 2 * i + 1, b"\x7f\xff\xff\xff") for i in range(400)))
flood("CONTINUATION", "continuation", many(frame(CONTINUATION, 0, 1, b"")),
      before=lambda c: c.send(frame(HEADERS, END_STREAM, 1, block(GOOD))))
flood("CONTINUATION with fields", "continuation", many(frame(CONTINUATION, 0, 1, literal("x-a", "b" * 1000)), 10),
      before=lambda c: c.send(frame(HEADERS, END_STREAM, 1, block(GOOD))))
flood("PING", "ping", many(frame(PING, 0, 0, b"01234567")))
flood("SETTINGS", "settings", many(settings((INITIAL_WINDOW_SIZE, 65535))))
flood("PRIORITY", "priority", lambda c: (frame(PRIORITY, 0, 1 + 2 * i, struct.pack(">IB", 1 + 2 * ((i * 7) % 900), 255)) * 50 for i in range(100)))
flood("empty DATA", "empty_data", many(frame(DATA, 0, 1)), before=lambda c: c.ask(POST, b""))
flood("padding instead of DATA", "empty_data", many(frame(DATA, PADDED, 1, b"\x01\0")), before=lambda c: c.ask(POST, b""))
flood("unknown frames", "other", many(frame(0x42, 0, 0, b"")))
flood("WINDOW_UPDATE", "window_update", many(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01")))


def byte_windows(c):
    c.updates = False
    c.send(settings((INITIAL_WINDOW_SIZE, 0)))
    n = c.ask(get("/big?size=1000000"))
    c.until(lambda: c.stream(n).status, 5)
    for _ in range(3000):
        yield frame(WINDOW_UPDATE, 0, n, b"\0\0\0\x01")


c = flood("windows of a byte", "window_update", byte_windows)
j.check("windows of a byte: that many bytes", 500 < len(c.stream(1).body) < 1500, len(c.stream(1).body))

# HPACK: 16 KiB of a block name 60 MB. Answered with 431, the memory is where it was.
before = memory()
c = Connection(path)
c.answer(c.ask(GOOD + [("x-a", "b")]))
c.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, block(GOOD) + literal("x-bomb", "b" * 4000, indexed=True)))
j.check("an HPACK bomb: its fuse is a request", c.answer(3).status == 200, c.stream(3).status)
for n in range(5, 105, 2):
    c.send(frame(HEADERS, END_STREAM | END_HEADERS, n, block(GOOD) + b"\xbe" * 16000))
    if c.answer(n).status != 431:
        break
j.check("an HPACK bomb: refused each time", n == 103 and c.stream(n).status == 431, (n, c.stream(n).status, c.goaway))
j.check("an HPACK bomb: costs nothing (%d KiB)" % (memory() - before), memory() - before < 20000, memory() - before)
c.close()

# A hundred and more answers that are never taken: bounded, and given up.
before = memory()
c = Connection(path)
c.updates = False
c.send(settings((INITIAL_WINDOW_SIZE, 0)))
numbers = [c.ask(get("/big?size=4000000")) for _ in range(16)]
c.until(lambda: all(c.stream(n).status for n in numbers), 20)
time.sleep(0.5)
j.check("answers that are not taken: held within bounds (%d KiB)" % (memory() - before), memory() - before < 60000, memory() - before)
j.check("answers that are not taken: the connection lives", c.ping(), c.goaway)
in_flight = metric("hawser_requests_in_flight")
j.check("answers that are not taken: they wait", in_flight >= 16, in_flight)
c.close()
# An end without unread bytes may be half a close: then it is taken for gone after 10 s.
left = time.monotonic()
while metric("hawser_requests_in_flight") > 0 and time.monotonic() - left < 15:
    time.sleep(0.1)
j.equal("a client that leaves takes its requests with it", 0, metric("hawser_requests_in_flight"))

# Uploads that nobody reads: each stops at its window.
before = memory()
c = Connection(path)
c.updates = False
for _ in range(12):
    n = c.ask(POST, b"")
    for _ in range(16):
        c.send(frame(DATA, 0, n, b"u" * 16384))
j.check("uploads that stand still: the connection lives", c.ping(), c.goaway)
j.check("uploads that stand still: held within bounds (%d KiB)" % (memory() - before), memory() - before < 60000, memory() - before)
c.close()
c = Connection(path)
n = c.ask(POST, b"")
s = c.stream(n)
for _ in range(200):  # 128 MiB: the sockets behind it hold a few
    if s.code is None and not c.goaway and not c.closed:
        c.send(frame(DATA, 0, n, b"u" * 16384) * 40)
        c.read(0.001)
c.until(lambda: c.goaway or s.code is not None, 10)
j.check("beyond its window: refused", s.code == FLOW_CONTROL_ERROR or (c.goaway and c.goaway[1] == FLOW_CONTROL_ERROR), (s.status, s.code, c.goaway))
c.close()

# Streams above the limit that was said.
c = Connection(path)
limit = c.settings[MAX_CONCURRENT_STREAMS]
for _ in range(limit + 1):
    n = c.ask(get("/slow?seconds=3"))
c.until(lambda: c.goaway or c.stream(n).code is not None or c.stream(n).status, 10)
j.check("a stream too many is refused", c.stream(n).code == REFUSED_STREAM or (c.goaway and c.goaway[1] == PROTOCOL_ERROR), (limit, c.stream(n).code, c.goaway))
c.close()

# Nobody reads what PINGs are answered with.
c = Connection(path)
c.sock.settimeout(5)
try:
    for _ in range(200):
        c.sock.sendall(frame(PING, 0, 0, b"01234567") * 100)
except OSError:
    pass
c.until(lambda: c.closed, 10)
j.check("a flood that reads nothing ends, too", c.closed)
c.close()

# A head that never ends: the connection is let go at its deadline, and with it what ran on it.
c = Connection(path)
c.send(frame(HEADERS, END_STREAM, 1, block(GOOD)))
begun = time.monotonic()
c.until(lambda: c.closed, 10)
j.check("an unfinished head ends the connection", c.closed and c.goaway is not None, (c.closed, c.goaway))
j.check("at its deadline", 1.5 < time.monotonic() - begun < 6, time.monotonic() - begun)
c.close()
# A preface that never ends, as HTTP/1 would be told.
c = Connection(path, greet=False)
c.send(PREFACE[:20])
begun = time.monotonic()
c.sock.settimeout(10)
data = b""
try:
    while True:
        more = c.sock.recv(4096)
        if not more:
            break
        data += more
except OSError:
    pass
j.check("an unfinished preface: 408", data.startswith(b"HTTP/1.1 408"), data[:40])
j.check("at its deadline", 1.5 < time.monotonic() - begun < 6, time.monotonic() - begun)
c.close()
j.finish()
