"""Gateways in C: ``gateway_rival HOST:PORT ROUTES nginx|haproxy``, one process with one thread."""

from __future__ import annotations

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


if __name__ == "__main__":
    make = {"nginx": _nginx, "haproxy": _haproxy}[sys.argv[3]]
    command = make(
        sys.argv[1], int(sys.argv[2]), Path(tempfile.mkdtemp(dir=os.environ["BENCH_FOLDER"]))
    )
    os.execv(command[0], command)
