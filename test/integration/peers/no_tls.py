"""What listens where a kubelet should, but does not speak TLS.  no_tls.py ADDRESS PORT KIND"""
import socket
import sys
import threading
import time

from backend import listen

HELLO_CUT = bytes.fromhex("160303007a0200007603030102030405060708")  # a ServerHello that ends in its middle


def garbage(s):
    s.recv(4096)
    s.sendall(b"\x00\xff" * 500)
    time.sleep(0.5)


def truncated(s):
    s.recv(4096)
    s.sendall(HELLO_CUT)
    time.sleep(0.1)


def plainhttp(s):
    s.recv(4096)
    s.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    time.sleep(0.5)


def closing(s):
    s.recv(4096)


def blackhole(s):
    while s.recv(4096):
        pass


def one(s, behaviour):
    try:
        behaviour(s)
    except OSError:
        pass
    finally:
        s.close()


def main():
    behaviour = {"garbage": garbage, "truncated": truncated, "plainhttp": plainhttp, "closing": closing,
                 "blackhole": blackhole}[sys.argv[3]]
    s = listen(sys.argv[1], int(sys.argv[2]))
    while True:
        c, _ = s.accept()
        threading.Thread(target=one, args=(c, behaviour), daemon=True).start()


if __name__ == "__main__":
    main()
