"""``./hatchw run conformance [codec...]``: the official suite, for json_format, plans and rust.

Prints one JSON object a line: ``suite``, ``codec``, ``passed``, ``failed``, ``required_failed``.
Names of failures go to standard error. Ends with 1 if one of ours fails more than it may.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from packages.protojson.conformance.fetch import VERSION, Missing, Runner, runner

CODECS: Final = ("json_format", "plans", "rust")
TESTEE: Final = Path(__file__).parent / "testee.py"
_EDITION: Final = "2023"
_TIMEOUT: Final = 600.0
_SUMMARY: Final = re.compile(r"CONFORMANCE SUITE \w+: (\d+) successes.*, (\d+) unexpected failures")
_FAILURE: Final = re.compile(r"^ERROR, test=([\w.\[\]]+):", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the suite said about one codec."""

    suite: str
    codec: str
    passed: int
    failed: int
    required_failed: int


def generate(include: Path, out: Path) -> None:
    """Compile the definitions of the suite."""
    protos = sorted(str(path.relative_to(include)) for path in include.rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{include}", f"--python_out={out}"]
    subprocess.run([*command, *protos], check=True)


def run(tool: Runner, codec: str, work: Path) -> tuple[Outcome, list[str]]:
    """Run the suite; returns the names of the tests that failed too."""
    generated = work / "generated"
    if not generated.exists():
        generated.mkdir()
        generate(tool.include, generated)
    testee = work / codec
    testee.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{TESTEE}" {codec} "{generated}"\n')
    testee.chmod(0o755)
    options = ["--enforce_recommended", "--maximum_edition", _EDITION, "--output_dir", str(work)]
    done = subprocess.run(
        [*tool.command, *options, str(testee)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
        env={**os.environ, "KRATOS_PROTOJSON": ""},
    )
    # The first summary is about binary and JSON; the second about the text format, left out here.
    summary = _SUMMARY.search(done.stderr)
    if summary is None:
        raise SystemExit(f"the runner said nothing to count:\n{done.stderr[-2000:]}")
    failures = _FAILURE.findall(done.stderr[: summary.end()])
    outcome = Outcome(
        suite=f"conformance {VERSION}",
        codec=codec,
        passed=int(summary[1]),
        failed=int(summary[2]),
        required_failed=sum(name.startswith("Required.") for name in failures),
    )
    return outcome, failures


def main() -> int:
    """Run the suite for the codecs that are here."""
    in_ci = os.environ.get("CI") == "true"
    codecs = sys.argv[1:] or list(CODECS)
    if "rust" in codecs and find_spec("kratos_protojson_native") is None:
        print("left out: rust is not built; ./hatchw run native builds it", file=sys.stderr)
        codecs.remove("rust")
        if in_ci:
            return 1
    try:
        tool = runner()
    except Missing as error:
        print(f"left out: {error}", file=sys.stderr)
        return 1 if in_ci else 0
    refused: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory() as work:
        for codec in codecs:
            outcome, failures = run(tool, codec, Path(work))
            refused[codec] = set(failures)
            print(json.dumps(asdict(outcome)), flush=True)
            for name in failures:
                print(f"{codec}: {name}", file=sys.stderr)
    google = refused.get("json_format", set())
    ours = {"rust": refused.get("rust", set()), "plans": refused.get("plans", set()) - google}
    return 1 if any(ours.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
