"""``kratos run``: serve an application, in this process or by workers on all cores."""

from __future__ import annotations

import argparse
import asyncio
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from kratos_cli.running.services import Service

__all__ = ["register", "run"]

_PATH: Final = "PYTHONPATH"

_DESCRIPTION = """\
Serve an application: what a factory builds, module:build or path/service.py:build, where 'build'
may be left out and modules are looked for in the current folder first; or the service of the
project in a folder, by default the current one.

In a project, that is a package in src with 'def build' in its app.py, service.py, main.py or
__main__.py; it is served from the project's folder. With arguments after '--', its __main__ is
run with them instead. Of several services one is asked for.

With workers, this process supervises them: SIGTERM and Ctrl-C end them in order, SIGHUP
replaces them one after another, and one that dies is started again."""


def register(subparsers: Subparsers) -> None:
    """Add ``run``."""
    parser = subparsers.add_parser("run", help="serve an application", description=_DESCRIPTION)
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        default=".",
        help="module:build, or a folder (default: .)",
    )
    parser.add_argument(
        "-w",
        "--workers",
        metavar="N",
        type=_workers,
        help="processes; 'auto' for one on each core, 0 for none but this; default: what the App "
        "says",
    )
    parser.add_argument(
        "-r",
        "--reload",
        action="store_true",
        help="start anew when Python, definitions (generated again) or configs change",
    )
    parser.add_argument(
        "--generate",
        metavar="COMMAND",
        help="with --reload, what generates from definitions, '' for nothing; default: as it was "
        "generated before",
    )
    parser.add_argument(
        "--work", metavar="DIR", help="folder to serve from (default: that of the project)"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print events as JSON, one on a line: starting, started, changed, stopped and others",
    )
    parser.take_rest("arguments")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from kratos_cli.events import Events

    try:
        return _run(args)
    except CommandFailure as failure:
        Events.wanted(args.json).tell("failed", status=failure.status, reason=str(failure))
        raise


def _run(args: argparse.Namespace) -> int:
    from kratos_cli.running.choosing import choose, folder_of

    if args.generate is not None and not args.reload:
        raise CommandFailure("--generate is about --reload: give both", status=2)
    if args.work and not Path(args.work).is_dir():
        raise CommandFailure(f"--work {args.work}: there is no such folder", status=2)
    folder = folder_of(args.target)
    if folder is not None:
        service = choose(folder)
        os.chdir(args.work or service.folder)
        _import_from(service.root)
        if not service.target or args.arguments:
            return _program(service, args)
        args.target, folder = service.target, service.folder
    else:
        os.chdir(args.work or ".")
        folder = Path.cwd()
    if not args.reload:
        return _serve(args)
    command = ["run", args.target, *(["--json"] if args.json else [])]
    if args.workers is not None:
        command += ["--workers", str(args.workers)]
    return _reload([*command, "--", *args.arguments], folder, args)


def _serve(args: argparse.Namespace) -> int:
    import kratos

    sys.path.insert(0, "")
    sys.argv[1:] = args.arguments
    if not args.json:
        kratos.run(args.target, workers=args.workers)
        return 0
    from kratos_cli.events import Events
    from kratos_cli.running.life import following

    events = Events.alone()
    events.tell("starting", target=args.target, folder=os.getcwd(), pid=os.getpid())  # noqa: PTH109
    try:
        kratos.run(args.target, workers=args.workers, adapt=following(events))
    except SystemExit as ended:
        cause = ended.__context__  # what run() has logged, if it was not the application's own
        reason = f"{type(cause).__name__}: {cause}" if cause else "the application ended itself"
        events.tell("failed", status=ended.code, reason=reason)
        raise
    return 0


def _program(service: Service, args: argparse.Namespace) -> int:
    """Run the program of a service, as ``python -m`` does."""
    if not service.program:
        raise CommandFailure(
            f"{service.name} has no __main__.py that could take arguments; it is built by "
            f"{service.target}",
            status=2,
        )
    if args.workers is not None:
        raise CommandFailure(
            f"{service.name} is run as a program, which says itself how many workers it has; "
            "leave --workers out",
            status=2,
        )
    words = [service.program, *args.arguments]
    if args.reload:
        return _reload(["-m", *words], service.folder, args)
    if args.json:
        raise CommandFailure(
            f"{service.name} is run as a program, which tells no events; leave --json out, or "
            "add --reload for those of starting anew",
            status=2,
        )
    sys.argv[:] = words
    runpy.run_module(service.program, run_name="__main__", alter_sys=True)
    return 0


def _import_from(root: Path) -> None:
    """Have modules imported from a folder, here and in processes that are started from here."""
    sys.path.insert(0, str(root))
    inherited = os.environ.get(_PATH)
    os.environ[_PATH] = os.pathsep.join([str(root), *([inherited] if inherited else [])])


def _reload(command: Sequence[str], folder: Path, args: argparse.Namespace) -> int:
    from kratos_cli.events import Events
    from kratos_cli.running.reloading import Reloading

    if sys.platform == "win32":
        raise CommandFailure("--reload needs a POSIX system")
    reloading = Reloading(
        command,
        folder,
        generate=args.generate,
        tell=lambda text: print(f"kratos run: {text}", file=sys.stderr, flush=True),
        events=Events.wanted(args.json),
    )
    return asyncio.run(reloading.run())


def _workers(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'auto'")
