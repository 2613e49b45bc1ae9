"""HTTP/2 by the frame: a client that can say what no library would, and reads what comes back.

Field blocks are sent as literals, so each byte is decided here. The server is told to use no table, so that a status can be
read without one."""
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, \
    REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
# Of the Huffman code only the digits: a status has no other characters (RFC 7541, appendix B).
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6",
          "011101": "7", "011110": "8", "011111": "9"}


def integer(n, bits, first=0):
    most = (1 << bits) - 1
    if n < most:
        return bytes([first | n])
    out, n = bytes([first | most]), n - most
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def string(s):
    s = s if isinstance(s, bytes) else s.encode("latin-1")
    return integer(len(s), 7) + s


def literal(name, value, indexed=False):
    return (b"\x40" if indexed else b"\x00") + string(name) + string(value)


def block(fields):
    return b"".join(literal(n, v) for n, v in fields)


def digits(data):
    bits, text, at = "".join(format(b, "08b") for b in data), "", ""
    for bit in bits:
        at += bit
        if at in DIGITS:
            text, at = text + DIGITS[at], ""
    return text


def status_of(payload):
    while payload and payload[0] & 0xe0 == 0x20:  # a change of the table's size
        payload = payload[1:]
    if not payload:
        return None
    first = payload[0]
    if first & 0x80:
        return STATIC_STATUS.get(first & 0x7f)
    if first & 0x3f if first & 0x40 else first & 0x0f:  # the name is the static table's :status
        length = payload[1] & 0x7f
        value = payload[2:2 + length]
        text = digits(value) if payload[1] & 0x80 else value.decode("latin-1")
        return int(text[:3]) if text[:3].isdigit() else None
    return None


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in pairs))


class Stream:
    def __init__(self):
        self.status, self.body, self.ended, self.code = None, b"", False, None


class Connection:
    def __init__(self, path, greet=True, table=0, timeout=15):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.timeout = timeout
        self.sock.connect(path)
        self.buffer, self.streams, self.frames, self.next = b"", {}, [], 1
        self.goaway, self.closed, self.settings, self.pings = None, False, {}, []
        self.keep, self.updates = True, True
        if greet:
            self.send(PREFACE + settings((HEADER_TABLE_SIZE, table)))
            self.until(lambda: self.settings)
            self.send(frame(SETTINGS, ACK))

    def send(self, data):
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def on_frame(self, kind, flags, number, payload):
        if self.keep:
            self.frames.append((kind, flags, number, payload))
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                k, v = struct.unpack(">HI", payload[at:at + 6])
                self.settings[k] = v
            self.settings[0] = True
        elif kind == PING and flags & ACK:
            self.pings.append(payload)
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8]) + (payload[8:],)
        elif kind == RST_STREAM:
            self.stream(number).code = struct.unpack(">I", payload)[0]
        elif kind == HEADERS:
            s = self.stream(number)
            found = status_of(payload)
            s.status = found or s.status
            s.ended = s.ended or bool(flags & END_STREAM)
        elif kind == DATA:
            s = self.stream(number)
            s.body += payload if self.keep else b""
            s.ended = s.ended or bool(flags & END_STREAM)
            if payload and self.updates:
                update = struct.pack(">I", len(payload))
                self.send(frame(WINDOW_UPDATE, 0, 0, update) + (b"" if s.ended else frame(WINDOW_UPDATE, 0, number, update)))

    def read(self, timeout):
        """Reads once; False when nothing came in time or the end is here."""
        if self.closed:
            return False
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(1 << 18)
        except socket.timeout:
            return False
        except (ConnectionResetError, BrokenPipeError):
            self.closed = True
            return False
        if not data:
            self.closed = True
            return False
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                break
            kind, flags = self.buffer[3], self.buffer[4]
            number = int.from_bytes(self.buffer[5:9], "big") & 0x7fffffff
            payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
            self.on_frame(kind, flags, number, payload)
        return True

    def until(self, done, seconds=15):
        """Reads until `done` or the end of the connection; was it done?"""
        limit = time.monotonic() + seconds
        while not done() and not self.closed and time.monotonic() < limit:
            self.read(max(0.01, min(1, limit - time.monotonic())))
        return bool(done())

    def ask(self, fields, body=None, number=None):
        """A request; body None: END_STREAM with the head."""
        number = number or self.next
        self.next = max(self.next, number) + 2
        self.stream(number)
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if body is None else 0), number, block(fields)))
        if body:
            self.send(frame(DATA, END_STREAM, number, body))
        return number

    def answer(self, number, seconds=15):
        s = self.stream(number)
        self.until(lambda: s.ended or s.code is not None or self.goaway, seconds)
        return s

    def ping(self, payload=b"are here"):
        """Is the connection alive? What was sent before has been judged when the answer comes."""
        n = len(self.pings)
        self.send(frame(PING, 0, 0, payload))
        return self.until(lambda: len(self.pings) > n or self.goaway) and len(self.pings) > n

    def close(self):
        self.sock.close()
