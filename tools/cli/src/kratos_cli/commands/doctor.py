"""``kratos doctor``: what is installed, whether it fits together, and what is in the way."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from kratos_cli.doctor.findings import Finding

__all__ = ["register", "run"]

_MARKS: Final = {"ok": " ", "note": "-", "problem": "!"}
_DESCRIPTION = """\
Examine this environment: Python and the libraries that matter, installed members of Kratos and
what they ask for, plug-ins and why one does not load, what the code of a project imports that is
missing, ports, and with --check whether servers can be reached.

Lines with '!' are problems, which make the exit status 1; lines with '-' are worth knowing."""


def register(subparsers: Subparsers) -> None:
    """Add ``doctor``."""
    parser = subparsers.add_parser(
        "doctor", help="find out what is wrong with an environment", description=_DESCRIPTION
    )
    parser.add_argument(
        "--code",
        metavar="DIR",
        help="project whose imports are looked at (default: the current folder, if there is a "
        "pyproject.toml)",
    )
    parser.add_argument(
        "--port",
        metavar="PORT",
        type=_port,
        action="append",
        default=[],
        help="has to be free; may be given again",
    )
    parser.add_argument(
        "--check",
        metavar="URL",
        action="append",
        default=[],
        help="server that has to be there, for instance etcd://127.0.0.1:2379; may be given again",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Examine, and return 1 if there are problems."""
    from kratos_cli.doctor.findings import Level

    folder = Path(args.code or ".")
    if args.code and not folder.is_dir():
        raise CommandFailure(f"--code {folder}: there is no such folder", status=2)
    findings = list(_examined(args, folder))
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    if args.json:
        found = {"problems": problems, "findings": [each.as_json() for each in findings]}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(findings)
        print(f"{problems or 'no'} problem{'' if problems == 1 else 's'}")
    return 1 if problems else 0


def _examined(args: argparse.Namespace, folder: Path) -> Iterator[Finding]:
    from kratos_cli.doctor import code, libraries, members, network, plug_ins

    yield from libraries.look()
    yield from members.look()
    yield from plug_ins.look()
    if args.code or (folder / "pyproject.toml").is_file():
        yield from code.look(folder, members.installed())
    yield from network.look(args.port, args.check)


def _show(findings: Sequence[Finding]) -> None:
    width = max(len(finding.area) for finding in findings)
    area = ""
    for finding in findings:
        shown = "" if finding.area == area else finding.area
        area = finding.area
        print(f"{shown:<{width}} {_MARKS[finding.level.value]} {finding.text}")


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
