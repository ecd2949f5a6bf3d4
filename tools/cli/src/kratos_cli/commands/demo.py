"""``kratos demo``: two services that find each other, called in every way."""

from __future__ import annotations

import argparse
from typing import Final

from kratos.errors import MissingDependency
from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

__all__ = ["register", "run"]

_DESCRIPTION: Final = """\
Compile two definitions, start two services in two processes, call them over HTTP and gRPC,
and tell what happens. Ends with nothing left running or on disk."""

_NEEDED: Final = (("kratos_http", "kratos-http"), ("kratos_grpc", "kratos-grpc"))


def register(subparsers: Subparsers) -> None:
    """Add ``demo``."""
    parser = subparsers.add_parser(
        "demo", help="see two services call each other", description=_DESCRIPTION
    )
    parser.add_argument(
        "--serve", action="store_true", help="keep the services up until Ctrl-C, to call yourself"
    )


def run(args: argparse.Namespace) -> int:
    """Play the demo."""
    from importlib.util import find_spec

    for module, distribution in _NEEDED:
        if find_spec(module) is None:
            raise CommandFailure(str(MissingDependency("the demo", distribution)))
    from kratos_cli.demo.run import play

    return play(serve=args.serve)
