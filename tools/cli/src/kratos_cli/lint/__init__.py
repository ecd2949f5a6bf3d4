"""``kratos lint``: what code, definitions and configuration of a project should not do.

Nothing of the project is imported or run; of Kratos, signatures of what is installed are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kratos_cli.failure import CommandFailure
from kratos_cli.lint.awaiting import check_awaiting
from kratos_cli.lint.blocking import check_blocking
from kratos_cli.lint.configs import check_configuration
from kratos_cli.lint.definitions import Compiled, NotCompiled, compiled
from kratos_cli.lint.files import Group, grouped, walk
from kratos_cli.lint.ignoring import without_ignored, without_ignored_lines
from kratos_cli.lint.layering import check_layers
from kratos_cli.lint.options import check_options
from kratos_cli.lint.project import Project
from kratos_cli.lint.reasons import check_reasons
from kratos_cli.lint.settings import Configuration, Settings, matches, root_of
from kratos_cli.lint.source import Found, Source, unreadable
from protoc_gen_kratos.lint import RULES as PROTO_RULES

__all__ = ["lint"]

_CONFIGURATION: Final = frozenset(("KR001", "KR501", "KR502"))
_DEFINITIONS: Final = frozenset(("KR001", *PROTO_RULES))


def lint(given: Sequence[str], *, select: Sequence[str], ignore: Sequence[str]) -> list[Found]:
    """Return what is found in files and folders, by file and line.

    Args:
        given: Files and folders.
        select: Rules to keep; those of each project, if there is none.
        ignore: Rules to do without, besides those of each project.

    Raises:
        CommandFailure: Something is not there, or settings are wrong.
    """

    def settings(root: Path) -> Settings:
        return Settings.of(root, select=select, ignore=ignore)

    groups = list(grouped(given, settings))
    project = Project(path for group in groups for path in group.code)
    found = [
        each
        for group in groups
        for each in (*_in_code(group, project), *_elsewhere(group))
        if each.finding.rule in group.rules
    ]
    return sorted(found, key=lambda each: each.finding)


def _in_code(group: Group, project: Project) -> Iterator[Found]:
    for path in group.code:
        try:
            source = Source.read(path)
            checked = list(_checked(source, project, group.settings))
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            yield unreadable(path, error)
            continue
        found = [each for each in checked if each.finding.rule in group.rules]
        yield from without_ignored(source, found, group.rules)


def _checked(source: Source, project: Project, settings: Settings) -> Iterator[Found]:
    scopes = project.add(source)
    yield from check_layers(source, project, settings.layers)
    yield from check_blocking(source, scopes, project, settings.blocking)
    yield from check_awaiting(source, scopes, project)
    yield from check_options(source, scopes, project)
    yield from check_reasons(source, scopes, project)


def _elsewhere(group: Group) -> Iterator[Found]:
    """Yield what is found in definitions and files of configuration."""
    files = dict(_configurations(group)) if not _CONFIGURATION.isdisjoint(group.rules) else {}
    asked = group.definitions if not _DEFINITIONS.isdisjoint(group.rules) else ()
    definitions = sorted({*group.definitions, *_of_project(group)}) if asked or files else []
    if not definitions:
        return
    try:
        known = compiled(definitions, group.root)
        messages = [each.message for each in group.settings.configs]
        names = [name for name in map(known.full_name, messages) if name is not None]
        yield from known.findings(asked, without_version=names)
    except NotCompiled as error:
        yield from error.found
        return
    for path, message in files.items():
        yield from _in_configuration(path, message, known)


def _configurations(group: Group) -> Iterator[tuple[Path, str]]:
    for configuration in group.settings.configs:
        for path in group.others:
            if matches(path, group.root, configuration.files):
                yield path, configuration.message


def _of_project(group: Group) -> Iterator[Path]:
    """Yield what else a project defines; what is no project has what is asked for alone."""
    if not group.is_project:
        return
    given = {path.absolute() for path in group.definitions}
    for path in walk(group.root, (".proto",)):
        if path not in given and root_of(path) == group.root:  # there may be one inside
            yield path


def _in_configuration(path: Path, message: str, known: Compiled) -> Iterator[Found]:
    full_name = known.full_name(message)
    if full_name is None and message != Configuration().message:
        raise CommandFailure(f"{path}: there is no message {message} to read it as", status=2)
    if full_name is not None:
        found = check_configuration(path, known.message(full_name))
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from without_ignored_lines(text, found)
