"""Destinations of tunnels: threads behind listening sockets, each connection handled by a function of its own."""
import hashlib
import socket
import struct
import threading


def words(seed, length):
    """Bytes that are like no others: a part that is lost, repeated, moved or another's is noticed."""
    out = bytearray()
    for n in range((length + 31) // 32):
        out += hashlib.sha256(b"%s:%d" % (seed.encode(), n)).digest()
    return bytes(out[:length])


def reset(s):
    """Ends a TCP connection by a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def read_to_end(s):
    """(bytes, how it ended): "end", "reset" or "silence"."""
    data = bytearray()
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return bytes(data), "end"
            data += piece
    except (ConnectionResetError, BrokenPipeError):
        return bytes(data), "reset"
    except TimeoutError:
        return bytes(data), "silence"


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise EOFError("%d bytes of %d" % (len(data), n))
        data += piece
    return data


def read_head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(1)
        if not piece:
            raise EOFError("in a head: %r" % data)
        data += piece
    return data


class Door:
    """Listens on a port of its own; what the handler returns, or how it failed, is in results()."""

    def __init__(self, address, handler, port=0):
        self.listener = socket.create_server((address, port), backlog=16)
        self.port = self.listener.getsockname()[1]
        self.name = "%s:%d" % (address, self.port)
        self.handler, self.found, self.accepted = handler, [], 0
        self.done = threading.Condition()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.settimeout(30)
        try:
            result = self.handler(s)
        except Exception as e:
            result = e
        s.close()
        with self.done:
            self.found.append(result)
            self.done.notify_all()

    def result(self, n=0, timeout=30):
        """Of the n-th connection that is over; None when that takes too long."""
        with self.done:
            self.done.wait_for(lambda: len(self.found) > n, timeout)
            return self.found[n] if len(self.found) > n else None

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(s):
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            s.sendall(piece)
    except ConnectionResetError:
        return "reset"
    s.shutdown(socket.SHUT_WR)
    s.close()
    return "end"
