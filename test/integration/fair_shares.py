"""Two callers under limits of 12 requests and 12 tunnels.  fair_shares.py GREEDY-SOCKET LATE-SOCKET BACKEND ADMIN"""
import http.client
import sys
import time

from client import Judge, Reader, connect

greedy, late, backend, admin = sys.argv[1:5]
j = Judge()


def metric(name):
    c = http.client.HTTPConnection("127.0.0.1", int(admin), timeout=10)
    c.request("GET", "/metrics")
    for line in c.getresponse().read().decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split(" ")[1])
    return None


def until(name, value, seconds=10):
    end = time.monotonic() + seconds
    while metric(name) != value:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def ask(path, head):
    """The status, and the connection that holds its place."""
    s = connect(path)
    s.sendall(head)
    line = Reader(s).until(b"\r\n\r\n").decode("latin-1").split("\r\n")[0]
    return int(line.split(" ")[1]), s


def many(path, head, count):
    answers = [ask(path, head) for _ in range(count)]
    for status, s in answers:
        if status != 200:
            s.close()
    return [status for status, _ in answers], [s for status, s in answers if status == 200]


def close(holders):
    for s in holders:
        s.close()


request = ("GET http://%s/stream?lines=6000 HTTP/1.1\r\nHost: %s\r\n\r\n" % (backend, backend)).encode()
tunnel = ("CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % backend).encode()
for what, head, gauge in (("requests", request, "hawser_requests_in_flight"), ("tunnels", tunnel, "hawser_tunnels_open")):
    one, first = many(late, head, 1)
    j.equal("%s: below three quarters" % what, [200], one)
    begun = time.monotonic()
    ran_away, held = many(greedy, head, 20)
    j.equal("%s: one that runs away gets three quarters and no more" % what, [200] * 8 + [503] * 12, ran_away)
    j.check("%s: refusals come at once" % what, time.monotonic() - begun < 5, time.monotonic() - begun)
    rest, more = many(late, head, 4)
    j.equal("%s: the other gets the last quarter" % what, [200, 200, 200, 503], rest)
    held.pop().close()
    j.check("%s: a place becomes free" % what, until(gauge, 11), metric(gauge))
    j.equal("%s: not for who has more than half" % what, [503], many(greedy, head, 1)[0])
    last, again = many(late, head, 1)
    j.equal("%s: but for the other" % what, [200], last)
    close(first + held + more + again)
    j.check("%s: all places are free" % what, until(gauge, 0), metric(gauge))
    alone, all_of_it = many(greedy, head, 13)
    j.equal("%s: alone, one may have all" % what, [200] * 12 + [503], alone)
    close(all_of_it)
    j.check("%s: nothing is left" % what, until(gauge, 0), metric(gauge))
j.finish()
