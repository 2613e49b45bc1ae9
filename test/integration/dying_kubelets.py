"""Deaths, nonsense and silence of a backend that was reached.  dying_kubelets.py SOCKET BASE LEDGER LOG ADMIN"""
import http.client
import json
import sys
import time

from client import Judge, say

path, base, ledger, log, admin = sys.argv[1:6]
authority = base.split("//")[1]
tls = base.startswith("https")
j = Judge()


def metric(name):
    c = http.client.HTTPConnection("127.0.0.1", int(admin), timeout=10)
    c.request("GET", "/metrics")
    for line in c.getresponse().read().decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split(" ")[1])
    return None


def ask(what, method="GET", body=b"", extra="", timeout=15):
    fields = "Host: %s\r\nConnection: close\r\n%s" % (authority, extra)
    if method in ("POST", "PUT"):
        fields += "Content-Length: %d\r\n" % len(body)
    return say(path, ("%s %s%s HTTP/1.1\r\n%s\r\n" % (method, base, what, fields)).encode() + body, timeout=timeout)


def access(what):
    """The last access line of that path."""
    time.sleep(0.05)
    lines = [l for l in open(log, errors="replace") if "event=access" in l and "path=%s " % what.split("?")[0] in l
             and "host=%s " % authority.split(":")[0] in l]
    return lines[-1] if lines else ""


def arrivals(what):
    return sum(1 for l in open(ledger) if "head" in l and json.loads(l).get("head", "").split(" ")[1:2] == [what])


def expect(what, status, end, text="", method="GET", body=b""):
    a = ask(what, method, body)
    j.check("%s: status" % what, a.status == status, (a.line, a.body[:200]))
    j.check("%s: the text" % what, text.encode() in a.body, a.body[:300])
    j.check("%s: the connection ends" % what, a.closed)
    line = access(what)
    j.check("%s: end=%s in the access log" % (what, end), " end=%s" % end in line, line)
    j.check("%s: status in the access log" % what, " status=%d " % status in line, line)


def cut(what, end, got=b"part"):
    """The head is out, or was on its way when the rest proved bad: only a reset or a missing end may tell the client."""
    a = ask(what)
    j.check("%s: the head passes, or nothing" % what, a.status == 200 or not a.data, a.line)
    j.check("%s: what came" % what, got in a.body or a.reset or not a.data, a.body[:200])
    j.check("%s: never looks complete" % what, a.reset or (a.closed and b"0\r\n\r\n" not in a.body), a.data[-60:])
    line = access(what)
    j.check("%s: end=%s in the access log" % (what, end), " end=%s" % end in line, line)


# -- dies
expect("/mid-head", 502, "truncated", "before its message was complete")
# A TLS peer that resets is told from one that ends; where bytes were still unread the kernel says the same.
expect("/mid-head-reset", 502, "peer_reset", "reset by the destination")
cut("/mid-body", "truncated")
cut("/mid-chunk", "truncated")
cut("/between-chunks", "truncated")
cut("/mid-body-reset", "peer_reset")

# -- never answers, or too late
begun = time.monotonic()
expect("/never", 504, "deadline", "in time")
j.check("/never: at its deadline", 1.2 < time.monotonic() - begun < 8, time.monotonic() - begun)

# -- nonsense
for what, text in (("cl-te", "both Content-Length and Transfer-Encoding"), ("two-cl", "more than one Content-Length"),
                   ("bad-cl", "not one decimal number"), ("bare-lf", "line feed without"),
                   ("fold", "folded"), ("space-colon", "between a field's name and its colon"),
                   ("nul", "control character"), ("gzip-te", "other than chunked"), ("bad-version", "does not start with HTTP/1"),
                   ("bad-status", "status code"), ("garbage", ""), ("http09", ""), ("101", "101 without"),
                   ("many-fields", "more fields than the limit")):
    expect("/raw/" + what, 502, "bad_response", text)
