"""The command ``kratos-gateway``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TextIO, cast

from kratos import App, run
from kratos.errors import KratosError
from kratos.log import Level, setup
from kratos.process import worker_slot
from kratos_gateway.settings import Settings
from kratos_gateway.survey import survey

__all__ = ["build", "main"]

_ARGUMENTS: Final = "KRATOS_GATEWAY_ARGUMENTS"  # by which workers learn how it was called
_BUILD: Final = f"{__name__}:build"
_REFUSED: Final = 2
_DRY_TIMEOUT: Final = 10.0  # seconds for registries


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: What follows its name; ``None`` for those of the process.

    Raises:
        SystemExit: With 1 where a configuration has problems or serving failed, with 2 where the
            command was called wrongly or cannot start with what it was given.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["check"]:
        sys.exit(_check(given[1:]))
    try:
        settings = Settings.of(given)
        if settings.dry_run:
            asyncio.run(_dry_run(settings))
            _say(f"{settings.source or settings.conf} can be served", sys.stdout)
            return
    except (KratosError, OSError) as error:
        _say(f"kratos-gateway: {error}", sys.stderr)
        sys.exit(_REFUSED)
    os.environ[_ARGUMENTS] = json.dumps(given)
    _set_up_log(settings)
    run(_BUILD, workers=settings.workers)


def build() -> App:
    """Return the application that ``main`` was asked for, in this process or in a worker.

    Raises:
        ConfigError: It was asked for something that cannot be used.
    """
    from kratos_gateway.assembly import application

    given: list[str] = json.loads(os.environ.get(_ARGUMENTS, "[]"))
    settings = Settings.of(given)
    if worker_slot() is not None:  # else it has been done
        _set_up_log(settings)
    return application(replace(settings, own_process=True))


def _set_up_log(settings: Settings) -> None:
    if settings.log_format or settings.log_level:
        level = Level[settings.log_level.upper() or "INFO"]
        setup(level=level, format=cast("Any", settings.log_format or "text"))


async def _dry_run(settings: Settings) -> None:
    """Make all that would be served, and give it back; no address is taken."""
    from kratos.tls import Rotation, server_context  # nobody else here needs them
    from kratos.workers import supervise
    from kratos_gateway.assembly import application_of, assemble

    limit = settings.resolve_timeout or _DRY_TIMEOUT
    parts = assemble(replace(settings, resolve_timeout=limit), environ=os.environ)
    async with AsyncExitStack() as stack:
        for resource in parts.resources:
            await stack.enter_async_context(resource)
        stack.push_async_callback(parts.gateway.configuration.aclose)
        app = application_of(parts, settings, environ=os.environ)
        if settings.workers:
            supervise(app, _BUILD, workers=settings.workers)
        if settings.tls is not None:
            Rotation(settings.tls, server_context)  # as each address makes it when it is taken
        await parts.gateway.apply(await parts.gateway.configuration.load())
        serving = parts.gateway.serving
        assert serving is not None, "applied just now"
        await serving.aclose(drain=0.0)


def _check(arguments: Sequence[str]) -> int:
    """Tell what is wrong with files; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="kratos-gateway check",
        description="Tell what is wrong with a configuration; nothing is connected.",
    )
    parser.add_argument("file", nargs="?", default="config.yaml", help="default config.yaml")
    parser.add_argument("--priority", metavar="FOLDER", help="priority files that it goes with")
    parser.add_argument("--no-discovery", action="store_true", help="there will be no registry")
    parser.add_argument(
        "--private-metrics", action="store_true", help="/metrics will be a path of the endpoints"
    )
    parser.add_argument("--strict", action="store_true", help="warnings fail, too")
    given = parser.parse_args(arguments)
    discovery = False if given.no_discovery else None
    metrics = False if given.private_metrics else None
    found = list(survey(Path(given.file), given.priority, discovery=discovery, metrics=metrics))
    for name, problem in found:
        _say(f"{name}: {problem}", sys.stderr)
    if any(problem.fatal or given.strict for _, problem in found):
        return 1
    _say(f"{given.file} {'has no errors' if found else 'is well'}", sys.stdout)
    return 0


def _say(text: str, where: TextIO) -> None:
    print(text, file=where)
