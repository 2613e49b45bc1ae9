"""RFC 9113, sections 3 to 8, by the frame.  http2_conformance.py SOCKET BACKEND LEDGER

Where the RFC wants a connection error, GOAWAY with its code and the end are expected; where it wants a stream error,
RST_STREAM with its code, or the connection error that it may be treated as (section 5.4.2); a malformed request may be
answered first (8.1.1), which the broker does with 400. After each case a good client is served."""
import json
import struct
import sys

from http2 import *
from client import Judge

path, backend, ledger = sys.argv[1:4]
j = Judge()
GOOD = [(":method", "GET"), (":scheme", "http"), (":authority", backend), (":path", "/ok")]
POST = [(":method", "POST"), (":scheme", "http"), (":authority", backend), (":path", "/echo")]
VICTIM = [(":method", "GET"), (":scheme", "http"), (":authority", backend), (":path", "/victim")]


def connection_error(name, data, *codes, greet=True, before=None):
    c = Connection(path, greet)
    if before:
        before(c)
    c.send(data)
    c.until(lambda: c.closed, 5)
    j.check("%s: GOAWAY" % name, c.goaway is not None, [f[:3] for f in c.frames[-5:]])
    if c.goaway:
        j.check("%s: its code" % name, c.goaway[1] in codes, c.goaway)
    j.check("%s: the connection ends" % name, c.closed)
    c.close()


def stream_error(name, data, *codes, number=1, before=None):
    """RST_STREAM or GOAWAY with one of the codes."""
    c = Connection(path)
    if before:
        before(c)
    c.send(data)
    s = c.stream(number)
    c.until(lambda: s.code is not None or c.goaway or c.closed, 5)
    found = s.code if s.code is not None else c.goaway and c.goaway[1]
    j.check("%s: refused" % name, found in codes, found)
    c.close()


def ignored(name, data, before=None):
    """Nothing happens, and the connection is as good as before."""
    c = Connection(path)
    if before:
        before(c)
    c.send(data)
    j.check("%s: the connection lives" % name, c.ping(), c.goaway)
    n = c.ask(GOOD)
    j.check("%s: and serves" % name, c.answer(n).status == 200, c.stream(n).status)
    c.close()


def malformed(name, fields, body=None, status=400):
    """body b"": the request stays open, so that its refusal must be followed by a reset."""
    c = Connection(path)
    n = c.ask(fields, body)
    s = c.answer(n, 5)
    j.check("%s: answered" % name, s.status == status, (s.status, s.code, c.goaway))
    if body is not None:
        c.until(lambda: s.code is not None, 5)
        j.check("%s: and reset" % name, s.code == (PROTOCOL_ERROR if status == 400 else NO_ERROR), s.code)
    n = c.ask(GOOD)
    j.check("%s: the connection goes on" % name, c.answer(n).status == 200, c.stream(n).status)
    c.close()


def headers(fields, flags=END_STREAM | END_HEADERS, number=1, more=b""):
    return frame(HEADERS, flags, number, block(fields) + more)


def asked(c):
    """A finished request on stream 1."""
    c.answer(c.ask(GOOD))


def opened(c):
    """A request on stream 1 whose body is open."""
    c.send(headers(POST, END_HEADERS))
    c.ping()


def half_closed(c):
    """A request on stream 1 that is complete and not answered yet."""
    c.send(headers([f for f in GOOD if f[0] != ":path"] + [(":path", "/slow?seconds=3")]))
    c.ping()


# -- 3.4, 4: preface and frames
c = Connection(path, greet=False)
for byte in PREFACE + settings():
    c.send(bytes([byte]))
