"""What a tunnel promises, over one listener.
    tunnels.py LISTENER ADDRESS ADMIN HOLD-MS
LISTENER: unix:PATH, tcp:PORT, or tls:PORT:CA:CERTIFICATE:KEY (of 127.0.0.1). ADDRESS: for destinations."""
import socket
import ssl
import sys
import threading
import time

from client import Judge
from far_end import Door, echo, read_exactly, read_head, read_to_end, reset, words
from metrics import metric, until

where, address, admin, hold_ms = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
kind, *where = where.split(":")
j = Judge()
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
MIB = 1 << 20


class Tls:
    """TLS over a socket, with an end of its own direction: what ssl.SSLSocket does not do. Two threads may use it."""

    def __init__(self, s, context):
        self.s, self.incoming, self.outgoing = s, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.lock, self.sending = threading.Lock(), threading.Lock()
        self.kept = b""
        self.drive(self.tls.do_handshake)

    def flush(self):
        with self.sending:
            with self.lock:
                data = self.outgoing.read()
            self.s.sendall(data)

    def drive(self, call):
        while True:
            try:
                with self.lock:
                    result = call()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
            piece = self.s.recv(65536)
            if not piece:
                raise ConnectionResetError("the end of TCP without one of TLS")
            with self.lock:
                self.incoming.write(piece)

    def take(self, n):
        piece, self.kept = self.kept[:n], self.kept[n:]
        return piece or self.tls.read(n)

    def recv(self, n):
        try:
            return self.drive(lambda: self.take(n))
        except ssl.SSLZeroReturnError:
            return b""

    def sendall(self, data):
        for at in range(0, len(data), 16384):
            with self.lock:
                self.tls.write(data[at:at + 16384])
            self.flush()

    def shutdown(self, how):
        assert how == socket.SHUT_WR
        with self.lock:
            try:
                while piece := self.tls.read(65536):  # unwrap() would take what is here for a mistake
                    self.kept += piece
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                pass
            try:
                self.tls.unwrap()  # says close_notify; the other's may come when it likes
            except ssl.SSLWantReadError:
                pass
        self.flush()

    def settimeout(self, seconds):
        self.s.settimeout(seconds)

    def close(self):
        self.s.close()


def connect():
    if kind == "unix":
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(30)
        s.connect(where[0])
        return s
    s = socket.create_connection(("127.0.0.1", int(where[0])), 30)
    if kind == "tcp":
        return s
    context = ssl.create_default_context(cafile=where[1])
    context.load_cert_chain(where[2], where[3])
    return Tls(s, context)


