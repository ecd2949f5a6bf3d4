"""``./hatchw run fuzz [--seconds N] [target...]``: arbitrary input at every border of ours.

Prints for each target its seconds, how many inputs were tried and how many failed. One that
fails is written to a file, and the command fails; ``--input FILE`` runs a target on it alone.
What earlier runs found interesting is kept, and is where the next run begins.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

__all__ = ["TARGETS", "Outcome", "fuzz", "main", "module_of"]

_HTTP2: Final = (
    "kratos_http2._control",
    "kratos_http2._messages",
    "kratos_http2._sending",
    "kratos_http2._streams",
    "kratos_http2.client",
    "kratos_http2.connection",
    "kratos_http2.server",
)

TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "server": (
        "kratos_http._answering",
        "kratos_http._connection",
        "kratos_http._format",
        "kratos_http._handshake",
        "kratos_http._reader",
        "kratos_http._server_socket",
        "kratos_http._wire",
    ),
    "frames": ("kratos_http._frames", "websockets.frames", "websockets.protocol"),
    "header_blocks": (
        "kratos_http2.compression",
        "kratos_http2.decompression",
        "kratos_http2.header_blocks",
        "kratos_http2.huffman",
    ),
    "http2_client": _HTTP2,
    "http2_server": _HTTP2,
    "multipart": ("kratos_http._multipart",),
    "events": ("kratos_http._events",),
    "fields": (
        "kratos.encoding._codecs",
        "kratos.encoding._content",
        "kratos.transport.header",
        "kratos_grpc._metadata",
        "kratos_http._timeout",
    ),
    "forms": ("kratos.duration", "kratos.encoding"),
    "msgpack": ("kratos_msgpack",),
    "protojson": ("kratos_protojson",),
    "routes": (
        "kratos.transport._template",
        "kratos.transport.rule",
        "kratos_http._tree",
        "kratos_http.router",
    ),
}
"""Modules of this folder, and what of ours each is about."""
_TRIED: Final = re.compile(r"^(?:Done |#)(\d+)", re.MULTILINE)
_STARTING: Final = 120.0  # seconds beyond those that were asked for
_SHOWN: Final = 40  # lines of what a target says when an input fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one target.

    Attributes:
        target: Its name.
        seconds: How long it took.
        inputs: How many were tried.
        findings: Those that failed.
        said: The end of what the target said when it failed.
    """

    target: str
    seconds: float
    inputs: int
    findings: tuple[Path, ...]
    said: str


def module_of(target: str) -> str:
    """Return where a target is."""
    return f"tests.fuzz.{target}"


def fuzz(module: str, about: Sequence[str], *, seconds: float, home: Path) -> Outcome:
    """Run one target in a process of its own, for it may crash or hang.

    Args:
        module: Where it is.
        about: What it is about.
        seconds: For how long.
        home: Where its corpus and findings are kept.
    """
    target = module.rpartition(".")[2]
    corpus, findings = home / target / "corpus", home / target / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.drive", module, f"{seconds:g}"]
    with subprocess.Popen(
        [*command, str(corpus), str(findings), *about],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds + _STARTING)
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[0] + f"\nit did not end within {_STARTING:g} s after that"
    tried = _TRIED.findall(said)
    return Outcome(
        target=target,
        seconds=time.monotonic() - started,
        inputs=max(map(int, tried), default=0),
        findings=tuple(sorted(set(findings.iterdir()) - before)),
        said=said if process.returncode else "",
    )


def main(arguments: Sequence[str]) -> int:
    """Run the targets that are named, or all; return 1 if an input failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help=" ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of all targets together")
    parser.add_argument("--at-once", type=int, default=1, help="targets that run at the same time")
    parser.add_argument("--input", type=Path, help="run the one target on this file alone")
    options = parser.parse_args(arguments)
    names: list[str] = options.targets or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown or (options.input and len(names) != 1):
        parser.error(f"name one of {', '.join(TARGETS)}, not {', '.join(unknown or names)}")
    if options.input:
        target: Any = import_module(module_of(names[0]))
        target.check(options.input.read_bytes())
        return 0
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kratos-fuzz"
    print(f"{'target':12} {'seconds':>8} {'inputs':>10} {'findings':>9}", flush=True)
    failed = 0
    share = options.seconds / len(names)
    with ThreadPoolExecutor(options.at_once) as pool:

        def tried(name: str) -> Outcome:
            return fuzz(module_of(name), TARGETS[name], seconds=share, home=home)

        for found in pool.map(tried, names):
            if not _show(found):
                failed = 1
    return failed


def _show(found: Outcome) -> bool:
    """Print what came of a target; return whether that is good."""
    name, inputs, findings = found.target, found.inputs, found.findings
    print(f"{name:12} {found.seconds:8.1f} {inputs:10} {len(findings):9}", flush=True)
    if not found.said and inputs:
        return True
    print("\n".join(found.said.splitlines()[-_SHOWN:]))
    print("\n".join(f"./hatchw run fuzz {name} --input {at}" for at in findings))
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
