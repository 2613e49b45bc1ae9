"""A name server on 127.0.0.1:53.  dns.py NAME=IPV4...: every other name does not exist."""
import socket
import struct
import sys

names = dict(a.split("=") for a in sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    query, peer = s.recvfrom(512)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    question = query[12:at + 5]
    kind = struct.unpack(">H", question[-4:-2])[0]
    address = names.get(".".join(labels))
    answer = b""
    if address and kind == 1:
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(address)
    flags = 0x8180 | (0 if address else 3)
    s.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0) + question + answer, peer)