j.check("the preface byte by byte: SETTINGS", c.until(lambda: c.settings, 5))
j.check("the limit on streams is said", c.settings.get(MAX_CONCURRENT_STREAMS, 0) >= 100, c.settings)
j.check("CONNECT is not extended", 8 not in c.settings, c.settings)
c.close()
connection_error("no SETTINGS after the preface", PREFACE + frame(PING, 0, 0, b"01234567"), PROTOCOL_ERROR, greet=False)
connection_error("HTTP/1 after the preface", PREFACE + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", PROTOCOL_ERROR, FRAME_SIZE_ERROR, greet=False)
ignored("an unknown frame", frame(0x42, 0xff, 0, b"x" * 100) + frame(0x99, 0, 7, b""))
ignored("the reserved bit", frame(PING, 0, 0x80000000, b"01234567"))
ignored("unknown flags", frame(PING, 0x46, 0, b"01234567"))
connection_error("a frame of 16,385 bytes", frame(0x42, 0, 0, b"x" * 16385), FRAME_SIZE_ERROR)
connection_error("DATA of 16,385 bytes", frame(DATA, 0, 1, b"x" * 16385), FRAME_SIZE_ERROR, before=opened)
connection_error("HEADERS of 16,385 bytes", headers(GOOD + [("x", "y" * 16385)]), FRAME_SIZE_ERROR)
connection_error("a block that is no HPACK", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION_ERROR)
connection_error("an index beyond the table", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xbf"), COMPRESSION_ERROR)
connection_error("a table larger than allowed", frame(HEADERS, END_STREAM | END_HEADERS, 1, integer(5000, 5, 0x20) + block(GOOD)), COMPRESSION_ERROR)
half = frame(HEADERS, END_STREAM, 1, block(GOOD))
connection_error("PING inside a block", half + frame(PING, 0, 0, b"01234567"), PROTOCOL_ERROR)
connection_error("PRIORITY inside a block", half + frame(PRIORITY, 0, 1, b"\0\0\0\0\0"), PROTOCOL_ERROR)
connection_error("an unknown frame inside a block", half + frame(0x42, 0, 0, b""), PROTOCOL_ERROR)
connection_error("another stream's CONTINUATION", half + frame(CONTINUATION, END_HEADERS, 3), PROTOCOL_ERROR)
c = Connection(path)
b = block(GOOD)
c.send(frame(HEADERS, END_STREAM, 1, b[:3]) + frame(CONTINUATION, 0, 1, b[3:9]) + frame(CONTINUATION, 0, 1) + frame(CONTINUATION, END_HEADERS, 1, b[9:]))
j.check("a block in four pieces", c.answer(1).status == 200, c.stream(1).status)
c.send(frame(HEADERS, END_STREAM | END_HEADERS | PADDED | PRIORITIZED, 3, bytes([5]) + b"\0\0\0\0\x10" + b + b"\0" * 5))
j.check("a block with padding and priority", c.answer(3).status == 200, c.stream(3).status)
c.close()

# -- 5.1: states of streams
for kind, payload in ((DATA, b"x"), (RST_STREAM, b"\0\0\0\x08"), (WINDOW_UPDATE, b"\0\0\0\x01")):
    connection_error("frame %d on an idle stream" % kind, frame(kind, 0, 1, payload), PROTOCOL_ERROR)
connection_error("CONTINUATION on an idle stream", frame(CONTINUATION, END_HEADERS, 1, block(GOOD)), PROTOCOL_ERROR)
stream_error("DATA after END_STREAM", frame(DATA, END_STREAM, 1, b"x"), STREAM_CLOSED, before=half_closed)
stream_error("HEADERS after END_STREAM", headers(VICTIM), STREAM_CLOSED, before=half_closed)
ignored("PRIORITY on a closed stream", frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), before=asked)
ignored("WINDOW_UPDATE on a closed stream", frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\x01"), before=asked)
ignored("RST_STREAM on a closed stream", frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), before=asked)
for name, data in (("HEADERS", headers(VICTIM)), ("DATA", frame(DATA, END_STREAM, 1, b"x"))):
    c = Connection(path)
    asked(c)
    before = len(c.frames)
    c.send(data)
    c.ping()
    j.check("%s on a closed stream is not served" % name, not any(f[0] in (HEADERS, DATA) for f in c.frames[before:]), c.frames[before:])
    c.close()
connection_error("an even stream", headers(GOOD, number=2), PROTOCOL_ERROR)
c = Connection(path)
c.answer(c.ask(GOOD, number=5))
c.send(headers(VICTIM, number=3))
c.ping()
j.check("a stream below the last is not served", c.stream(3).status is None, c.stream(3).status)
c.close()

# -- 6.1 to 6.10: each kind of frame
connection_error("DATA on stream 0", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR)
connection_error("DATA with more padding than payload", frame(DATA, PADDED, 1, b"\x06hello"), PROTOCOL_ERROR, before=opened)
connection_error("DATA with padding and no length of it", frame(DATA, PADDED, 1), PROTOCOL_ERROR, FRAME_SIZE_ERROR, before=opened)
connection_error("HEADERS on stream 0", headers(GOOD, number=0), PROTOCOL_ERROR)
connection_error("HEADERS with more padding than payload", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\xff" + block(GOOD)[:50]), PROTOCOL_ERROR)
connection_error("PRIORITY on stream 0", frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"), PROTOCOL_ERROR)
stream_error("PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, b"\0\0\0\0"), FRAME_SIZE_ERROR, before=opened)
connection_error("RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), PROTOCOL_ERROR)
connection_error("RST_STREAM of 3 bytes", frame(RST_STREAM, 0, 1, b"\0\0\0"), FRAME_SIZE_ERROR, before=opened)
connection_error("SETTINGS of 3 bytes", frame(SETTINGS, 0, 0, b"\0\3\0"), FRAME_SIZE_ERROR)
connection_error("SETTINGS on a stream", frame(SETTINGS, 0, 1), PROTOCOL_ERROR)
connection_error("an ACK with a payload", frame(SETTINGS, ACK, 0, b"\0\4\0\0\0\0"), FRAME_SIZE_ERROR)
connection_error("ENABLE_PUSH 2", settings((ENABLE_PUSH, 2)), PROTOCOL_ERROR)
connection_error("INITIAL_WINDOW_SIZE 2^31", settings((INITIAL_WINDOW_SIZE, 1 << 31)), FLOW_CONTROL_ERROR)
connection_error("MAX_FRAME_SIZE 16,383", settings((MAX_FRAME_SIZE, 16383)), PROTOCOL_ERROR)
connection_error("MAX_FRAME_SIZE 2^24", settings((MAX_FRAME_SIZE, 1 << 24)), PROTOCOL_ERROR)
ignored("an unknown setting", settings((0x4242, 1)))
connection_error("PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(GOOD)), PROTOCOL_ERROR, before=opened)
connection_error("PING on a stream", frame(PING, 0, 1, b"01234567"), PROTOCOL_ERROR)
connection_error("PING of 7 bytes", frame(PING, 0, 0, b"0123456"), FRAME_SIZE_ERROR)
connection_error("GOAWAY on a stream", frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL_ERROR)
connection_error("GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, b"\0" * 7), FRAME_SIZE_ERROR)
connection_error("WINDOW_UPDATE of 0", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR)
stream_error("WINDOW_UPDATE of 0 on a stream", frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\0"), PROTOCOL_ERROR, before=opened)
connection_error("WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR)
connection_error("a window of 2^31", frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR)
stream_error("a stream's window of 2^31", frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR, before=opened)
connection_error("CONTINUATION on stream 0", frame(CONTINUATION, END_HEADERS, 0), PROTOCOL_ERROR)
connection_error("CONTINUATION after END_HEADERS", frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR, before=opened)
c = Connection(path)
j.check("PING is answered", c.ping(b"\0\1\2\3\4\5\6\7") and c.pings[-1] == b"\0\1\2\3\4\5\6\7", c.pings)
c.send(frame(PING, ACK, 0, b"unasked!"))
j.check("its ACK is not", c.ping() and b"unasked!" not in c.pings, c.pings)
acks = sum(1 for f in c.frames if f[0] == SETTINGS and f[1] & ACK)
c.send(settings((INITIAL_WINDOW_SIZE, 100)))
c.ping()
j.equal("SETTINGS are acknowledged", acks + 1, sum(1 for f in c.frames if f[0] == SETTINGS and f[1] & ACK))

# -- 6.9: windows are kept to, grow, shrink and go below zero
c.updates = False
n = c.ask([f if f[0] != ":path" else (":path", "/big?size=1000") for f in GOOD])
s = c.stream(n)
c.until(lambda: len(s.body) >= 100, 5)
c.ping()
j.equal("a window of 100", 100, len(s.body))
c.send(frame(WINDOW_UPDATE, 0, n, struct.pack(">I", 50)))
c.until(lambda: len(s.body) >= 150, 5)
c.ping()
j.equal("50 more", 150, len(s.body))
c.send(settings((INITIAL_WINDOW_SIZE, 0)))  # -100: the window is now below zero
c.send(frame(WINDOW_UPDATE, 0, n, struct.pack(">I", 100)))
c.ping()
j.equal("below zero nothing comes", 150, len(s.body))
c.send(settings((INITIAL_WINDOW_SIZE, 1000)))
c.until(lambda: s.ended, 5)
j.check("a larger setting lets it go on", s.ended and len(s.body) == 1000, len(s.body))
c.close()
c = Connection(path)
c.updates = False
n = c.ask([f if f[0] != ":path" else (":path", "/big?size=100000") for f in GOOD])
s = c.stream(n)
c.send(frame(WINDOW_UPDATE, 0, n, struct.pack(">I", 100000)))
c.until(lambda: len(s.body) >= 65535, 5)
c.ping()
j.equal("the connection's window is kept to", 65535, len(s.body))
c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 100000)))
j.check("and opened", c.until(lambda: s.ended, 5) and len(s.body) == 100000, len(s.body))
c.close()

# -- 8: requests
malformed("no :method", GOOD[1:])
malformed("no :scheme", [GOOD[0]] + GOOD[2:])
malformed("no :path", GOOD[:3])
malformed("an empty :path", GOOD[:3] + [(":path", "")])
malformed("no :authority and no host", [GOOD[0], GOOD[1], GOOD[3]])
malformed("a pseudo-header field twice", GOOD + [(":path", "/ok")])
malformed("an unknown pseudo-header field", GOOD + [(":other", "x")])
malformed("a response's pseudo-header field", GOOD + [(":status", "200")])
malformed("a pseudo-header field after others", [GOOD[0], GOOD[1], ("x-a", "b"), GOOD[2], GOOD[3]])
malformed("capitals in a name", GOOD + [("X-Large", "b")])
malformed("a space in a name", GOOD + [("x y", "b")])
malformed("an empty name", GOOD + [("", "b")])
malformed("a line end in a value", GOOD + [("x-a", "b\r\nx-b: c")])
malformed("a NUL in a value", GOOD + [("x-a", "b\0c")])
malformed("a space before a value", GOOD + [("x-a", " b")])
malformed("Connection", GOOD + [("connection", "close")])
malformed("Keep-Alive", GOOD + [("keep-alive", "5")])
malformed("Proxy-Connection", GOOD + [("proxy-connection", "keep-alive")])
malformed("Transfer-Encoding", POST + [("transfer-encoding", "chunked")], b"")
malformed("Upgrade", GOOD + [("upgrade", "websocket")])
malformed("TE: gzip", GOOD + [("te", "gzip")])
malformed("Host that disagrees", GOOD + [("host", "evil.example")])
malformed("two Hosts", GOOD + [("host", backend), ("host", backend)])
malformed("user information", GOOD[:2] + [(":authority", "u:p@" + backend), GOOD[3]])
malformed("another scheme", [GOOD[0], (":scheme", "ftp")] + GOOD[2:])
malformed("a fragment", GOOD[:3] + [(":path", "/ok#x")])
malformed("a path with a space", GOOD[:3] + [(":path", "/o k HTTP/1.1\r\nX: y")])
malformed("an absolute path", GOOD[:3] + [(":path", "http://%s/ok" % backend)])
malformed("a method with a space", [(":method", "GET /victim HTTP/1.1\r\nX:")] + GOOD[1:])
malformed("two Content-Lengths", POST + [("content-length", "5"), ("content-length", "5")], b"")
malformed("Content-Length +5", POST + [("content-length", "+5")], b"")
malformed("an expectation", POST + [("expect", "more")], b"", 417)
malformed("CONNECT with a path", [(":method", "CONNECT"), (":authority", backend), (":path", "/")])
malformed("CONNECT with a scheme", [(":method", "CONNECT"), (":scheme", "http"), (":authority", backend)])
malformed("CONNECT without a port", [(":method", "CONNECT"), (":authority", backend.split(":")[0])])
malformed("extended CONNECT", [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", backend), (":path", "/")])
malformed("a head larger than headBytesMax", GOOD + [("x-a", "a" * 250)] * 60, None, 431)
malformed("65 fields", GOOD + [("x-a", "b")] * 65, None, 431)
for name, length, body in (("too little", "6", b"hello"), ("too much", "4", b"hello"), ("anything", "0", b"x")):
    c = Connection(path)
    n = c.ask(POST + [("content-length", length)], body)
    s = c.answer(n, 5)
    j.check("a body that is %s" % name, s.code == PROTOCOL_ERROR and s.status != 200, (s.status, s.code))
    c.close()
for name, fields, flags in (("without END_STREAM", [("x-a", "b")], END_HEADERS), ("with a pseudo-header field", [(":path", "/")], END_STREAM | END_HEADERS),
                            ("with Content-Length", [("content-length", "5")], END_STREAM | END_HEADERS), ("with capitals", [("X-A", "b")], END_STREAM | END_HEADERS)):
    stream_error("trailers %s" % name, frame(HEADERS, flags, 1, block(fields)), PROTOCOL_ERROR, before=opened)

# What is good is served as it is meant.
c = Connection(path)
n = c.ask(POST + [("content-length", "5"), ("te", "trailers"), ("host", backend)], b"hello")
s = c.answer(n)
j.equal("a good POST", (200, b"hello"), (s.status, s.body))
n = c.ask(POST, b"")
c.send(frame(DATA, PADDED, n, b"\3hel\0\0\0") + frame(DATA, 0, n) + frame(DATA, 0, n, b"lo") + headers([("x-sum", "5")], number=n))
s = c.answer(n)
j.equal("in padded pieces, with trailers", (200, b"hello"), (s.status, s.body))
n = c.ask([(":method", "OPTIONS"), (":scheme", "http"), (":authority", backend), (":path", "*")])
j.equal("OPTIONS *", 200, c.answer(n).status)
n = c.ask([f if f[0] != ":path" else (":path", "/show") for f in GOOD] + [("cookie", "a=1"), ("x-kept", "yes"), ("cookie", "b=2"), ("te", "trailers")])
seen = c.answer(n).body.decode().lower()
j.check("cookies are one field", "\r\ncookie: a=1; b=2\r\n" in seen, seen)
j.check("an ordinary field passes", "\r\nx-kept: yes\r\n" in seen, seen)
j.check("TE does not", "\r\nte:" not in seen, seen)
j.check("Via says how it came", "\r\nvia: 2 hawser\r\n" in seen, seen)
j.equal("one Host", 1, seen.count("\r\nhost: %s\r\n" % backend))
c.close()

heads = [json.loads(line)["head"].split("\r\n")[0] for line in open(ledger) if '"head"' in line]
j.check("the backend never saw a victim", not any("victim" in h for h in heads), [h for h in heads if "victim" in h])
j.finish()
