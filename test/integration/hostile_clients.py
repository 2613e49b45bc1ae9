"""The table of attacks.  hostile_clients.py SOCKET BACKEND LEDGER

A row: name, bytes, status, a part of the answer's body. Every attack is followed by a second, perfectly good request for
/smuggled on the same connection; whoever answers it, or passes it on, has been fooled about where the first one ended."""
import json
import sys
import time

from client import Judge, connect, read_all, say

path, backend, ledger = sys.argv[1:4]
j = Judge()
T = "http://%s" % backend
H = "Host: %s\r\n" % backend
SECOND = ("GET %s/smuggled HTTP/1.1\r\n%s\r\n" % (T, H)).encode()


def post(fields, body="", target="/victim", version="HTTP/1.1", host=H):
    return ("POST %s%s %s\r\n%s%s\r\n%s" % (T, target, version, host, fields, body)).encode("latin-1")


def get(fields="", target="/victim", line=None, host=H):
    line = line or "GET %s%s HTTP/1.1" % (T, target)
    return ("%s\r\n%s%s\r\n" % (line, host, fields)).encode("latin-1")


CL, TE = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
BOTH = "both Content-Length and Transfer-Encoding"
CHUNKS = "0\r\n\r\n"

rows = [
    # -- lengths and codings
    ("CL then TE", post(CL + TE, CHUNKS), 400, BOTH),
    ("TE then CL", post(TE + CL, CHUNKS), 400, BOTH),
    ("CL: 0 and TE", post("Content-Length: 0\r\n" + TE, CHUNKS), 400, BOTH),
    ("CL and TE: identity", post(CL + "Transfer-Encoding: identity\r\n", "hello"), 400, BOTH),
    ("GET with CL and TE", get(CL + TE), 400, BOTH),
    ("two CLs that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400, "more than one Content-Length"),
    ("two CLs alike", post(CL + CL, "hello"), 400, "more than one Content-Length"),
    ("two CLs, one in capitals", post(CL + "CONTENT-LENGTH: 50\r\n", "hello"), 400, "more than one Content-Length"),
    ("CL as a list", post("Content-Length: 5, 5\r\n", "hello"), 400, "not one decimal number"),
    ("CL with a plus", post("Content-Length: +5\r\n", "hello"), 400, "not one decimal number"),
    ("CL with a minus", post("Content-Length: -5\r\n", "hello"), 400, "not one decimal number"),
    ("CL in hexadecimal", post("Content-Length: 0x5\r\n", "hello"), 400, "not one decimal number"),
    ("CL empty", post("Content-Length: \r\n", "hello"), 400, "not one decimal number"),
    ("CL with a space inside", post("Content-Length: 5 5\r\n", "hello"), 400, "not one decimal number"),
    ("CL with a fraction", post("Content-Length: 5.0\r\n", "hello"), 400, "not one decimal number"),
    ("CL of 2^63", post("Content-Length: 9223372036854775808\r\n", "hello"), 400, "2^63"),
    ("CL of 2^64+5", post("Content-Length: 18446744073709551621\r\n", "hello"), 400, "2^63"),
    ("TE twice", post(TE + TE, CHUNKS), 400, "more than one Transfer-Encoding"),
    ("TE twice, one unknown", post(TE + "Transfer-Encoding: x\r\n", CHUNKS), 400, "more than one Transfer-Encoding"),
    ("chunked twice in one field", post("Transfer-Encoding: chunked, chunked\r\n", CHUNKS), 400, "chunked is repeated"),
    ("chunked not last", post("Transfer-Encoding: chunked, gzip\r\n", CHUNKS), 400, "not the last"),
    ("gzip before chunked", post("Transfer-Encoding: gzip, chunked\r\n", CHUNKS), 501, "other than chunked"),
    ("identity", post("Transfer-Encoding: identity\r\n", "hello"), 501, "other than chunked"),
    ("xchunked", post("Transfer-Encoding: xchunked\r\n", CHUNKS), 501, "other than chunked"),
    ("chunked in quotes", post('Transfer-Encoding: "chunked"\r\n', CHUNKS), 400, "not a list of codings"),
    ("chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", CHUNKS), 400, "not a list of codings"),
    ("chunked behind vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", CHUNKS), 400, "control character"),
    ("TE in HTTP/1.0", post(TE, CHUNKS, version="HTTP/1.0"), 400, "in an HTTP/1.0 message"),
    # -- lines
    ("bare LF after the request line", post("", "").replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"), 400, "line feed without"),
    ("bare LF after a field", post("X-A: b\n" + CL, "hello"), 400, "line feed without"),
    ("bare LFs as the empty line", get()[:-2] + b"\n", 400, "line feed without"),
    ("bare CR in a field", get("X-A: b\rTransfer-Encoding: chunked\r\n"), 400, "carriage return without"),
    ("bare CR after the name", get("X-A\r: b\r\n"), 400, "carriage return without"),
    ("CR CR LF", get("X-A: b\r\r\n"), 400, "carriage return without"),
    ("obs-fold", get("X-A: b\r\n c\r\n"), 400, "folded fields are obsolete"),
    ("obs-fold with a tab", get("X-A: b\r\n\tc\r\n"), 400, "folded fields are obsolete"),
    ("TE folded away", post("Transfer-Encoding:\r\n chunked\r\n", CHUNKS), 400, "folded fields are obsolete"),
    ("space before the first field", b"GET " + T.encode() + b"/victim HTTP/1.1\r\n Host: x\r\n\r\n", 400, "folded fields are obsolete"),
    ("space before the colon", post("Content-Length : 5\r\n", "hello"), 400, "between a field's name and its colon"),
    ("tab before the colon", post("Transfer-Encoding\t: chunked\r\n", CHUNKS), 400, "between a field's name and its colon"),
    ("no colon", get("X-A\r\n"), 400, "without a colon"),
    ("no name", get(": b\r\n"), 400, "without a name"),
    ("a name with brackets", get("X(A): b\r\n"), 400, "no token has"),
    ("a name outside ASCII", get("X-\xe9: b\r\n"), 400, "no token has"),
    ("NUL in a value", get("X-A: b\0c\r\n"), 400, "control character"),
    ("NUL in a name", get("X-\0A: b\r\n"), 400, "control character"),
    ("NUL in the target", get(target="/a\0b"), 400, "control character"),
    ("escape in a value", get("X-A: \x1b[31m\r\n"), 400, "control character"),
    ("DEL in a value", get("X-A: \x7f\r\n"), 400, "control character"),
    # -- request line
    ("HTTP/0.9", ("GET %s/victim\r\n\r\n" % T).encode(), 400, "HTTP/0.9 is not spoken"),
    ("HTTP/2.0", get(line="GET %s/victim HTTP/2.0" % T), 505, "other than HTTP/1.0 and HTTP/1.1"),
    ("HTTP/1.2", get(line="GET %s/victim HTTP/1.2" % T), 505, "other than HTTP/1.0 and HTTP/1.1"),
    ("HTTP/1.10", get(line="GET %s/victim HTTP/1.10" % T), 400, "no version at the end"),
    ("http/1.1 in small letters", get(line="GET %s/victim http/1.1" % T), 400, "no version at the end"),
    ("two spaces after the method", get(line="GET  %s/victim HTTP/1.1" % T), 400, ""),
    ("two spaces before the version", get(line="GET %s/victim  HTTP/1.1" % T), 400, ""),
    ("a tab instead of a space", get(line="GET\t%s/victim HTTP/1.1" % T), 400, ""),
    ("a space in the target", get(line="GET %s/vic tim HTTP/1.1" % T), 400, ""),
    ("no method", get(line=" %s/victim HTTP/1.1" % T), 400, "no method"),
    ("a method with a slash", get(line="GE/T %s/victim HTTP/1.1" % T), 400, "no method"),
    ("no target", get(line="GET HTTP/1.1"), 400, ""),
    ("three empty lines first", b"\r\n\r\n\r\n" + get(), 400, "empty lines before"),
    ("a fragment", get(target="/a#b"), 400, "fragment"),
    ("a backslash", get(target="/a\\b"), 400, "URI cannot have"),
    ("a quote", get(target='/a"b'), 400, "URI cannot have"),
    ("a byte outside ASCII", get(target="/\xe9"), 400, "URI cannot have"),
    ("user information", get(line="GET http://user:pw@%s/victim HTTP/1.1" % backend), 400, "user information"),
    ("another scheme", get(line="GET ftp://%s/victim HTTP/1.1" % backend), 400, "scheme other than http"),
    ("file:", get(line="GET file:///etc/passwd HTTP/1.1"), 400, "scheme other than http"),
    ("no host in the target", get(line="GET http:///victim HTTP/1.1"), 400, "no valid host"),
    ("port 0", get(line="GET http://127.0.0.1:0/ HTTP/1.1", host="Host: 127.0.0.1:0\r\n"), 400, ""),
    ("port 65536", get(line="GET http://127.0.0.1:65536/ HTTP/1.1"), 400, "no valid host"),
    ("neither path nor URI", get(line="GET victim HTTP/1.1"), 400, ""),
    ("* with GET", get(line="GET * HTTP/1.1"), 400, "other than OPTIONS"),
    # -- Host
    ("Host says otherwise", get(host="Host: evil.example\r\n"), 400, "another host than the request target"),
    ("Host has another port", get(host="Host: %s:1\r\n" % backend.split(":")[0]), 400, "another host than the request target"),
    ("two Hosts", get(H), 400, "more than one Host"),
    ("no Host", get(host=""), 400, "no Host field"),
    ("Host with a path", get(host="Host: %s/x\r\n" % backend), 400, "not host or host:port"),
    ("Host with user information", get(host="Host: a@%s\r\n" % backend), 400, "not host or host:port"),
    ("Host as a list", get(host="Host: %s, evil.example\r\n" % backend), 400, "not host or host:port"),
    # -- limits
    ("a head of 20,000 bytes", get("X-A: %s\r\n" % ("a" * 20000)), 431, "longer than the limit"),
    ("a target of 20,000 bytes", get(target="/" + "a" * 20000), (414, 431), "longer than the limit"),
    ("a name of 20,000 bytes", get("%s: b\r\n" % ("a" * 20000)), 431, "longer than the limit"),
    ("65 fields", get("X-A: b\r\n" * 65), 431, "more fields than the limit"),
    ("an endless first line", b"G" * 40000, (400, 414, 431), ""),
    # -- other protocols
    ("TLS on the plain socket", bytes.fromhex("16030102000100") + b"\x00" * 60, 400, ""),
    ("SSH on the plain socket", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400, ""),
    ("CONNECT where no route allows tunnels", ("CONNECT %s HTTP/1.1\r\n%s\r\n" % (backend, H)).encode(), 403, "no route matches"),
    ("CONNECT with a body", ("CONNECT %s HTTP/1.1\r\n%sContent-Length: 5\r\n\r\nhello" % (backend, H)).encode(), 400, "CONNECT request with a body"),
    ("CONNECT to a path", ("CONNECT /x HTTP/1.1\r\n%s\r\n" % H).encode(), 400, "not host:port"),
    ("an unknown expectation", post("Expect: 200-maybe\r\n" + CL, "hello"), 417, "other than 100-continue"),
    ("Connection that is no list", get("Connection: a b\r\n"), 400, "not a list of tokens"),
]

