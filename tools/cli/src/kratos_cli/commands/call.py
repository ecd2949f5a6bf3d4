"""``kratos call``: any method of any service, from JSON, by what the server tells of itself."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from typing import TYPE_CHECKING

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Parser, Subparsers, seconds

if TYPE_CHECKING:
    from kratos_cli.calling.session import Session

__all__ = ["register", "run"]

_STDIN = "-"
_DESCRIPTION = """\
Call a method of a running service, or tell what there is to call:

  kratos call TARGET                    the services
  kratos call TARGET SERVICE            its methods, HTTP rules and messages
  kratos call TARGET METHOD [JSON ...]  call it; '-' reads standard input

TARGET is host:port (gRPC), grpc://, grpcs://, http:// or https://host:port, unix:/path, or
discovery:///name with --registry URL. METHOD is Service/Method; parts of its name that are not
needed to tell it apart may be left out.

Over gRPC the server is asked for definitions by reflection, over HTTP by kratos.api.Metadata,
unless --proto or --descriptors give them. Streams are JSON lines in both directions."""


def register(subparsers: Subparsers) -> None:
    """Add ``call``."""
    parser = subparsers.add_parser("call", help="call a running service", description=_DESCRIPTION)
    parser.mix_options()
    parser.add_argument("target", metavar="TARGET", help="where the service is")
    parser.add_argument("method", metavar="METHOD", nargs="?", help="a service, or a method of one")
    parser.add_argument(
        "data",
        metavar="JSON",
        nargs="*",
        help="the request, or several for a stream; '-' for standard input (default: an empty "
        "request, and standard input for a stream)",
    )
    _add_calling(parser)
    _add_reaching(parser)
    _add_definitions(parser)
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON for each reply, error or service"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show headers and trailers of the reply"
    )


def _add_calling(parser: Parser) -> None:
    parser.add_argument(
        "-H",
        "--header",
        metavar="NAME:VALUE",
        dest="headers",
        action="append",
        default=[],
        help="send a header, or metadata of gRPC; may be given again",
    )
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=seconds,
        help="seconds, or such as 500ms; 0 for no limit (default: 10s, and none for streams)",
    )


def _add_reaching(parser: Parser) -> None:
    parser.add_argument(
        "--transport",
        choices=["grpc", "http", "connect"],
        help="for targets that do not say it (default: grpc; http where a registry knows no grpc)",
    )
    parser.add_argument("--registry", metavar="URL", help="where discovery:/// looks names up")
    parser.add_argument("--tls", action="store_true", help="reach the server by TLS")
    parser.add_argument(
        "--ca", metavar="FILE", help="roots of its certificate, in place of the system's"
    )
    parser.add_argument("--cert", metavar="FILE", help="certificate of one's own")
    parser.add_argument("--key", metavar="FILE", help="its key")
    parser.add_argument("--server-name", metavar="NAME", help="name that its certificate must hold")
    parser.add_argument(
        "--insecure", action="store_true", help="TLS with whoever answers, verified or not"
    )


def _add_definitions(parser: Parser) -> None:
    parser.add_argument(
        "--proto",
        metavar="FILE_OR_DIR",
        action="append",
        help="definitions, in place of asking the server; may be given again",
    )
    parser.add_argument(
        "-I",
        "--proto-path",
        metavar="DIR",
        action="append",
        help="folder that names in their imports start from (default: .)",
    )
    parser.add_argument(
        "--descriptors", metavar="FILE", help="definitions as a compiled FileDescriptorSet"
    )


def run(args: argparse.Namespace) -> int:
    """Call, or tell what there is to call."""
    from kratos.errors import ConfigError, PluginLoadError, PluginNotFound, RegistryUnavailable
    from kratos_cli.calling.session import Session

    if _STDIN in args.data and len(args.data) > 1:
        raise CommandFailure("give requests, or '-' to read them: not both", status=2)
    if args.proto and args.descriptors:
        raise CommandFailure("give --proto or --descriptors, not both", status=2)
    log = logging.getLogger("kratos")
    level = log.level
    log.setLevel(logging.ERROR)  # errors tell what became of the call, attempts are no news
    try:
        return asyncio.run(_run(Session(args), args))
    except (ConfigError, PluginNotFound, PluginLoadError) as error:
        raise CommandFailure(str(error), status=2) from error
    except RegistryUnavailable as error:
        raise CommandFailure(str(error)) from error
    finally:
        log.setLevel(level)


async def _run(session: Session, args: argparse.Namespace) -> int:
    async with session:
        if args.method is None:
            return await _list(session, lines=args.json)
        return await session.follow(args.method, "\n".join(args.data) if args.data else None)


async def _list(session: Session, *, lines: bool) -> int:
    for name in await session.names():
        print(json.dumps({"service": name}) if lines else name)
    return 0
