"""The example of the page about bodies compiles and runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from kratos_cli.proto import compile_protos

PAGE = Path(__file__).parents[2] / "docs" / "http-bodies.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_example_of_the_page_runs(tmp_path: Path) -> None:
    proto = tmp_path / "proto" / "media" / "v1" / "media.proto"
    proto.parent.mkdir(parents=True)
    proto.write_text(block("proto"), encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    compile_protos([proto], roots=[tmp_path / "proto"], out=out)
    ran = subprocess.run(
        [sys.executable, "-c", block("python")],
        env={**os.environ, "PYTHONPATH": str(out)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "9890\n9890\nNO_FILM\nemma.png\n"
