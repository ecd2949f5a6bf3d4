"""``kratos openapi``: the description of an application's HTTP API, as its server would tell it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers
from kratos_cli.writing import write_whole

if TYPE_CHECKING:
    from kratos import App
    from kratos_http import HttpServer, OpenApi

__all__ = ["register", "run"]

_DESCRIPTION = """\
Write what an application serves over HTTP as OpenAPI 3.1.

Takes what 'kratos run' takes: module:build, path/service.py:build, or the folder of a project, by
default the current one. Nothing is served and no port is bound. Options of the application's
HttpServer decide how the JSON looks, and its openapi=OpenApi(...) what the document says of
itself."""


def register(subparsers: Subparsers) -> None:
    """Add ``openapi``."""
    parser = subparsers.add_parser(
        "openapi", help="describe an application's HTTP API", description=_DESCRIPTION
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        default=".",
        help="module:build, or a folder (default: .)",
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="file to write; a name in .yaml or .yml means --yaml"
    )
    parser.add_argument("--yaml", action="store_true", help="write YAML instead of JSON")
    parser.add_argument("--title", default="", help="title of the API (default: the App's name)")
    parser.add_argument(
        "--proto",
        action="append",
        default=[],
        metavar="FILE_OR_DIR",
        help="definitions whose comments describe messages and fields; may be given several times",
    )
    parser.add_argument(
        "-I",
        "--proto-path",
        action="append",
        metavar="DIR",
        help="folder that names in their imports start from (default: .)",
    )


def run(args: argparse.Namespace) -> int:
    """Build the application, describe it, write that."""
    try:
        from kratos_http.openapi.publish import as_json, as_yaml
    except ImportError as error:
        raise CommandFailure("there is no server to describe; pip install kratos-http") from error
    document = _describe(args)
    suffix = Path(args.out).suffix if args.out else ""
    text = (as_yaml if args.yaml or suffix in (".yaml", ".yml") else as_json)(document)
    if not args.out:
        sys.stdout.write(text.decode())
        return 0
    try:
        write_whole(Path(args.out), text)
    except OSError as error:
        raise CommandFailure(f"{args.out}: {error.strerror}; choose another --out") from error
    print(args.out)
    return 0


def _describe(args: argparse.Namespace) -> dict[str, Any]:
    from kratos.errors import ConfigError
    from kratos.transport import Mount
    from kratos.transport.rule import TemplateError

    sys.path.insert(0, "")
    try:
        app = _application(args.target)
        server = _server(app, args.target)
        mount = Mount(services=app.options.services, info=app.info)
        return server.describe(mount, _options(args, server))
    except (ConfigError, TemplateError) as error:
        raise CommandFailure(str(error), status=2) from error


def _application(target: str) -> App:
    from kratos import App
    from kratos.app import load

    with _within(target) as found:
        built: Any = load(found)()
    if isinstance(built, App):
        return built
    raise CommandFailure(f"{target} returns no App, but {built!r}", status=2)


@contextlib.contextmanager
def _within(target: str) -> Generator[str]:
    """Yield the factory that is meant; that of a project is called where it is served."""
    from kratos_cli.running.choosing import choose, folder_of

    folder = folder_of(target)
    if folder is None:
        yield target
        return
    service = choose(folder)
    if not service.target:
        raise CommandFailure(f"{service.name} has a program and no 'def build'", status=2)
    sys.path.insert(0, str(service.root))
    with contextlib.chdir(service.folder):
        yield service.target


def _server(app: App, target: str) -> HttpServer:
    from kratos_http import HttpServer

    for server in app.options.servers:
        if isinstance(server, HttpServer):
            return server
    raise CommandFailure(f"the App of {target} has no HttpServer to describe", status=2)


def _options(args: argparse.Namespace, server: HttpServer) -> OpenApi:
    from kratos_http import OpenApi

    options = server.openapi or OpenApi()
    if args.title:
        options = replace(options, title=args.title)
    if args.proto:
        options = replace(options, descriptors=_compiled(args))
    return options


def _compiled(args: argparse.Namespace) -> bytes:
    from kratos_cli.proto.compiler import compile_definitions
    from kratos_cli.proto.inputs import find_inputs

    inputs = find_inputs(args.proto, args.proto_path)
    return compile_definitions(list(inputs.paths), inputs)
