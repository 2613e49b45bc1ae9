"""nginx. It keeps one TLS session per peer of an upstream, and idle connections per upstream and worker.

- One `upstream` and one `server` per kubelet: the server is found by a hash of its name and points straight at its
  upstream. (`proxy_pass https://$variable` would search all upstreams one by one for each request.)
- So it is asked in origin form with `Host: IP:PORT`, like HAProxy.
- Keep-alive without the default limits of 1,000 requests and 1 hour; idle limit as for everyone.
- It verifies chain and node name: `proxy_ssl_name` is compared with the DNS names. (It can not compare an IP SAN, and
  cuts the name at the first colon, so the common name of a kubelet is out of its reach.)
- access_log off; request and response bodies are not spooled to disk.
"""
import os

from peers.peer import OPENSSL_CONF, Peer, find_program, write_file


class Nginx(Peer):
    name = "nginx"
    target = "host"

    def missing(self):
        return None if find_program("nginx") else "no nginx (apt-get install nginx)"

    def version(self):
        return self.first_line([find_program("nginx"), "-v"])

    def write(self, folder, setup, listen):
        hash_size = 1 << max(10, (setup.count * 2 - 1).bit_length())
        lines = [
            "daemon off;",
            "user root;" if os.geteuid() == 0 else "",
            f"worker_processes {setup.workers};",
            f"worker_rlimit_nofile {min(65536, setup.nofile)};",
            f"pid {folder}/nginx.pid;",
            "error_log stderr error;",
            f"events {{ worker_connections {min(32768, setup.nofile)}; }}",
            "http {",
            "    access_log off;",
            f"    server_names_hash_max_size {hash_size};",
            "    server_names_hash_bucket_size 128;",
            *[f"    {kind}_temp_path {folder}/{kind};" for kind in
              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")],
            "    keepalive_timeout 3600s;",
            "    keepalive_requests 1000000000;",
            "    keepalive_time 24h;",
            "    client_max_body_size 0;",
            "    proxy_http_version 1.1;",
            '    proxy_set_header Connection "";',
            "    proxy_set_header Host $http_host;",
            "    proxy_request_buffering off;",
            "    proxy_max_temp_file_size 0;",
            "    proxy_buffer_size 16k;",
            "    proxy_buffers 8 16k;",
            "    proxy_read_timeout 1h;",
            "    proxy_ssl_protocols TLSv1.3;",
            "    proxy_ssl_verify on;",
            "    proxy_ssl_verify_depth 3;",
            f"    proxy_ssl_session_reuse {'on' if setup.resume else 'off'};",
            f"    proxy_ssl_trusted_certificate {setup.ca};",
            f"    proxy_ssl_certificate {setup.client_cert};",
            f"    proxy_ssl_certificate_key {setup.client_key};",
        ]
        for i, (ip, name) in enumerate(setup.endpoints()):
            lines += [
                f"    upstream k{i} {{ server {ip}:{setup.port} max_fails=0; keepalive {setup.per_endpoint}; "
                f"keepalive_timeout {max(1, int(setup.idle_s))}s; keepalive_requests 1000000000; keepalive_time 24h; }}",
                f"    server {{ listen unix:{listen}; server_name {ip}; "
                f'location / {{ proxy_pass https://k{i}; proxy_ssl_name {name}; }} }}',
            ]
        config = write_file(folder, "nginx.conf", "\n".join(lines + ["}"]) + "\n")
        conf = write_file(folder, "openssl.cnf", OPENSSL_CONF)
        return [find_program("nginx"), "-p", folder, "-c", config], {"OPENSSL_CONF": conf}
