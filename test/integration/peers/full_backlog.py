"""A destination that does not answer a dial: nobody accepts, and its backlog is full.  full_backlog.py ADDRESS PORT"""
import socket
import sys
import time

where = (sys.argv[1], int(sys.argv[2]))
door = socket.socket()
door.bind(where)
door.listen(0)
held = [socket.socket() for _ in range(4)]
for s in held:
    s.setblocking(False)
    s.connect_ex(where)
time.sleep(0.5)
print("ready", flush=True)
time.sleep(3600)
