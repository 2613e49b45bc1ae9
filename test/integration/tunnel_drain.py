"""A tunnel that is open while the broker drains: how both its ends hear of it.  tunnel_drain.py PORT ADDRESS"""
import socket
import sys
import time

from far_end import Door, read_exactly, read_to_end

door = Door(sys.argv[2], lambda s: read_to_end(s)[1])
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
s.sendall(b"CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % door.name.encode())
read_exactly(s, 39)
print("open", flush=True)
begun = time.monotonic()
print(read_to_end(s)[1], door.result(), "late" if time.monotonic() - begun > 1 else "early", flush=True)
