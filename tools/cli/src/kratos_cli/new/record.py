"""What a project remembers of its making: the folder ``.kratos``."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from kratos_cli.failure import CommandFailure
from kratos_cli.new.names import names_of
from kratos_cli.new.plan import Plan
from kratos_cli.new.repository import Repository
from kratos_cli.new.source import BUILT_IN, Source

__all__ = ["ARCHIVE", "FILE", "Record"]

FILE: Final = Path(".kratos/template.toml")
ARCHIVE: Final = Path(".kratos/template.zip")
_ABOUT: Final = f"""\
# What this was made of, by kratos new; kratos new --update goes on from here. {ARCHIVE.name} is the
# template as it was. Keep both. If you rename the project, write its new name here.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a project was made of.

    Attributes:
        place: Of the template: ``kratos-cli``, a URL, or a folder, from that of the project on.
        branch: A branch or tag of it; empty for the default.
        version: Which one it was; empty for a folder as it stands.
        name: The name of the project.
        http: Whether it serves HTTP.
        grpc: Whether it serves gRPC.
        number: Its place among the services of a repository, from 1; 0 for one of its own.
        requires: The versions of ``kratos`` and of ``cli`` that it asks for.
    """

    place: str
    branch: str
    version: str
    name: str
    http: bool
    grpc: bool
    number: int
    requires: Mapping[str, str]

    @classmethod
    def of(cls, source: Source, plan: Plan) -> Self:
        """Return what is to be remembered of a project."""
        place = source.place
        if place != BUILT_IN and os.path.isabs(place):  # noqa: PTH117  a URL is no path
            # From here on, so that it is right on all machines if both are in one repository.
            place = Path(os.path.relpath(place, plan.folder)).as_posix()
        return cls(
            place=place,
            branch=source.branch,
            version=source.version,
            name=plan.names.distribution,
            http=plan.http,
            grpc=plan.grpc,
            number=plan.number,
            requires=dict(plan.requires),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what a project remembers.

        Raises:
            CommandFailure: Nothing, or it cannot be understood.
        """
        file = folder / FILE
        try:
            data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
            template, answers, requires = data["template"], data["answers"], data["requires"]
            return cls(
                **{key: _typed(template, key, str) for key in ("place", "branch", "version")},
                name=_typed(answers, "name", str),
                **{key: _typed(answers, key, bool) for key in ("http", "grpc")},
                number=_typed(answers, "number", int),
                requires={key: _typed(requires, key, str) for key in ("kratos", "cli")},
            )
        except (FileNotFoundError, NotADirectoryError):
            raise CommandFailure(
                f"{folder} has no {FILE}, in which kratos new writes down what it makes: name the "
                "folder of a project, and take the file back if it was removed",
                status=2,
            ) from None
        except (KeyError, TypeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CommandFailure(
                f"{file} cannot be understood: {_reason(error)}; take it back from the repository"
            ) from error

    def text(self) -> str:
        """Return it as it is written."""
        tables: dict[str, Mapping[str, object]] = {
            "template": {"place": self.place, "branch": self.branch, "version": self.version},
            "answers": {
                "name": self.name,
                "http": self.http,
                "grpc": self.grpc,
                "number": self.number,
            },
            "requires": self.requires,
        }
        lines = [_ABOUT]
        for name, table in tables.items():
            lines += [f"[{name}]\n", *(f"{key} = {_toml(table[key])}\n" for key in table), "\n"]
        return "".join(lines[:-1])

    def plan(self, folder: Path, requires: Mapping[str, str] | None = None) -> Plan:
        """Return what to make so that the same project comes of it.

        Args:
            folder: Where the project is.
            requires: Versions to ask for in place of those that it asks for.

        Raises:
            CommandFailure: Its name is none, or it is in no repository and should be.
        """
        return Plan(
            folder=folder,
            names=names_of(self.name),
            http=self.http,
            grpc=self.grpc,
            repository=Repository.around(folder) if self.number else None,
            number=self.number,
            requires=requires or self.requires,
        )

    def repo(self, folder: Path) -> str | None:
        """Return where the template is now, as ``kratos_cli.new.source.opened`` takes it.

        Args:
            folder: Where the project is.
        """
        if self.place == BUILT_IN:
            return None
        path = folder / self.place
        return str(path.resolve()) if path.is_dir() else self.place


def _typed(table: Mapping[str, Any], key: str, kind: type) -> Any:
    if type(table[key]) is not kind:
        raise TypeError(f"{key} is no {_KINDS[kind]}")
    return table[key]


_KINDS: Final[Mapping[type, str]] = {str: "text", bool: "true or false", int: "number"}


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _toml(value: object) -> str:
    return json.dumps(value)  # of texts, numbers and truth values, both write the same
