"""A backend whose every byte is decided here, for what no ordinary server does.

    backend.py ADDRESS PORT LEDGER [--tls CERT KEY CLIENT_CA]

The path of a request names the behaviour. Each connection and each request head is written to the ledger as one JSON
line ({"conn": 3, "head": "...", "body": 12, ...}), so that a test can count what arrived, and whether anything came twice.
"""
import json
import socket
import ssl
import struct
import sys
import threading
import time

LOCK = threading.Lock()


class Ledger:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def note(self, **what):
        with LOCK:
            self.file.write(json.dumps(what) + "\n")


class Gone(Exception):
    pass


class Conn:
    def __init__(self, sock, number, ledger):
        self.sock, self.number, self.ledger, self.buffer, self.served = sock, number, ledger, b"", 0

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        at = self.buffer.index(mark) + len(mark)
        out, self.buffer = self.buffer[:at], self.buffer[at:]
        return out

    def exactly(self, n):
        while len(self.buffer) < n:
            self.more()
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def reset(self):
        """An RST instead of a FIN."""
        raw = self.sock
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if isinstance(raw, ssl.SSLSocket):
            fd = raw.detach()
            raw = socket.socket(fileno=fd)
        raw.close()
        raise Gone

    def close(self):
        raise Gone


def fields_of(head):
    out = {}
    for line in head.split("\r\n")[1:]:
        if ":" in line:
            name, value = line.split(":", 1)
            out.setdefault(name.lower(), []).append(value.strip())
    return out


def read_body(c, fields):
    """The body and its trailers, as they came off the wire."""
    if "chunked" in fields.get("transfer-encoding", [""])[0]:
        body, trailers = b"", ""
        while True:
            size = int(c.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body += c.exactly(size)
            c.exactly(2)
        while True:
            line = c.until(b"\r\n")
            if line == b"\r\n":
                return body, trailers
            trailers += line.decode("latin-1")
    return c.exactly(int(fields.get("content-length", ["0"])[0])), ""


def ok(c, body=b"ok\n", extra=""):
    c.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(body), extra))
    c.send(body)


# -- behaviours: name -> function(conn, head, fields); those of EARLY run before the request's body is read ----------------


def echo(c, head, fields, body=b"", trailers=""):
    ok(c, body, "".join("X-Trailer-" + t + "\r\n" for t in trailers.split("\r\n") if t))


def show(c, head, fields, body=b"", trailers=""):
    ok(c, head.encode("latin-1"))