def ask(target, more=b""):
    s = connect()
    s.sendall(b"CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % target.encode() + more)
    return s


def tunnel(target, more=b""):
    s = ask(target, more)
    j.equal("the answer and nothing else", ESTABLISHED, read_exactly(s, len(ESTABLISHED)))
    return s


def cut(s):
    reset(s.s if kind == "tls" else s)


# -- the destination speaks first ---------------------------------------------------------------------------------
def greet(s):
    s.sendall(b"220 good morning\r\n")
    return read_to_end(s)


door = Door(address, greet)
s = ask(door.name)
begun = time.monotonic()
first = s.recv(65536)
j.equal("the 200 is alone in its read", ESTABLISHED, first)
greeting = read_exactly(s, 18)
waited = (time.monotonic() - begun) * 1000
j.equal("what was said first comes after it", b"220 good morning\r\n", greeting)
j.check("and was held back (%d ms)" % waited, waited > hold_ms * 0.8)
s.shutdown(socket.SHUT_WR)
j.equal("an end without a word is passed on", (b"", "end"), door.result())
j.equal("and comes back", (b"", "end"), read_to_end(s))
s.close()
begun = time.monotonic()
s = tunnel(door.name, b"good morning")
j.equal("who speaks is not held up", b"220 good morning\r\n", read_exactly(s, 18))
j.check("by the hold", (time.monotonic() - begun) * 1000 < hold_ms)
s.close()
door.close()

# -- early bytes --------------------------------------------------------------------------------------------------
door = Door(address, echo)
for length in (1, 100, 70000, MIB):
    said, heard = words("early %d" % length, length), {}
    s = connect()
    reader = threading.Thread(target=lambda: heard.update(all=read_to_end(s)))
    head = b"CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % door.name.encode()
    if length < 1000:
        s.sendall(head + said)
        reader.start()
    else:
        reader.start()
        s.sendall(head + said[:65536])
        s.sendall(said[65536:])
    s.shutdown(socket.SHUT_WR)
    reader.join(30)
    j.equal("%d early bytes, and the end: echoed exactly" % length, (ESTABLISHED + said, "end"), heard.get("all"))
    s.close()
door.close()

# -- both ways at once, byte for byte -----------------------------------------------------------------------------
DOWN, UP = words("down", 6 * MIB), words("up", 5 * MIB)


def both(s):
    writer = threading.Thread(target=lambda: (s.sendall(DOWN), s.shutdown(socket.SHUT_WR)))
    writer.start()
    found = read_to_end(s)
    writer.join(30)
    s.close()
    return found


door = Door(address, both)
s = tunnel(door.name)
threading.Thread(target=lambda: (s.sendall(UP), s.shutdown(socket.SHUT_WR)), daemon=True).start()
found = read_to_end(s)
j.check("%d bytes down, and the end" % len(DOWN), found == (DOWN, "end"), (len(found[0]), found[1]))
found = door.result()
j.check("%d bytes up, and the end" % len(UP), found == (UP, "end"), found and (len(found[0]), found[1]))
s.close()
door.close()


# -- half-close ---------------------------------------------------------------------------------------------------
def answers_after_the_end(s):
    found = read_to_end(s)
    time.sleep(0.3)
    s.sendall(b"answer to " + found[0])
    s.close()
    return found


def ends_first(s):
    s.sendall(b"all I have")
    s.shutdown(socket.SHUT_WR)
    return read_to_end(s)


door = Door(address, answers_after_the_end)
s = tunnel(door.name)
s.sendall(b"question")
s.shutdown(socket.SHUT_WR)
j.equal("the client ends first: the answer still comes", (b"answer to question", "end"), read_to_end(s))
j.equal("after all was read", (b"question", "end"), door.result())
s.close()
door.close()
door = Door(address, ends_first)
s = tunnel(door.name)
j.equal("the destination ends first", (b"all I have", "end"), read_to_end(s))
time.sleep(0.3)
s.sendall(b"but I go on")
s.shutdown(socket.SHUT_WR)
j.equal("and hears the rest", (b"but I go on", "end"), door.result())
s.close()
door.close()


# -- resets -------------------------------------------------------------------------------------------------------
def hears_reset(s):
    return read_to_end(s)


def says_reset(s):
    read_exactly(s, 4)
    s.sendall(b"half of it")
    time.sleep(0.2)
    reset(s)
    return "done"


door = Door(address, hears_reset)
s = tunnel(door.name)
s.sendall(b"half of it")
time.sleep(0.2)
if kind == "unix":
    s.close()  # its peer can not tell an abort from an end of both directions
    j.equal("a closed Unix client", b"half of it", door.result()[0])
else:
    cut(s)
    j.equal("a reset of the client", (b"half of it", "reset"), door.result())
door.close()
door = Door(address, says_reset)
s = tunnel(door.name, b"stop")
found = read_to_end(s)
j.check("a reset of the destination: some of it", b"half of it".startswith(found[0]), found)
if kind != "unix":
    j.equal("and no clean end", "reset", found[1])
s.close()
door.close()


# -- a reader that stops -------------------------------------------------------------------------------------------
def floods(s):
    sent, s = 0, s
    s.settimeout(1)
    try:
        while sent < 64 * MIB:
            sent += s.send(b"x" * 65536)
    except TimeoutError:
        pass
    s.settimeout(30)
    return sent, read_to_end(s)[1]


door = Door(address, floods)
s = tunnel(door.name, b"go")
time.sleep(2)
s.close()
found = door.result()
j.check("who reads nothing stops his own sender: %r" % (found,), found and found[0] < 16 * MIB)
door.close()


# -- upgrades -----------------------------------------------------------------------------------------------------
def upgrade(target, protocol, body=b"", fields=""):
    s = connect()
    s.sendall(("%s http://%s/exec HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n"
               % ("POST" if fields else "GET", target, target, protocol, fields)).encode() + body)
    return s


def switches(protocol, more=b""):
    def serve(s):
        head = read_head(s)
        s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % protocol + more)
        return head, read_to_end(s)
    return serve


