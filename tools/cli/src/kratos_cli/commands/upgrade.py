"""``kratos upgrade``: newer versions of what is installed of Kratos."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers, nearest

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["register", "run"]

_OTHERS = ("protoc-gen-kratos",)
_DESCRIPTION = """\
Install newer versions of the distributions of Kratos that are installed, or of those named, by
pip, or by uv where there is no pip. What is installed from a folder, editable, stays as it is."""


def register(subparsers: Subparsers) -> None:
    """Add ``upgrade``."""
    parser = subparsers.add_parser(
        "upgrade", help="install newer versions of Kratos", description=_DESCRIPTION
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="distribution (default: all)")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the command and do nothing"
    )
    parser.add_argument("--pre", action="store_true", help="versions before a release, too")


def run(args: argparse.Namespace) -> int:
    """Upgrade, and print what has changed."""
    before = _members()
    names = _wanted(args.names, before)
    for name in [name for name in names if _is_editable(before[name])]:
        print(f"{name} is installed from a folder, and stays as it is")
        names.remove(name)
    if not names:
        print("there is nothing to upgrade")
        return 0
    command = [*_installer(), *(["--pre"] if args.pre else []), *names]
    print(shlex.join(command), flush=True)
    if args.dry_run:
        return 0
    versions = {name: before[name].version for name in names}
    if status := subprocess.run(command, check=False).returncode:
        raise CommandFailure(f"{command[0]} ended with {status}; what it wrote says why")
    importlib.invalidate_caches()
    _show(versions, _members())
    return 0


def _members() -> Mapping[str, Distribution]:
    from kratos_cli.doctor.members import installed

    return {
        name: found
        for name, found in sorted(installed().items())
        if name.startswith("kratos-") or name in _OTHERS
    }


def _wanted(given: Sequence[str], there: Mapping[str, Distribution]) -> list[str]:
    for name in given:
        if name not in there:
            hint = nearest(name, there) or f"; there are {', '.join(there)}"
            raise CommandFailure(f"{name} is no installed distribution of Kratos{hint}", status=2)
    return list(given or there)


def _is_editable(distribution: Distribution) -> bool:
    """Whether it is a source tree; recorded as PEP 610 has it."""
    record = distribution.read_text("direct_url.json") or ""
    return '"editable": true' in record or '"editable":true' in record


def _installer() -> Sequence[str]:
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip", "install", "--upgrade")
    uv = shutil.which("uv")
    if uv is not None:
        return (uv, "pip", "install", "--python", sys.executable, "--upgrade")
    raise CommandFailure(
        f"neither pip nor uv is there to install anything for {sys.executable}; "
        "run 'python -m ensurepip'"
    )


def _show(before: Mapping[str, str], after: Mapping[str, Distribution]) -> None:
    changed = {
        name: (old, after[name].version)
        for name, old in before.items()
        if name in after and after[name].version != old
    }
    for name, (old, new) in changed.items():
        print(f"{name} {old} -> {new}")
    if not changed:
        print("everything is the newest already")