a = ask("/raw/huge-head")
j.check("/raw/huge-head: status", a.status == 502, (a.line, a.body[:100]))
j.check("/raw/huge-head: end", " end=bad_response" in access("/raw/huge-head"), access("/raw/huge-head"))
cut("/raw/bad-chunk", "bad_response", b"")
cut("/raw/bad-trailer", "bad_response", b"ab")

# More than the response announced: the client gets its two bytes, and nobody gets the poison.
a = ask("/raw/too-much")
j.equal("/raw/too-much: its own bytes", b"ab", a.body)
for _ in range(5):
    a = ask("/show?after")
    j.check("no poisoned connection is lent", a.status == 200 and b"poison" not in a.body and b"/show?after" in a.body, a.body)
a = ask("/raw/body-to-204")
j.check("/raw/body-to-204: no body", a.status == 204 and a.body == b"", a.data)
a = ask("/show?after")
j.check("and no poison of it", a.status == 200 and b"/show?after" in a.body, a.body)
a = ask("/raw/endless-1xx")
j.check("2,000 times 102: bounded or passed", a.status in (102, 502), a.line)


# -- stale connections
def warm():
    """Exactly one idle connection, freshly used."""
    a = ask("/ok")
    j.equal("warming", 200, a.status)


def stale(method, body=b"", expected=200):
    """second-time-gone: the first request of each connection is answered, the second finds the end instead of a word."""
    what = "/second-time-gone?%s%d" % (method, time.monotonic_ns())
    for _ in range(2):  # whatever was pooled before is used up, and what this pools has served once
        warm()
    retries = metric("hawser_retries_total")
    a = ask(what, method, body)
    return what, a, metric("hawser_retries_total") - retries


what, a, retries = stale("GET")
j.equal("GET on a stale connection is answered", 200, a.status)
j.equal("after one retry", 1, retries)
j.equal("which the backend saw twice", 2, arrivals(what))
what, a, retries = stale("PUT", b"body")
j.equal("PUT with a body on a stale connection is not repeated", (502, 0), (a.status, retries))
j.equal("the backend saw it once", 1, arrivals(what))
what, a, retries = stale("POST", b"body")
j.equal("POST on a stale connection is not repeated", (502, 0), (a.status, retries))
j.check("and the text says so", b"not safe to repeat" in a.body or b"closed by the destination" in a.body, a.body)
j.equal("the backend saw it once", 1, arrivals(what))
j.check("end=stale_connection in the access log", " end=stale_connection" in access("/second-time-gone"), access("/second-time-gone"))
what, a, retries = stale("POST", b"")
j.equal("POST without a body: once", (502, 1), (a.status, arrivals(what)))

# A new connection that ends without a word is no stale one: no retry, also for GET.
a = ask("/raw/garbage")  # leaves no idle connection of that exchange
before = metric("hawser_retries_total")
n = arrivals("/silent-close")
for _ in range(2):
    a = ask("/silent-close")
    j.check("/silent-close: 502", a.status == 502, (a.line, a.body[:200]))
j.check("/silent-close: at most one retry each", metric("hawser_retries_total") - before <= 2)
j.check("/silent-close: arrivals match retries", arrivals("/silent-close") - n == 2 + metric("hawser_retries_total") - before,
        (arrivals("/silent-close") - n, metric("hawser_retries_total") - before))
a = ask("/silent-reset", "POST", b"x")
j.check("/silent-reset POST: 502", a.status == 502, (a.line, a.body[:200]))
j.equal("/silent-reset POST: once", 1, arrivals("/silent-reset"))

# Closed while idle: noticed before anybody is lent it, so neither a retry nor an error.
for method in ("GET", "POST") * 3:
    a = ask("/idle-close")
    j.equal("/idle-close", 200, a.status)
    time.sleep(0.3)
    before = metric("hawser_retries_total")
    a = ask("/echo", method, b"body")
    j.equal("%s after an idle connection ended" % method, (200, 0), (a.status, metric("hawser_retries_total") - before))
j.finish()