# Chunks: the head is good, so the request may reach the backend; its body never counts as complete.
chunk_rows = [
    ("no size", "\r\nhello\r\n0\r\n\r\n", "no hexadecimal digit"),
    ("size in words", "five\r\nhello\r\n0\r\n\r\n", ""),
    ("size with 0x", "0x5\r\nhello\r\n0\r\n\r\n", "neither ';' nor CR LF"),
    ("size with a sign", "+5\r\nhello\r\n0\r\n\r\n", "no hexadecimal digit"),
    ("a negative size", "-5\r\nhello\r\n0\r\n\r\n", "no hexadecimal digit"),
    ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n", "no hexadecimal digit"),
    ("a space after the size", "5 \r\nhello\r\n0\r\n\r\n", "neither ';' nor CR LF"),
    ("a size of 17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", "more than 16 digits"),
    ("a size of 2^63", "8000000000000000\r\nhello\r\n0\r\n\r\n", "2^63"),
    ("a size of 2^64-1", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "2^63"),
    ("bare LF after the size", "5\nhello\r\n0\r\n\r\n", ""),
    ("bare CR after the size", "5\rhello\r\n0\r\n\r\n", ""),
    ("more data than said", "3\r\nhello\r\n0\r\n\r\n", "not followed by CR LF"),
    ("LF after the data", "5\r\nhello\n0\r\n\r\n", "not followed by CR LF"),
    ("an extension with LF", "5;a=b\nhello\r\n0\r\n\r\n", ""),
    ("an extension of 20,000 bytes", "5;" + "a" * 20000 + "\r\nhello\r\n0\r\n\r\n", "longer than the limit"),
    ("a NUL in an extension", "5;a\0b\r\nhello\r\n0\r\n\r\n", ""),
    ("a length among trailers", "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n", "only stand in a head"),
    ("a coding among trailers", "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "only stand in a head"),
    ("a Host among trailers", "5\r\nhello\r\n0\r\nHost: evil\r\n\r\n", "only stand in a head"),
    ("bare LF in trailers", "5\r\nhello\r\n0\r\nX-A: b\n\r\n\r\n", "line feed without"),
    ("a folded trailer", "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n", "folded fields are obsolete"),
    ("trailers of 100,000 bytes", "0\r\n" + ("X-A: %s\r\n" % ("a" * 1000)) * 100 + "\r\n", ""),
]


def whole(name, a, status, text):
    statuses = status if isinstance(status, tuple) else (status,)
    if status is None:
        j.check("%s: refused" % name, 400 <= a.status < 600, a.line)
    else:
        j.check("%s: status" % name, a.status in statuses, (a.line, a.body[:100]))
    j.check("%s: the connection ends" % name, a.closed, a.data[:200])
    j.check("%s: one answer" % name, a.data.count(b"Content-Length: ") == 1 + a.body.count(b"Content-Length: "), a.data[:300])
    j.check("%s: the text says why" % name, text.encode() in a.body, a.body[:300])
    j.check("%s: Connection: close" % name, "connection: close" in a.head.lower(), a.head)


for name, data, status, text in rows:
    whole(name, say(path, data + SECOND), status, text)
# The same in two pieces, cut in the middle and one byte before the end.
for cut in (0.5, 1.0):
    for name, data, status, text in rows[::3]:
        at = min(int(len(data) * cut), len(data) - 1)
        s = connect(path)
        try:
            s.sendall(data[:at])
            time.sleep(0.01)
            s.sendall(data[at:] + SECOND)
        except (BrokenPipeError, ConnectionResetError):
            pass
        whole(name + ", in two pieces", read_all(s), status, text)
        s.close()
for name, body, text in chunk_rows:
    a = say(path, post(TE, body, target="/echo?chunks") + SECOND)
    # A backend that was already answering may have been faster than the refusal: then the connection is reset.
    j.check("chunks: %s: refused" % name, a.status in (400, 431) and text.encode() in a.body, (a.line, a.body[:200]))
    j.check("chunks: %s: the connection ends" % name, a.closed, a.data[:200])
    j.check("chunks: %s: no second answer" % name, b"smuggled" not in a.data and a.data.count(b"HTTP/1.1 ") <= 1, a.data[:300])

# Origin-form and OPTIONS *: legal HTTP that this broker has no destination for. The framing is in step, so what follows
# may be answered, but these are not passed on.
for name, line in (("origin-form", "GET /victim HTTP/1.1"), ("OPTIONS *", "OPTIONS * HTTP/1.1")):
    a = say(path, get("Connection: close\r\n", line=line))
    j.check("%s: refused" % name, a.status == 400 and b"absolute form" in a.body, (a.line, a.body))

# Policy, not framing: 403 and the connection may go on.
for name, target in (("no route", "http://192.0.2.1/"), ("another port", "http://%s:22/" % backend.split(":")[0]),
                     ("metadata", "http://169.254.169.254/latest"), ("localhost", "http://localhost:10255/"),
                     ("decimal address", "http://2130706433:10255/"), ("short address", "http://127.1:10255/"),
                     ("octal address", "http://0177.0.0.1:10255/"), ("IPv4 in IPv6", "http://[::ffff:127.0.0.1]:10255/"),
                     ("loopback IPv6", "http://[::1]:10255/"), ("https where only http is allowed", "https://%s/" % backend)):
    authority = target.split("//")[1].split("/")[0]
    a = say(path, ("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (target, authority)).encode())
    j.check("%s: refused" % name, a.status in (400, 403), (a.line, a.body[:200]))

# The head that never ends: 408, and the client is let go.
s = connect(path)
s.sendall(b"GET " + T.encode() + b"/victim HTTP/1.1\r\n")
begun = time.monotonic()
a = read_all(s)
j.check("an unfinished head: 408", a.status == 408 and a.closed, (a.line, a.closed))
j.check("at its deadline", 1.5 < time.monotonic() - begun < 8, time.monotonic() - begun)
s.close()
a = say(path, b"GET " + T.encode() + b"/victim HTTP/1.1\r\nHost", half_close=True)
j.check("a head cut by the end: 400", a.status == 400 and a.closed, (a.line, a.closed))
a = say(path, post("Content-Length: 50\r\n", "hello", target="/echo?cut"), half_close=True)
j.check("a body cut by the end: no answer of success", a.closed and a.status != 200, a.data[:100])

time.sleep(0.3)
seen = [json.loads(line) for line in open(ledger)]
heads = [s["head"].split("\r\n")[0] for s in seen if "head" in s]
j.check("the backend never saw what stood behind an attack", not any("smuggled" in h or "victim" in h for h in heads), heads)
j.check("nor completed a body that was refused", heads == [], heads)
j.finish()
