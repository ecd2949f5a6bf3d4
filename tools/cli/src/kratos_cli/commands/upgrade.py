"""``kratos upgrade``: newer versions of what is installed of Kratos."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from kratos_cli.events import Events
from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers, nearest

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["register", "run"]

_ERR = 2
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
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="only tell what has changed, without progress"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print events as JSON, one on a line: kept, command, upgraded, unchanged, failed",
    )


def run(args: argparse.Namespace) -> int:
    """Upgrade, and print what has changed."""
    events = Events.wanted(args.json)
    try:
        _upgrade(args, events)
    except CommandFailure as failure:
        events.tell("failed", status=failure.status, reason=str(failure))
        raise
    return 0


def _upgrade(args: argparse.Namespace, events: Events) -> None:
    say: Callable[[str], None] = (lambda _text: None) if args.quiet else events.say
    before = _members()
    names = _wanted(args.names, before)
    for name in [name for name in names if _is_editable(before[name])]:
        say(f"{name} is installed from a folder, and stays as it is")
        events.tell("kept", name=name, version=before[name].version, reason="editable")
        names.remove(name)
    if not names:
        say("there is nothing to upgrade")
        return
    command = [*_installer(quiet=args.quiet, bars=not args.json)]
    command += [*(["--pre"] if args.pre else []), *names]
    say(shlex.join(command))
    events.tell("command", words=command)
    if args.dry_run:
        return
    versions = {name: before[name].version for name in names}
    output = _ERR if args.json else None  # the installer's words are for people
    if status := subprocess.run(command, check=False, stdout=output).returncode:
        raise CommandFailure(f"{command[0]} ended with {status}; what it wrote says why")
    importlib.invalidate_caches()
    _show(versions, _members(), events, say)


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


def _installer(*, quiet: bool, bars: bool) -> Sequence[str]:
    """Return the command that installs; it shows its own progress, and on terminals alone."""
    hushed = ["--quiet"] if quiet else []
    if importlib.util.find_spec("pip") is not None:
        barred = [] if bars else ["--progress-bar=off"]
        return (sys.executable, "-m", "pip", "install", *hushed, *barred, "--upgrade")
    uv = shutil.which("uv")
    if uv is not None:
        barred = [] if bars else ["--no-progress"]
        python = ("--python", sys.executable)
        return (uv, "pip", "install", *hushed, *barred, *python, "--upgrade")
    raise CommandFailure(
        f"neither pip nor uv is there to install anything for {sys.executable}; "
        "run 'python -m ensurepip'"
    )


def _show(
    before: Mapping[str, str],
    after: Mapping[str, Distribution],
    events: Events,
    say: Callable[[str], None],
) -> None:
    changed = {
        name: (old, after[name].version)
        for name, old in before.items()
        if name in after and after[name].version != old
    }
    for name, version in before.items():
        if name in changed:
            old, new = changed[name]
            events.say(f"{name} {old} -> {new}")
            events.tell("upgraded", name=name, old=old, new=new)
        else:
            events.tell("unchanged", name=name, version=version)
    if not changed:
        say("everything is the newest already")
