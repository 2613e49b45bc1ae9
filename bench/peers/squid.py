"""Squid, from Debian: the forward proxy that has always spoken CONNECT. TCP listeners only.

- One process (-N): what `workers 1` means without the kid processes around it. Started by root it becomes `proxy`, who
  may not write among our results.
- No cache, no access log, no DNS (destinations are addresses), no pinger, no client statistics, no Via and no
  X-Forwarded-For: nothing is left but accept, one access rule, dial and copying.
- The one access rule is what Hawser's route says: these addresses, this port.
"""
import os

from peers.peer import Peer, find_program, write_file


class Squid(Peer):
    name = "squid"
    requests = False
    transports = ("tcp",)

    def missing(self):
        return None if find_program("squid") else "no squid (apt-get install squid)"

    def version(self):
        return self.first_line([find_program("squid"), "-v"])

    def write_tunnels(self, folder, setup, listen):
        lines = [
            f"http_port {listen.removeprefix('tcp:')}",
            "acl targets dst 127.64.0.0/10",
            f"acl target_port port {setup.port}",
            "acl tunnels method CONNECT",
            "http_access allow tunnels targets target_port",
            "http_access deny all",
            "cache deny all",
            "cache_mem 8 MB",
            "access_log none",
            "cache_store_log none",
            "cache_log /dev/null",
            "pid_filename none",
            "coredump_dir /",
            f"max_filedescriptors {setup.nofile}",
            "client_db off",
            "via off",
            "forwarded_for delete",
            "pinger_enable off",
            "digest_generation off",
            "icp_port 0",
            "dns_nameservers 127.0.0.1",
            "read_timeout 1 day",
            "client_lifetime 1 day",
            "client_idle_pconn_timeout 1 day",
            "shutdown_lifetime 0 seconds",
        ]
        config = write_file(folder, "squid.conf", "\n".join(lines) + "\n")
        # Its shared memory is named after the service; -d sends errors to stderr.
        return [find_program("squid"), "-N", "-n", f"hawserbench{os.getpid()}", "-d", "1", "-f", config], {}
