"""HAProxy. Its TLS session cache is one slot per `server` and thread, so each kubelet is a server of its own.

- The server is chosen by name with `use-server %[req.hdr(host)]`: one lookup in a tree, the cheapest way there is. It
  is therefore asked in origin form (`Host: IP:PORT`), which spares it the longer request line and any rewriting.
- `http-reuse always`, and idle connections are not purged before the idle limit nor for their share of descriptors.
- It verifies chain and node name: `verifyhost` knows DNS names and the common name, which for a kubelet is
  system:node:NAME. (It can not compare an IP SAN.)
- Buffers are the default 16 KiB: one TLS record. W5 also shows it with 32 KiB, which was the best of 16 to 128 KiB.
"""
import os

from peers.peer import OPENSSL_CONF, Peer, find_program, write_file


class HAProxy(Peer):
    name = "haproxy"
    target = "host"

    def missing(self):
        return None if find_program("haproxy") else "no haproxy (apt-get install haproxy)"

    def version(self):
        return self.first_line([find_program("haproxy"), "-v"])

    def write(self, folder, setup, listen):
        bundle = os.path.join(folder, "client.pem")  # HAProxy wants certificate and key in one file
        with open(bundle, "w", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            for part in (setup.client_cert, setup.client_key):
                with open(part) as f:
                    out.write(f.read())
        lines = [
            "global",
            f"    nbthread {setup.workers}",
            f"    maxconn {min(30000, setup.nofile // 2 - 200)}",
            "    tune.bufsize 32768" if setup.big_buffers else "",
            "    tune.pool-low-fd-ratio 98",
            "    tune.pool-high-fd-ratio 99",
            "    ssl-default-server-options ssl-min-ver TLSv1.3",
            "    ssl-server-verify required",
            "defaults",
            "    mode http",
            "    timeout connect 5s",
            "    timeout client 1h",
            "    timeout server 1h",
            "    timeout http-keep-alive 1h",
            "    option http-keep-alive",
            "    http-reuse always",
            "listen kubelets",
            f"    bind unix@{listen}",
            "    use-server %[req.hdr(host)] if TRUE",
            f"    default-server ssl verify required ca-file {setup.ca} crt {bundle} pool-max-conn -1 "
            f"pool-purge-delay {max(1, int(setup.idle_s))}s{'' if setup.resume else ' no-ssl-reuse'}",
        ]
        lines += [f"    server {ip}:{setup.port} {ip}:{setup.port} verifyhost system:node:{name}"
                  for ip, name in setup.endpoints()]
        config = write_file(folder, "haproxy.cfg", "\n".join(lines) + "\n")
        conf = write_file(folder, "openssl.cnf", OPENSSL_CONF)
        return [find_program("haproxy"), "-db", "-f", config], {"OPENSSL_CONF": conf}
