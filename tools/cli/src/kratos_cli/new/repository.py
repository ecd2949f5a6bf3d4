"""The project that another service is added to: `kratos new app/user --nomod`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kratos_cli.failure import CommandFailure

__all__ = ["Repository"]

_MEMBERS: Final = re.compile(r"^(workspace\.members\s*=\s*)\[([^\]]*)\]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A project with services.

    Attributes:
        folder: Where it is.
        name: Its distribution.
        members: Paths of the services that it has besides its own.
    """

    folder: Path
    name: str
    members: tuple[str, ...]

    @classmethod
    def around(cls, folder: Path) -> Repository:
        """Return the project whose folder this one is in.

        Raises:
            CommandFailure: There is none, or it cannot be read.
        """
        for parent in folder.parents:
            file = parent / "pyproject.toml"
            if not (file.is_file() and (parent / "hatch.toml").is_file()):
                continue
            try:
                project: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
                name = str(project["name"])
                hatch = tomllib.loads((parent / "hatch.toml").read_text(encoding="utf-8"))
                members = hatch["envs"]["default"]["workspace"]["members"]
            except (KeyError, TypeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise CommandFailure(
                    f"{parent} is no project that a service can be added to ({error}): "
                    "it needs project.name in pyproject.toml, and in hatch.toml a list "
                    "workspace.members in envs.default"
                ) from error
            return cls(folder=parent, name=name, members=tuple(map(str, members)))
        raise CommandFailure(
            f"--nomod adds a service to a project, and {folder} is in none: no folder above has a "
            "pyproject.toml and a hatch.toml; make the project first, by kratos new NAME",
            status=2,
        )

    @property
    def package(self) -> str:
        """What is imported of it."""
        return self.name.replace("-", "_")

    def with_member(self, path: str) -> str:
        """Return its hatch.toml with one more service.

        Raises:
            CommandFailure: The list is written in a way that cannot be added to.
        """
        text = (self.folder / "hatch.toml").read_text(encoding="utf-8")
        lines = "".join(f'    "{member}",\n' for member in (*self.members, path))
        changed, count = _MEMBERS.subn(lambda found: f"{found[1]}[\n{lines}]", text, count=1)
        if count == 0:
            raise CommandFailure(
                f"{self.folder / 'hatch.toml'}: write a line 'workspace.members = []' below "
                "[envs.default], where services are added"
            )
        return changed
