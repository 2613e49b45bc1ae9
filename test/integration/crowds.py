"""Clients that take and never give.  crowds.py SOCKET A B KUBELET PID ADMIN

Limits of the broker under test: 4 connections and 8 waiters for an endpoint, 1,500 ms of waiting, 200 clients, 100 requests."""
import http.client
import os
import socket
import sys
import threading
import time

from client import Judge, Reader, connect, read_all, say

path, a_backend, b_backend, kubelet, pid, admin = sys.argv[1:7]
j = Judge()
MIB = 1 << 20


def get(authority, what, extra="", method="GET", scheme="http"):
    return ("%s %s://%s%s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, scheme, authority, what, authority, extra)).encode()


def metric(name):
    c = http.client.HTTPConnection("127.0.0.1", int(admin), timeout=10)
    c.request("GET", "/metrics")
    for line in c.getresponse().read().decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split(" ")[1])
    return None


def memory():
    for line in open("/proc/%s/status" % pid):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def others_go_on(who):
    s = connect(path)
    r = Reader(s)
    begun = time.monotonic()
    for i in range(20):
        s.sendall(get(b_backend, "/ok"))
        if r.response()[0] != 200:
            j.check("%s: others go on" % who, False)
            break
    j.check("%s: others are not slowed" % who, time.monotonic() - begun < 5, time.monotonic() - begun)
    s.close()


