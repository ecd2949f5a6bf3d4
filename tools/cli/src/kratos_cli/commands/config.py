"""``kratos config``: show what sources make together, and where each value came from."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from kratos.config import Config

__all__ = ["register", "run"]

_DESCRIPTION = """\
Show the configuration that files, environment variables and overrides make together, as a
program that has the same sources sees it: a line for each value, with the document that it came
from. Files and folders are the weakest, in the order in which they are given, then come
variables, then overrides. Secrets are hidden."""


def register(subparsers: Subparsers) -> None:
    """Add ``config``."""
    parser = subparsers.add_parser(
        "config", help="show a configuration and its origins", description=_DESCRIPTION
    )
    parser.add_argument("paths", metavar="PATH", nargs="*", help="file or folder")
    parser.add_argument(
        "-e",
        "--env",
        metavar="PREFIX",
        action="append",
        default=[],
        help="take environment variables that begin so; may be given again",
    )
    parser.add_argument(
        "-n", "--nested", metavar="TEXT", default="", help="what stands for a dot in variables"
    )
    parser.add_argument(
        "-s",
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="override one value; may be given again",
    )
    parser.add_argument("-k", "--key", metavar="KEY", default="", help="show this part only")
    parser.add_argument("--json", action="store_true", help="print the tree as JSON instead")
    parser.add_argument("--actual-types", action="store_true", help="as the option of Config")
    parser.add_argument(
        "--required", action="store_true", help="refuse placeholders that nothing fills"
    )


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from kratos.errors import ConfigError

    try:
        config, shown = asyncio.run(_loaded(args))
    except ConfigError as error:
        raise CommandFailure(str(error)) from error
    if args.json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    origins = config.origins()
    parent, _, name = args.key.rpartition(".")
    if isinstance(shown, Mapping):
        tree, parent = cast("Mapping[str, Any]", shown), args.key
    else:
        tree = {name: shown}
    lines = [(key, json.dumps(value, ensure_ascii=False)) for key, value in _leaves(tree, "")]
    width = max((len(f"{key} = {value}") for key, value in lines), default=0)
    for key, value in lines:
        full = f"{parent}.{key}" if parent else key
        print(f"{f'{key} = {value}':<{min(width, 60)}}  # {origins.get(full, '')}")
    return 0


async def _loaded(args: argparse.Namespace) -> tuple[Config, Any]:
    """Return the configuration, and the part that is asked for without its secrets."""
    from kratos.config import ArgumentsSource, Config, EnvSource, FileSource, Source
    from kratos.redact import redacted

    sources: list[Source] = [FileSource(path) for path in args.paths]
    if args.env:
        sources.append(EnvSource(*args.env, nested=args.nested))
    if args.overrides:
        sources.append(ArgumentsSource(args.overrides))
    if args.nested and not args.env:
        raise CommandFailure("--nested is about variables: name them by --env PREFIX", status=2)
    if not sources:
        raise CommandFailure("nothing to show: name a file or folder, --env or --set", status=2)
    config = Config(*sources, actual_types=args.actual_types, required=args.required)
    async with config:
        if not args.key:
            return config, redacted(config.snapshot)
        try:
            part = config.snapshot[args.key]
        except KeyError:
            there = ", ".join(config.snapshot.tree) or "nothing"
            raise CommandFailure(f"there is no {args.key!r}; at the top there is {there}") from None
        return config, redacted(part, key=args.key.rpartition(".")[2])


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
