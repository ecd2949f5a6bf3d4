"""``kratos proto``: what there is to do with definitions."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

from kratos_cli.commands.proto import client
from kratos_cli.parsing import Subparsers

__all__ = ["register", "run"]

_VERBS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {"client": client.run}
_DESCRIPTION: Final = """\
Work with protobuf definitions.

'kratos proto FILES' is short for 'kratos proto client FILES'."""


def register(subparsers: Subparsers) -> None:
    """Add ``proto`` and its verbs."""
    parser = subparsers.add_parser(
        "proto", help="generate Python from protobuf definitions", description=_DESCRIPTION
    )
    parser.default_command("client", _VERBS)
    client.register(parser.add_commands("verb", "VERB"))


def run(args: argparse.Namespace) -> int:
    """Run the chosen verb."""
    return _VERBS[args.verb](args)