for protocol in (b"SPDY/3.1", b"websocket"):
    door = Door(address, switches(protocol, b"right behind it"))
    s = upgrade(door.name, protocol.decode(), b"said early")
    head = read_head(s)
    j.check("%s: 101" % protocol.decode(), head.startswith(b"HTTP/1.1 101 "), head)
    j.equal("what stood behind the 101", b"right behind it", read_exactly(s, 15))
    s.sendall(b", and late")
    s.shutdown(socket.SHUT_WR)
    seen, found = door.result()
    j.check("the upgrade was passed on", b"\r\nUpgrade: %s\r\n" % protocol in seen, seen)
    j.equal("what stood behind the request, and the end", (b"said early, and late", "end"), found)
    s.close()
    door.close()
for name, protocol, more, body, fields in (("another protocol", b"h2c", b"", b"", ""),
                                           ("before the request's body has come", b"websocket", b"", b"1234", "Content-Length: 5\r\n")):
    door = Door(address, switches(protocol, more))
    s = upgrade(door.name, "websocket", body, fields)
    head = read_head(s)
    j.check("101 %s: 502" % name, head.startswith(b"HTTP/1.1 502 malformed response"), head)
    s.close()
    j.equal("101 %s: asked once" % name, 1, door.accepted)
    door.close()


def ordinary(s):
    read_head(s)
    s.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden")
    return read_to_end(s)


door = Door(address, ordinary)
s = upgrade(door.name, "websocket")
head = read_head(s)
j.check("a refused upgrade is an ordinary answer", head.startswith(b"HTTP/1.1 403 "), head)
j.equal("with its body", b"forbidden", read_exactly(s, 9))
s.sendall(("GET http://%s/again HTTP/1.1\r\nHost: %s\r\n\r\n" % (door.name, door.name)).encode())
j.check("after which the client may ask again", read_head(s).startswith(b"HTTP/1.1 403 "))
j.equal("but on another connection to the destination", 2, door.accepted)
s.close()
door.close()


# -- many at a time ------------------------------------------------------------------------------------------------
def one(n, failures):
    said = words("tunnel %d" % n, 200000 + n)
    try:
        s = tunnel(door.name)
        s.sendall(said[:100000])
        got = read_exactly(s, 100000)
        s.sendall(said[100000:])
        s.shutdown(socket.SHUT_WR)
        rest = read_to_end(s)
        if (got + rest[0], rest[1]) != (said, "end"):
            failures.append(n)
        s.close()
    except Exception as e:
        failures.append((n, e))


door, failures = Door(address, echo), []
threads = [threading.Thread(target=one, args=(n, failures)) for n in range(32)]
for t in threads:
    t.start()
for t in threads:
    t.join(60)
j.equal("32 at a time, each its own bytes", [], failures)
door.close()
j.check("no tunnel is left", until(lambda: metric(admin, "hawser_tunnels_open") == 0), metric(admin, "hawser_tunnels_open"))
j.check("no client is left", until(lambda: metric(admin, "hawser_front_connections") == 1), metric(admin, "hawser_front_connections"))
j.finish()
