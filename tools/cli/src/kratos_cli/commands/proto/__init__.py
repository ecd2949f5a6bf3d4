"""``kratos proto``: what there is to do with definitions."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from kratos_cli.commands.proto import add, breaking, client, lint, server, wheel
from kratos_cli.parsing import Subparsers

__all__ = ["register", "run"]

_VERBS: Final[Mapping[str, ModuleType]] = {
    "add": add,
    "breaking": breaking,
    "client": client,
    "lint": lint,
    "server": server,
    "wheel": wheel,
}
_DESCRIPTION: Final = """\
Work with protobuf definitions.

'kratos proto FILES' is short for 'kratos proto client FILES'."""


def register(subparsers: Subparsers) -> None:
    """Add ``proto`` and its verbs."""
    parser = subparsers.add_parser(
        "proto", help="work with protobuf definitions", description=_DESCRIPTION
    )
    parser.default_command("client", _VERBS)
    verbs = parser.add_commands("verb", "VERB")
    for module in _VERBS.values():
        module.register(verbs)


def run(args: argparse.Namespace) -> int:
    """Run the chosen verb."""
    status: int = _VERBS[args.verb].run(args)
    return status
