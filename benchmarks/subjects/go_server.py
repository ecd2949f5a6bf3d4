"""Servers in Go, on one core: ``go_server HOST:PORT http|grpc|grpc-kratos``."""

from __future__ import annotations

import os
import sys

from benchmarks.go_program import program

if __name__ == "__main__":
    path = str(program())
    os.execve(path, [path, sys.argv[2], sys.argv[1]], {**os.environ, "GOMAXPROCS": "1"})
