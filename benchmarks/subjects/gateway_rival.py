"""Gateways that are programs: ``gateway_rival HOST:PORT ROUTES nginx|haproxy|envoy|go-gateway``.

Each is one process, and serves with one thread; Go's has as many as it likes on one core.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path


def _nginx(address: str, routes: int, folder: Path) -> list[str]:
    locations = "".join(
        f"location /r{number:05}/ {{ proxy_pass http://node; }}\n" for number in range(routes)
    )
    text = f"""
daemon off; master_process off; worker_processes 1; error_log stderr error;
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream node {{ server {os.environ["BENCH_BACKEND"]}; keepalive 64;
    keepalive_requests 1000000000; }}
  server {{ listen {address}; {locations} }}
}}
"""
    config = folder / "nginx.conf"
    config.write_text(text, encoding="utf-8")
    program = Path(os.environ["BENCH_NGINX"]) / "usr/sbin/nginx"
    return [str(program), "-p", str(folder), "-e", "stderr", "-c", str(config)]


def _haproxy(address: str, routes: int, folder: Path) -> list[str]:
    known = folder / "routes"
    known.write_text("".join(f"/r{n:05}/ node\n" for n in range(routes)), encoding="utf-8")
    text = f"""
global
  nbthread 1
defaults
  mode http
  option forwardfor
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend all
  bind {address}
  use_backend %[path,map_beg({known})]
backend node
  server one {os.environ["BENCH_BACKEND"]}
"""
    config = folder / "haproxy.cfg"
    config.write_text(text, encoding="utf-8")
    root = Path(os.environ["BENCH_HAPROXY"])
    libraries = [str(each) for each in root.glob("usr/lib/*") if each.is_dir()]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    return [str(root / "usr/sbin/haproxy"), "-db", "-f", str(config)]


def _envoy(address: str, routes: int, folder: Path) -> list[str]:
    """Route by a tree of prefixes: a list of routes is gone through one by one."""
    to_node = {
        "action": {
            "name": "route",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.route.v3.Route",
                "match": {"prefix": "/"},
                "route": {"cluster": "node"},
            },
        }
    }
    tree = {
        "input": {
            "name": "path",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                "header_name": ":path",
            },
        },
        "prefix_match_map": {"map": {f"/r{n:05}/": to_node for n in range(routes)}},
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network"
        ".http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "use_remote_address": True,
        "generate_request_id": False,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "matcher": {"matcher_tree": tree}}]
        },
    }
    listener = {
        "name": "all",
        "address": _place(address),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    endpoint = {"endpoint": {"address": _place(os.environ["BENCH_BACKEND"])}}
    cluster = {
        "name": "node",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "node", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    config = folder / "envoy.json"
    text = json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})
    config.write_text(text, encoding="utf-8")
    program = Path(os.environ["BENCH_ENVOY"]) / "envoy/_bin/envoy"
    flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return [str(program), "-c", str(config), *flags]


def _place(address: str) -> dict[str, object]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _go_gateway(address: str, routes: int, folder: Path) -> list[str]:
    backends = [{"target": os.environ["BENCH_BACKEND"]}]
    # It looks at one route after the other, and may take longer among thousands than it has.
    endpoints = [
        {"path": f"/r{number:05}/*", "protocol": "HTTP", "backends": backends, "timeout": "60s"}
        for number in range(routes)
    ]
    config = folder / "go-gateway.yaml"  # JSON is YAML, too
    config.write_text(json.dumps({"name": "bench", "endpoints": endpoints}), encoding="utf-8")
    os.environ["GOMAXPROCS"] = "1"
    os.environ["PROXY_DIAL_TIMEOUT"] = "60s"  # of one core that is busy with routes
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # it tells each route
    return [os.environ["BENCH_GO_GATEWAY"], "-conf", str(config), "-addr", address]


if __name__ == "__main__":
    make = {
        "nginx": _nginx,
        "haproxy": _haproxy,
        "envoy": _envoy,
        "go-gateway": _go_gateway,
    }[sys.argv[3]]
    command = make(
        sys.argv[1], int(sys.argv[2]), Path(tempfile.mkdtemp(dir=os.environ["BENCH_FOLDER"]))
    )
    os.execv(command[0], command)
