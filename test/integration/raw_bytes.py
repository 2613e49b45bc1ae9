"""What curl cannot say: pipelining, cut heads, request trailers, 1xx, hop-by-hop fields.
    raw_bytes.py SOCKET NGINX PLAIN LEDGER"""
import json
import sys
import time

from client import Judge, Reader, connect, say

path, nginx, plain, ledger = sys.argv[1:5]
j = Judge()


def get(authority, what, scheme="http", extra="", method="GET"):
    return ("%s %s://%s%s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, scheme, authority, what, authority, extra)).encode()


# Pipelining: answers come in the order asked, whatever each of them costs.
s = connect(path)
r = Reader(s)
s.sendall(get(nginx, "/small", "https") + get(plain, "/slow?seconds=0.5") + get(nginx, "/none", "https")
          + get(plain, "/echo", extra="Content-Length: 5\r\n", method="POST") + b"12345"
          + get(plain, "/echo", extra="Transfer-Encoding: chunked\r\n", method="POST") + b"3\r\nabc\r\n0\r\n\r\n"
          + get(plain, "/ok", method="HEAD") + get(nginx, "/small", "https"))
found = [r.response() for _ in range(5)]
found.append(r.response(head_only=True))
found.append(r.response())
j.equal("pipelined: statuses", [200, 200, 404, 200, 200, 200, 200], [f[0] for f in found])
j.equal("pipelined: the first", b"hello\n", found[0][2])
j.equal("pipelined: a counted body", b"12345", found[3][2])
j.equal("pipelined: a chunked body", b"abc", found[4][2])
j.equal("pipelined: after HEAD", b"hello\n", found[6][2])
begun = time.monotonic()
s.sendall(b"".join(get(plain, "/show?n=%d" % i) for i in range(300)))
for i in range(300):
    status, _, body, _ = r.response()
    if status != 200 or b"/show?n=%d " % i not in body:
        j.check("pipelined: answer %d is its own" % i, False, (status, body[:60]))
        break
# Once a request that followed an answer at once slept for a quarter of a second: its worker was not woken.
took = time.monotonic() - begun
j.check("pipelined: no request waits for a worker to wake by itself", took < 30, took)
s.close()

# Byte by byte, head and body.
s = connect(path)
r = Reader(s)
for byte in get(plain, "/echo", extra="Content-Length: 4\r\n", method="PUT") + b"slow":
    s.sendall(bytes([byte]))
    time.sleep(0.001)
j.equal("byte by byte", (200, b"slow"), r.response()[0::2])
for byte in get(plain, "/echo", extra="Transfer-Encoding: chunked\r\n", method="POST") + b"4;a=b\r\nslow\r\n1\r\n!\r\n0\r\n\r\n":
    s.sendall(bytes([byte]))
    time.sleep(0.001)
j.equal("byte by byte, chunked", (200, b"slow!"), r.response()[0::2])

# Trailers of a request reach the backend.
s.sendall(get(plain, "/echo", extra="Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", method="POST")
          + b"5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n")
status, head, body, _ = r.response()
j.check("request trailers reach the backend", "X-Trailer-X-Sum: 5" in head and body == b"hello", head)

# Trailers and chunks of a response reach the client.
s.sendall(get(plain, "/trailers"))
status, head, body, trailers = r.response()
j.equal("chunks of a response", b"onetwothree", body)
j.equal("trailers of a response", "X-Sum: 11\r\nX-Other: yes\r\n", trailers)

# 1xx: all of them, in order, before the one final answer; never to HTTP/1.0.
s.sendall(get(plain, "/hints"))
found = [r.response() for _ in range(3)]
j.equal("1xx pass", [102, 103, 200], [f[0] for f in found])
j.check("with their fields", "Link: </style.css>" in found[1][1], found[1][1])
s.close()
a = say(path, ("GET http://%s/hints HTTP/1.0\r\n\r\n" % plain).encode())
j.check("no 1xx to HTTP/1.0", a.status == 200 and b"103" not in a.data and a.closed, a.data)
a = say(path, ("GET http://%s/trailers HTTP/1.0\r\n\r\n" % plain).encode())
j.check("no chunks to HTTP/1.0", a.body == b"onetwothree" and a.closed, a.data)
a = say(path, ("GET http://%s/until-close HTTP/1.0\r\n\r\n" % plain).encode())
j.check("until the end, HTTP/1.0", a.body == b"lasts until the end" and a.closed and not a.reset, a.data)

# A response that lasts until its connection ends becomes chunked for a client that can.
s = connect(path)
r = Reader(s)
s.sendall(get(plain, "/until-close"))
j.equal("until the end becomes chunks", b"lasts until the end", r.response()[2])
s.sendall(get(plain, "/ok"))
j.equal("and the client's connection goes on", 200, r.response()[0])

# Expect: 100-continue passes to the backend and its 100 comes back before the body goes.
s.sendall(get(plain, "/continue", extra="Expect: 100-continue\r\nContent-Length: 4\r\n", method="POST"))
j.equal("100 before the body", 100, r.response()[0])
s.sendall(b"body")
j.equal("then the answer", (200, b"body"), r.response()[0::2])
s.close()

# An answer before the upload was read: the client gets it, the connection ends.
s = connect(path)
r = Reader(s)
s.sendall(get(plain, "/early", extra="Content-Length: 100000000\r\n", method="POST") + b"x" * 1000)
status, head, body, _ = r.response()
j.equal("an early refusal arrives", (413, b"refused\n"), (status, body))
j.check("and says close", "connection: close" in head.lower(), head)
s.close()

# Half-close after a whole request: the answer still comes.
a = say(path, get(plain, "/slow?seconds=0.3"), half_close=True)
j.equal("half-closed client", (200, b"ok\n", True), (a.status, a.body, a.closed))
# Connection: close is honoured.
a = say(path, get(plain, "/ok", extra="Connection: close\r\n"))
j.check("Connection: close", a.status == 200 and a.closed and "connection: close" in a.head.lower(), a.data)

# What the backend sees: origin-form, one Host, no hop-by-hop field, Via; the rest byte for byte.
s = connect(path)
r = Reader(s)
s.sendall(get(plain, "/show?command=a%20b&command=%2Fc", extra=(
    "Connection: X-Hop, Keep-Alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\n"
    "Proxy-Authorization: Basic c2VjcmV0\r\nTE: trailers\r\nUpgrade: nothing\r\nX-Kept:  a  b \r\nAccept-Encoding: gzip\r\n")))
seen = r.response()[2].decode()
lower = seen.lower()
j.check("origin-form, the query byte for byte", seen.startswith("GET /show?command=a%20b&command=%2Fc HTTP/1.1\r\n"), seen)
j.equal("one Host", 1, lower.count("\r\nhost: %s\r\n" % plain))
for gone in ("x-hop", "keep-alive:", "proxy-connection", "proxy-authorization", "upgrade"):
    j.check("%s does not pass" % gone, gone not in lower.split("\r\n", 1)[1], seen)
j.check("an ordinary field passes", "X-Kept: a  b\r\n" in seen, seen)
j.check("Accept-Encoding passes", "Accept-Encoding: gzip\r\n" in seen, seen)
j.check("Via is added", "\r\nvia: 1.1 hawser\r\n" in lower, seen)
s.close()

# No path, a query only, host in capitals, default Host.
s = connect(path)
r = Reader(s)
s.sendall(("GET http://%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (plain, plain)).encode())
j.equal("no path", 200, r.response()[0])
s.sendall(("GET http://%s?a=b HTTP/1.1\r\nHost: %s\r\n\r\n" % (plain, plain)).encode())
j.equal("only a query", 200, r.response()[0])
s.sendall(("GET HTTP://%s/show HTTP/1.1\r\nhost:%s\r\n\r\n" % (plain, plain)).encode())
j.equal("scheme in capitals", 200, r.response()[0])
s.sendall(("OPTIONS http://%s/show HTTP/1.1\r\nHost: %s\r\n\r\n" % (plain, plain)).encode())
j.equal("OPTIONS", 200, r.response()[0])
s.close()

lines = [json.loads(line)["head"].split("\r\n")[0] for line in open(ledger) if '"head"' in line]
j.check("no path becomes /", "GET / HTTP/1.1" in lines, lines[-6:])
j.check("a query without a path becomes /?", "GET /?a=b HTTP/1.1" in lines, lines[-6:])
j.finish()
