"""Answers as fast as Python can, on kept connections; ends one of 500 so that dials stay in the picture.
    quick_backend.py ADDRESS PORT [CERT KEY CLIENT_CA]"""
import asyncio
import ssl
import sys

SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(b"a\r\n0123456789\r\n" for _ in range(10))
           + b"0\r\nX-T: 1\r\n\r\n")


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer, self.served = transport, b"", 0

    def data_received(self, data):
        self.buffer += data
        out = []
        while b"\r\n\r\n" in self.buffer:
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            length = 0
            at = head.find(b"Content-Length: ")
            if at >= 0:
                length = int(head[at + 16:].split(b"\r\n")[0])
            if len(rest) < length:
                break
            self.buffer = rest[length:]
            self.served += 1
            out.append(CHUNKED if b"/chunked" in head else SMALL)
        if self.served >= 500 and out:
            out[-1] = out[-1].replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        self.transport.write(b"".join(out))
        if self.served >= 500:
            self.transport.close()


async def main():
    context = None
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(sys.argv[5])
    server = await asyncio.get_running_loop().create_server(Server, sys.argv[1], int(sys.argv[2]), ssl=context, backlog=512)
    await server.serve_forever()


asyncio.run(main())
