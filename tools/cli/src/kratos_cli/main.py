"""Entry point: finds the subcommand, runs it, turns failures into messages and statuses."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, cast

from kratos.errors import KratosError
from kratos_cli.ending import Terminated, terminable
from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Parser, Subparsers, nearest
from kratos_cli.printing import closed_early, plain

__all__ = ["COMMANDS", "Command", "main", "whole_parser"]

COMMANDS: Final[Mapping[str, str]] = {
    "call": "kratos_cli.commands.call",
    "changelog": "kratos_cli.commands.changelog",
    "completion": "kratos_cli.commands.completion",
    "config": "kratos_cli.commands.config",
    "demo": "kratos_cli.commands.demo",
    "doctor": "kratos_cli.commands.doctor",
    "lint": "kratos_cli.commands.lint",
    "new": "kratos_cli.commands.new",
    "openapi": "kratos_cli.commands.openapi",
    "proto": "kratos_cli.commands.proto",
    "run": "kratos_cli.commands.run",
    "upgrade": "kratos_cli.commands.upgrade",
}
"""Modules of the subcommands, by name. They import what they need when they run."""

_GROUP: Final = "kratos.cli"
_INTERRUPTED: Final = 130
_CLOSED: Final = 141  # as a shell tells that a program ended by SIGPIPE
_TERMINATED: Final = 143
_OF_APPLICATIONS: Final = frozenset(("demo", "run"))  # whose output and signals are theirs


class Command(Protocol):
    """Module of a subcommand."""

    def register(self, subparsers: Subparsers, /) -> None:
        """Add the parser."""
        ...

    def run(self, args: argparse.Namespace, /) -> int:
        """Do it, and return the exit status; raise ``CommandFailure`` to give up."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status: 0, 1 for failure, 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    word = words[0] if words and not words[0].startswith("-") else ""
    try:
        others = () if word in COMMANDS else _others()  # looking for them takes time
        brought = {name: _bring(name) for name in others if name == word}
    except KratosError as error:
        sys.stderr.write(f"kratos: error: {error}\n")
        return 1
    if word and word not in COMMANDS and word not in brought:
        sys.stderr.write(f"kratos: error: {_unknown(word, sorted([*COMMANDS, *others]))}\n")
        return 2
    parser, subparsers = _root()
    commands = {name: _load(module) for name, module in COMMANDS.items()} | brought
    for command in commands.values():
        command.register(subparsers)
    if not word:
        _list(others, subparsers)
    args = parser.parse_args(words)
    if args.version:
        print(f"kratos {_version()}")
        return 0
    if args.command is None:
        parser.print_help()
        return 2
    return _run(commands[args.command], args)


def whole_parser() -> Parser:
    """Return a parser of all commands, those of other distributions included."""
    parser, subparsers = _root()
    for module in COMMANDS.values():
        _load(module).register(subparsers)
    _list(_others(), subparsers)
    return parser


def _root() -> tuple[Parser, Subparsers]:
    """Return the parser of the command as such, and where subcommands go."""
    parser = Parser(prog="kratos", description="Build microservices with Kratos for Python.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    return parser, parser.add_commands("command", "COMMAND")


def _others() -> Sequence[str]:
    """Return the names of the subcommands that other distributions bring."""
    from kratos.plugins import find

    return sorted({plugin.name for plugin in find(_GROUP)} - COMMANDS.keys())


def _unknown(word: str, known: Sequence[str]) -> str:
    """Return what to tell whoever asks for a command that is not there."""
    from kratos.errors import PluginNotFound

    hint = nearest(word, known)
    if not hint:
        try:
            _bring(word)
        except PluginNotFound as error:  # it knows distributions that are not installed
            cure = str(error).rpartition("; ")[2]
            hint = f"; {cure}" if cure.startswith("pip install ") else ""
    return f"there is no command {word!r}" + (hint or f"; there are {', '.join(known)}")


def _bring(name: str) -> Command:
    """Return a subcommand of another distribution.

    Raises:
        PluginLoadError: Its code failed to import.
        PluginConflict: Two distributions claim the name.
    """
    from kratos.plugins import load

    return load(_GROUP, name)


def _list(others: Sequence[str], subparsers: Subparsers) -> None:
    """Show subcommands of other distributions in the help; one that is broken, too."""
    for name in others:
        try:
            _bring(name).register(subparsers)
        except KratosError as error:
            subparsers.add_parser(name, help=f"cannot be loaded: {error}", description=str(error))


def _run(command: Command, args: argparse.Namespace) -> int:
    try:
        if args.command in _OF_APPLICATIONS or args.command not in COMMANDS:
            return _status(command, args)
        with terminable(), plain():
            return _status(command, args)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Terminated:
        return _TERMINATED
    except BrokenPipeError:
        closed_early()
        return _CLOSED


def _status(command: Command, args: argparse.Namespace) -> int:
    try:
        status = command.run(args)
        sys.stdout.flush()  # that nobody reads it is to be known here, and not at the very end
        return status
    except CommandFailure as failure:
        message, status = str(failure), failure.status
    except BrokenPipeError:
        raise
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        status = 1
    sys.stderr.write(f"kratos {args.command}: error: {message}\n")
    return status


def _load(module: str) -> Command:
    return cast("Command", importlib.import_module(module))


def _version() -> str:
    from importlib.metadata import version

    return version("kratos-cli")
