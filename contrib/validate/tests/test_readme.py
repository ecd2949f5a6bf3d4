from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from kratos_cli.proto import compile_protos

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PROTO = Path(__file__).parent / "proto"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_example_of_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    definition = tmp_path / "proto" / "shop" / "v1" / "orders.proto"
    definition.parent.mkdir(parents=True)
    definition.write_text(block("proto"))
    compile_protos([definition], roots=[tmp_path / "proto", PROTO], out=tmp_path)

    ran = subprocess.run(
        [sys.executable, "-c", block("python")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == block("text")
