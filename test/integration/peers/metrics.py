"""A broker's metrics, over its admin port."""
import http.client
import time


def metric(port, name):
    c = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
    c.request("GET", "/metrics")
    for line in c.getresponse().read().decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split(" ")[1])
    return None


def until(call, seconds=10):
    end = time.monotonic() + seconds
    while not call():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