def hints(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 102 Processing\r\n\r\n")
    c.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    time.sleep(0.1)
    ok(c, b"after hints\n")


def trailers(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Other\r\n\r\n")
    for piece in (b"one", b"two", b"three"):
        c.send(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        time.sleep(0.02)
    c.send("0\r\nX-Sum: 11\r\nX-Other: yes\r\n\r\n")


def until_close(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nlasts until the end")
    c.close()


def big(c, head, fields, body=b"", trailers=""):
    size = int(head.split("size=")[1].split(" ")[0].split("&")[0])
    c.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    block = bytes(range(256)) * 256
    while size:
        n = min(size, len(block))
        c.send(block[:n])
        size -= n


def slow(c, head, fields, body=b"", trailers=""):
    time.sleep(float(head.split("seconds=")[1].split(" ")[0]))
    ok(c)


def stream(c, head, fields, body=b"", trailers=""):
    """A log that is followed: a line each tenth of a second, for as long as asked."""
    count = int(head.split("lines=")[1].split(" ")[0])
    c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in range(count):
        c.send(b"9\r\nline %03d\n\r\n" % i)
        time.sleep(0.1)
    c.send(b"0\r\n\r\n")


def never(c, head, fields, body=b"", trailers=""):
    while True:
        c.more()


def mid_head(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nContent-Le")
    c.close()


def mid_head_reset(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nContent-Le")
    time.sleep(0.1)
    c.reset()


def mid_body(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    time.sleep(0.1)
    c.close()


def mid_chunk(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\npart")
    time.sleep(0.1)
    c.close()


def between_chunks(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
    time.sleep(0.1)
    c.close()


def mid_body_reset(c, head, fields, body=b"", trailers=""):
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    time.sleep(0.1)
    c.reset()


def silent_close(c, head, fields, body=b"", trailers=""):
    c.close()


def silent_reset(c, head, fields, body=b"", trailers=""):
    c.reset()


def second_time_gone(c, head, fields, body=b"", trailers=""):
    """The first request of a connection is answered; the second finds the connection closing, unread."""
    if c.served > 1:
        c.close()
    ok(c)


def idle_close(c, head, fields, body=b"", trailers=""):
    ok(c)
    time.sleep(0.1)
    c.close()


def early(c, head, fields):
    """Refuses an upload without reading it."""
    c.send("HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\nrefused\n")
    time.sleep(0.2)
    c.close()


def unread(c, head, fields):
    """Never reads the body."""
    time.sleep(12)
    c.close()


def continued(c, head, fields):
    if fields.get("expect", [""])[0].lower() != "100-continue":
        ok(c, b"no expectation\n")
        return
    c.send("HTTP/1.1 100 Continue\r\n\r\n")
    body, _ = read_body(c, fields)
    ok(c, body)


def raw(text):
    def behaviour(c, head, fields, body=b"", trailers=""):
        c.send(text)
        time.sleep(0.3)
        c.close()
    return behaviour


LATE = {
    "/echo": echo, "/show": show, "/hints": hints, "/trailers": trailers, "/until-close": until_close, "/big": big,
    "/slow": slow, "/stream": stream, "/never": never, "/mid-head": mid_head, "/mid-head-reset": mid_head_reset,
    "/mid-body": mid_body, "/mid-chunk": mid_chunk, "/between-chunks": between_chunks, "/mid-body-reset": mid_body_reset,
    "/silent-close": silent_close, "/silent-reset": silent_reset, "/second-time-gone": second_time_gone,
    "/idle-close": idle_close,
    "/raw/cl-te": raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "/raw/two-cl": raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    "/raw/bad-cl": raw("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab"),
    "/raw/bare-lf": raw("HTTP/1.1 200 OK\nContent-Length: 2\n\nab"),
    "/raw/bare-lf-field": raw("HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 2\r\n\r\nab"),
    "/raw/fold": raw("HTTP/1.1 200 OK\r\nX-A: 1\r\n  2\r\nContent-Length: 2\r\n\r\nab"),
    "/raw/space-colon": raw("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab"),
    "/raw/nul": raw("HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nab"),
    "/raw/gzip-te": raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "/raw/bad-chunk": raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nab\r\n0\r\n\r\n"),
    "/raw/bad-version": raw("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab"),
    "/raw/bad-status": raw("HTTP/1.1 9x9 OK\r\nContent-Length: 2\r\n\r\nab"),
    "/raw/garbage": raw("\x16\x03\x01 what is this\r\n\r\n"),
    "/raw/http09": raw("<html>hello</html>\r\n\r\n"),
    "/raw/101": raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: spdy\r\nConnection: Upgrade\r\n\r\nspdy bytes"),
    "/raw/huge-head": raw("HTTP/1.1 200 OK\r\n" + "".join("X-%d: %s\r\n" % (i, "a" * 4000) for i in range(100))
                          + "Content-Length: 2\r\n\r\nab"),
    "/raw/many-fields": raw("HTTP/1.1 200 OK\r\n" + "".join("X-%d: a\r\n" % i for i in range(300))
                            + "Content-Length: 2\r\n\r\nab"),
    "/raw/endless-1xx": raw("HTTP/1.1 102 Processing\r\n\r\n" * 2000 + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"),
    "/raw/too-much": raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
    "/raw/body-to-204": raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    "/raw/bad-trailer": raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nContent-Length: 4\r\n\r\n"),
}
EARLY = {"/early": early, "/unread": unread, "/continue": continued}


def serve_one(c):
    head = c.until(b"\r\n\r\n").decode("latin-1")
    c.served += 1
    path = head.split(" ")[1].split("?")[0]
    fields = fields_of(head)
    if path in EARLY:
        c.ledger.note(conn=c.number, request=c.served, head=head)
        EARLY[path](c, head, fields)
        return
    c.ledger.note(conn=c.number, arriving=c.served, line=head.split("\r\n")[0])
    body, trailer_text = read_body(c, fields)
    c.ledger.note(conn=c.number, request=c.served, head=head, body=len(body), trailers=trailer_text)
    if head.startswith("HEAD "):
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        return
    LATE.get(path, lambda conn, *rest: ok(conn))(c, head, fields, body, trailer_text)


def serve(sock, number, ledger, context):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            sock = context.wrap_socket(sock, server_side=True)
        ledger.note(conn=number, opened=True)
        c = Conn(sock, number, ledger)
        while True:
            serve_one(c)
    except Gone:
        pass
    except (OSError, ValueError) as e:
        ledger.note(conn=number, error=str(e))
    finally:
        ledger.note(conn=number, closed=True)
        try:
            sock.close()
        except OSError:
            pass


def listen(address, port, backlog=512):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(backlog)
    return s


def main():
    address, port, ledger = sys.argv[1], int(sys.argv[2]), Ledger(sys.argv[3])
    context = None
    if "--tls" in sys.argv:
        cert, key, ca = sys.argv[sys.argv.index("--tls") + 1:][:3]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    s = listen(address, port)
    number = 0
    while True:
        sock, _ = s.accept()
        number += 1
        threading.Thread(target=serve, args=(sock, number, ledger, context), daemon=True).start()


if __name__ == "__main__":
    main()
