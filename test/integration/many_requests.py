"""Eight clients that pipeline, over and over.  many_requests.py SOCKET PLAIN TLS PID COUNT SECONDS SANITIZED"""
import os
import sys
import threading
import time

from client import Judge, Reader, connect

path, plain, tls, pid, count, seconds, sanitized = sys.argv[1:8]
count, seconds, sanitized = int(count), float(seconds), sanitized == "yes"
j = Judge()
CLIENTS, BATCH = 8, 16


def requests_of(base):
    authority = base.split("//")[1]
    kinds = [("GET", "/small", b""), ("POST", "/small", b"p" * 1000), ("GET", "/chunked", b""), ("PUT", "/chunked", b"q" * 10)]
    out = b""
    for i in range(BATCH):
        method, what, body = kinds[i % 4]
        length = "Content-Length: %d\r\n" % len(body) if body else ""
        out += ("%s %s%s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, base, what, authority, length)).encode() + body
    return out


BATCHES = (requests_of(plain), requests_of(tls))


def memory():
    for line in open("/proc/%s/status" % pid):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])


def descriptors():
    return len(os.listdir("/proc/%s/fd" % pid))


def run(total, deadline):
    done, wrong, lock = [0], [0], threading.Lock()

    def one(n):
        mine = 0
        while mine < total // CLIENTS and time.monotonic() < deadline:
            s = connect(path, 30)
            r = Reader(s)
            for i in range(20):  # then a new connection
                s.sendall(BATCHES[(n + i) % 2])
                for _ in range(BATCH):
                    status, _, body, _ = r.response()
                    if status != 200 or len(body) != 100:
                        wrong[0] += 1
                mine += BATCH
                if mine >= total // CLIENTS or time.monotonic() >= deadline:
                    break
            s.close()
        with lock:
            done[0] += mine

    threads = [threading.Thread(target=one, args=(n,)) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return done[0], wrong[0]


run(4000, time.monotonic() + seconds / 4)
time.sleep(1)
before, fds = memory(), descriptors()
begun = time.monotonic()
done, wrong = run(count, begun + seconds)
took = time.monotonic() - begun
time.sleep(1)
after = memory()
print("%d requests in %.1f s%s; memory %d KiB after warming up, %d KiB at the end" %
      (done, took, " (sanitized build)" if sanitized else "", before, after), flush=True)
j.equal("all answers are right", 0, wrong)
j.check("as many requests as asked, or a few thousand where time was over first", done >= count * 0.99 or (sanitized and done >= 5000), done)
# A sanitizer keeps what was freed for a while: 8 MiB here, and its shadow.
j.check("memory stays where it was", after - before < (24 if sanitized else 4) * 1024, after - before)
j.check("descriptors are home", descriptors() <= fds + 2, (fds, descriptors()))
j.finish()
