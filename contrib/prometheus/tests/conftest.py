"""A Prometheus for the tests: the program that the environment names, else the one on PATH."""

from __future__ import annotations

import os
import shutil

PROGRAM = "KRATOS_TEST_PROMETHEUS"

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
if (found := shutil.which("prometheus")) is not None and shutil.which("promtool") is not None:
    os.environ.setdefault(PROGRAM, found)
