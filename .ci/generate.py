"""Write the code that programs of this repository generate when they run.

The demo, the benchmarks and some tests compile their definitions into a temporary folder. For the
type checkers and for editors the same code is kept in ``build/generated``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from kratos_cli.proto import compile_protos

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build/generated"
DEFINITIONS = (
    "benchmarks/proto",
    "contrib/validate/tests/proto",
    "tests/interop/proto",
    "tests/openapi/proto",
    "tools/cli/src/kratos_cli/demo/api",
)

if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for folder in DEFINITIONS:
        compile_protos(sorted((ROOT / folder).rglob("*.proto")), roots=[ROOT / folder], out=OUT)
