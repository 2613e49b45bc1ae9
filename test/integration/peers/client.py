"""Raw bytes to a broker's Unix socket, and what came back until it closed or went quiet."""
import socket


def connect(path, timeout=15):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(path)
    return s


class Answer:
    def __init__(self, data, closed, reset=False):
        self.data, self.closed, self.reset = data, closed, reset
        head = data.split(b"\r\n\r\n", 1)
        self.line = head[0].split(b"\r\n")[0].decode("latin-1")
        self.status = int(self.line.split(" ")[1]) if self.line.startswith("HTTP/1.") else 0
        self.head = head[0].decode("latin-1")
        self.body = head[1] if len(head) > 1 else b""


def read_all(s, timeout=15):
    """Everything until the end; `closed` is False when the time was over first."""
    s.settimeout(timeout)
    data = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return Answer(data, True)
            data += piece
    except socket.timeout:
        return Answer(data, False)
    except (ConnectionResetError, BrokenPipeError):
        return Answer(data, True, True)


def say(path, data, half_close=False, timeout=15):
    s = connect(path, timeout)
    try:
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    with s:
        return read_all(s, timeout)


class Reader:
    """Takes one response after another from a connection."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
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

    def response(self, head_only=False):
        """(status, head text, body, trailers text)"""
        head = self.until(b"\r\n\r\n").decode("latin-1")
        status = int(head.split(" ")[1])
        lower = head.lower()
        if status < 200 or head_only or status in (204, 304):
            return status, head, b"", ""
        if "transfer-encoding: chunked" in lower:
            body, trailers = b"", ""
            while True:
                size = int(self.until(b"\r\n"), 16)
                if size == 0:
                    break
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            while True:
                line = self.until(b"\r\n").decode("latin-1")
                if line == "\r\n":
                    return status, head, body, trailers
                trailers += line
        if "content-length:" in lower:
            n = int(lower.split("content-length:")[1].split("\r\n")[0])
            return status, head, self.exactly(n), ""
        body = self.buffer
        try:
            while True:
                self.more()
        except EOFError:
            return status, head, self.buffer, ""


class Judge:
    """Counts what held and what did not; the exit status of the script."""

    def __init__(self):
        self.checks = self.failed = 0

    def check(self, sentence, good, found=None):
        self.checks += 1
        if not good:
            self.failed += 1
            print("FAIL: %s%s" % (sentence, "" if found is None else ": found %r" % (found,)), flush=True)

    def equal(self, sentence, expected, found):
        self.check("%s: expected %r" % (sentence, expected), expected == found, found)

    def finish(self):
        print("%d checks, %d failed" % (self.checks, self.failed))
        raise SystemExit(1 if self.failed else 0)
