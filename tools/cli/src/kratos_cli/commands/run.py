"""``kratos run``: serve an application, in this process or by workers on all cores."""

from __future__ import annotations

import argparse
import sys
from typing import Literal

from kratos_cli.parsing import Subparsers

__all__ = ["register", "run"]

_DESCRIPTION = """\
Serve what a factory builds: module:build, or path/service.py:build. The name is 'build' if it
is left out. Modules are looked for in the current folder first.

With workers, this process supervises them: SIGTERM and Ctrl-C end them in order, SIGHUP
replaces them one after another, and one that dies is started again."""


def register(subparsers: Subparsers) -> None:
    """Add ``run``."""
    parser = subparsers.add_parser("run", help="serve an application", description=_DESCRIPTION)
    parser.add_argument("target", metavar="MODULE:BUILD", help="function that returns the App")
    parser.add_argument(
        "-w",
        "--workers",
        metavar="N",
        type=_workers,
        help="processes; 'auto' for one on each core, 0 for none but this; default: what the App "
        "says",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    import kratos

    sys.path.insert(0, "")
    kratos.run(args.target, workers=args.workers)
    return 0


def _workers(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'auto'")