# -- a client that never reads: 1 GiB stands behind it, over plain HTTP and over TLS
for authority, scheme in ((a_backend, "http"), (kubelet, "https")):
    say(path, get(authority, "/big?size=8388608", "Connection: close\r\n", scheme=scheme))  # buffers that stay
    before = memory()
    s = connect(path)
    s.sendall(get(authority, "/big?size=1073741824", scheme=scheme))
    sent = -1
    while sent != metric("hawser_client_sent_bytes_total"):
        sent = metric("hawser_client_sent_bytes_total")
        time.sleep(0.5)
    grown = memory() - before
    print("never reads, %s: %d KiB of memory" % (scheme, grown // 1024), flush=True)
    j.check("%s, never reads: memory is bounded" % scheme, grown < 8 * MIB, grown)
    others_go_on("%s, never reads" % scheme)
    # It begins to read: what comes is right, from the first byte on.
    r = Reader(s)
    r.until(b"\r\n\r\n")
    data = r.exactly(4 * MIB)
    j.check("%s, reads at last: byte for byte" % scheme, data == bytes(range(256)) * (4 * MIB // 256))
    s.close()
    j.check("%s: the exchange ends with its client" % scheme, until(lambda: metric("hawser_requests_in_flight") == 0))

# -- ten of them, on two endpoints
before = memory()
sleepers = []
for i in range(6):
    s = connect(path)
    s.sendall(get((a_backend, b_backend)[i % 2], "/big?size=1073741824"))
    sleepers.append(s)
time.sleep(2)
j.check("six that never read: memory is bounded", memory() - before < 6 * 4 * MIB, memory() - before)
others_go_on("six that never read")
for s in sleepers:
    s.close()
j.check("six that never read: all ended", until(lambda: metric("hawser_requests_in_flight") == 0))

# -- a backend that never reads an upload
before = memory()
s = connect(path)
s.sendall(get(a_backend, "/unread", "Content-Length: 1073741824\r\n", method="POST"))
s.settimeout(3)
written, block = 0, b"u" * 65536
try:
    while written < 256 * MIB:
        written += s.send(block)
except socket.timeout:
    pass
print("an upload nobody reads: %d KiB taken, %d KiB of memory" % (written // 1024, (memory() - before) // 1024), flush=True)
j.check("an upload nobody reads stops", written < 64 * MIB, written)
j.check("an upload nobody reads: memory is bounded", memory() - before < 8 * MIB, memory() - before)
others_go_on("an upload nobody reads")
s.close()
# A Unix client that closes has said all it had to say, as far as anybody can tell, until it is read: the exchange lasts as
# long as its backend's patience.
j.check("it ends with its backend", until(lambda: metric("hawser_requests_in_flight") == 0, 20))

# -- the same, but the client is torn off: it leaves bytes of ours unread, which is what a reset is on a Unix socket
s = connect(path)
s.sendall(get(a_backend, "/ok"))
s.recv(1)
s.sendall(get(a_backend, "/unread", "Content-Length: 1073741824\r\n", method="POST"))
s.settimeout(1)
try:
    while True:
        s.send(block)
except socket.timeout:
    pass
j.equal("an upload stands still", 1, metric("hawser_requests_in_flight"))
s.close()
begun = time.monotonic()
j.check("a torn off client is noticed although nobody reads from it", until(lambda: metric("hawser_requests_in_flight") == 0, 5))
print("noticed after %.0f ms" % ((time.monotonic() - begun) * 1000), flush=True)

# -- a slow drip upload passes, however slow, and costs nobody else
s = connect(path)
s.sendall(get(a_backend, "/echo", "Content-Length: 30\r\n", method="POST"))
for i in range(30):
    s.sendall(b"d")
    time.sleep(0.1)
j.equal("a dripped upload", (200, b"d" * 30), Reader(s).response()[0::2])
s.close()

# -- heads that never end: 408 for each, all at their deadline, none kept
slow = [connect(path) for _ in range(50)]
begun = time.monotonic()
for s in slow:
    s.sendall(b"GET http://%s/ok HTTP/1.1\r\nX-A: " % b_backend.encode())
for i in range(3):
    time.sleep(0.3)
    for s in slow:
        s.sendall(b"a")
others_go_on("50 heads that never end")
answers = [read_all(s) for s in slow]
j.equal("50 heads that never end: 408 each", [408] * 50, [a.status for a in answers])
j.check("dripping does not move the deadline", time.monotonic() - begun < 6, time.monotonic() - begun)
for s in slow:
    s.close()

# -- more requests than one endpoint's connections and places
results, lock = [], threading.Lock()


def one(s, what):
    s.sendall(get(a_backend, what, "Connection: close\r\n"))
    begun = time.monotonic()
    a = read_all(s, 20)
    with lock:
        results.append((a, time.monotonic() - begun))
    s.close()


def crowd(count, what):
    results.clear()
    threads = [threading.Thread(target=one, args=(connect(path), what)) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return list(results)


found = crowd(20, "/slow?seconds=4")
good = [t for a, t in found if a.status == 200]
refused = [(a, t) for a, t in found if a.status == 503]
j.equal("20 for 4 connections: answered", 4, len(good))
j.equal("20 for 4 connections: refused", 16, len(refused))
j.check("each refusal says when to come again", all("\r\nRetry-After: 1" in a.head for a, _ in refused), [a.head for a, _ in refused][:1])
full = [(a, t) for a, t in refused if b"too many requests are waiting" in a.body]
late = [(a, t) for a, t in refused if b"no connection to the destination became free in time" in a.body]
j.check("8 waited, 8 found no place", (len(full), len(late)) == (8, 8), sorted((round(t, 2), a.status, a.body[-60:]) for a, t in found))
j.check("no place: told at once", all(t < 1.2 for _, t in full), [t for _, t in full])
j.check("waited: told at the deadline", all(1.2 < t < 3.5 for _, t in late), [t for _, t in late])
j.equal("the endings are counted", (8, 8), (metric('hawser_exchanges_total{end="queue_full"}'), metric('hawser_exchanges_total{end="queue_timeout"}')))
found = crowd(12, "/slow?seconds=0.3")
j.equal("12 that fit, in turns: all answered", [200] * 12, [a.status for a, _ in found])
j.check("never more than 4 connections", metric('hawser_pool_connections{state="idle"}') + metric('hawser_pool_connections{state="leased"}') <= 4 + 4 + 4)

# -- more requests than requestsInFlightMax: clients enough, but not requests
clients = [connect(path) for _ in range(150)]
for s in clients:  # 12 of them fit the endpoint; the rest is refused by its queue or by the process
    s.sendall(get(a_backend, "/slow?seconds=1"))
statuses = [Reader(s).response() for s in clients]
j.equal("150 at once: every one is answered", 150, len(statuses))
j.check("with 200 or 503", set(st[0] for st in statuses) <= {200, 503}, set(st[0] for st in statuses))
j.check("503 says when to come again", all("Retry-After" in st[1] for st in statuses if st[0] == 503))

# -- requestsInFlightMax: requests that last, spread over many destinations (ports that nobody reads cost a dial each)
hanging = []
for i in range(130):
    s = clients[i]
    s.sendall(get(b_backend if i % 2 else a_backend, "/echo", "Content-Length: 10\r\n", method="POST"))
time.sleep(0.5)
j.check("requests in flight never exceed their limit", metric("hawser_requests_in_flight") <= 100 * 2, metric("hawser_requests_in_flight"))
for s in clients:
    s.close()
j.check("all clients have left", until(lambda: metric("hawser_front_connections") == 1), metric("hawser_front_connections"))

# -- more clients than connectionsMax: the rest is closed at once, and room comes back
clients, closed = [], 0
for _ in range(260):
    try:
        s = connect(path)
        clients.append(s)
    except OSError:
        closed += 1
time.sleep(1)
for s in clients:
    s.setblocking(False)
    try:
        if s.recv(1) == b"":
            closed += 1
    except BlockingIOError:
        pass
    except OSError:
        closed += 1
j.check("200 clients and no more", 58 <= closed <= 62, closed)
for s in clients:
    s.close()
j.check("the others have left", until(lambda: (metric("hawser_front_connections") or 99) == 1))
j.equal("room comes back", 200, say(path, get(b_backend, "/ok", "Connection: close\r\n")).status)

# -- clients that vanish in every phase
for what, cut in (("/slow?seconds=1", 0.1), ("/stream?lines=50", 0.35), ("/big?size=104857600", 0.05), ("/never", 0.2)):
    socks = []
    for i in range(8):
        s = connect(path)
        s.sendall(get(b_backend if i % 2 else a_backend, what))
        socks.append(s)
    time.sleep(cut)
    for s in socks:
        s.close()
    # An end may be a half-close: a client is taken for gone when its answer makes no step for ten seconds.
    j.check("8 that vanish at %s leave nothing" % what, until(lambda: metric("hawser_requests_in_flight") == 0, 20), metric("hawser_requests_in_flight"))
    j.check("nor a lent connection", until(lambda: metric('hawser_pool_connections{state="leased"}') == 0))
j.finish()
