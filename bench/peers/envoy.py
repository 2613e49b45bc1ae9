"""Envoy, from PyPI.

Requests: Its TLS session cache belongs to the TLS context of a cluster and is keyed by SNI at best
(`scope_upstream_tls_session_cache_by_sni`); kubelets dialled by address have no SNI. With one cluster for all
kubelets (ORIGINAL_DST) it offers any kubelet's session to any other and resumes one time in N. So each kubelet is a
cluster of its own.

- The cluster is chosen with `cluster_header: ":authority"`: a hash lookup; asked in origin form like the others.
- Circuit breakers lifted, idle limit as for everyone, request id, dynamic stats, stats recording and access log off.
- It verifies chain and IP SAN. BoringSSL picks AES-128-GCM by itself on processors with AES.

Tunnels: CONNECT is ended by the route (`connect_config`) and carried on as bare TCP. A cluster per target here too,
chosen by `:authority`; one ORIGINAL_DST cluster that takes the address from the same header cost as much. Circuit
breakers lifted.
"""
import json

from peers.peer import Peer, write_file

TYPE = "type.googleapis.com/envoy."


class Envoy(Peer):
    name = "envoy"
    target = "host"
    transports = ("unix", "tcp")

    def missing(self):
        return self.tools.envoy_missing

    def version(self):
        if self.missing():
            return "missing"
        return "envoy " + self.first_line([self.tools.envoy, "--version"]).partition("version: ")[2]

    def write(self, folder, setup, listen):
        return self._start(folder, setup, {
            "listeners": [self._listener({"pipe": {"path": listen, "mode": 0o600}}, self._manager())],
            "clusters": [self._cluster(setup, ip) for ip, _ in setup.endpoints()]})

    def write_tunnels(self, folder, setup, listen):
        if setup.transport == "tcp":
            ip, port = listen.removeprefix("tcp:").split(":")
            address = {"socket_address": {"address": ip, "port_value": int(port)}}
        else:
            address = {"pipe": {"path": listen.removeprefix("unix:"), "mode": 0o600}}
        manager = self._manager()
        manager["upgrade_configs"] = [{"upgrade_type": "CONNECT"}]
        manager["route_config"]["virtual_hosts"][0]["routes"] = [{
            "match": {"connect_matcher": {}},
            "route": {"cluster_header": ":authority", "timeout": "0s",
                      "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}}]
        return self._start(folder, setup, {
            "listeners": [self._listener(address, manager)],
            "clusters": [self._bare_cluster(setup, ip) for ip, _ in setup.endpoints()]})

    def _start(self, folder, setup, resources):
        config = {
            "static_resources": resources,
            "stats_config": {"stats_matcher": {"reject_all": True}},
            "stats_flush_interval": "299s",
            "layered_runtime": {"layers": [{"name": "bench", "static_layer": {
                "envoy.reloadable_features.scope_upstream_tls_session_cache_by_sni": True}}]},
        }
        path = write_file(folder, "envoy.json", json.dumps(config, indent=1))
        return [self.tools.envoy, "-c", path, "--concurrency", str(setup.workers), "--disable-hot-restart",
                "-l", "error"], {}

    @staticmethod
    def _manager():
        return {
            "@type": TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench",
            "codec_type": "HTTP1",
            "generate_request_id": False,
            "skip_xff_append": True,
            "server_header_transformation": "PASS_THROUGH",
            "stream_idle_timeout": "0s",
            "common_http_protocol_options": {"idle_timeout": "3600s"},
            "route_config": {"virtual_hosts": [{
                "name": "kubelets", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"},
                            "route": {"cluster_header": ":authority", "timeout": "0s"}}]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": TYPE + "extensions.filters.http.router.v3.Router",
                "dynamic_stats": False, "suppress_envoy_headers": True}}],
        }

    @staticmethod
    def _listener(address, manager):
        return {"name": "bench", "address": address,
                "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
                                                "typed_config": manager}]}]}

    @staticmethod
    def _bare_cluster(setup, ip):
        limits = {key: 1000000000 for key in
                  ("max_connections", "max_pending_requests", "max_requests", "max_retries", "max_connection_pools")}
        return {
            "name": f"{ip}:{setup.port}", "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": f"{ip}:{setup.port}", "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"socket_address": {"address": ip, "port_value": setup.port}}}}]}]},
            "circuit_breakers": {"thresholds": [limits]},
        }

    def _cluster(self, setup, ip):
        tls = {
            "@type": TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "max_session_keys": setup.per_endpoint if setup.resume else 0,
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3",
                               "ecdh_curves": ["P-256"]},
                "tls_certificates": [{"certificate_chain": {"filename": setup.client_cert},
                                      "private_key": {"filename": setup.client_key}}],
                "validation_context": {
                    "trusted_ca": {"filename": setup.ca},
                    "match_typed_subject_alt_names": [{"san_type": "IP_ADDRESS", "matcher": {"exact": ip}}]},
            },
        }
        return {
            **self._bare_cluster(setup, ip),
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{setup.idle_s:g}s"},
                "explicit_http_config": {"http_protocol_options": {}}}},
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
        }
