"""What a Dockerfile says, line by line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

__all__ = ["Instruction", "WrongDockerfileError", "expand", "read"]

_VARIABLE: Final = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class WrongDockerfileError(Exception):
    """A Dockerfile, or one of its steps, is wrong; the text begins with its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction.

    Attributes:
        where: File and line that it begins on.
        name: Its word, in capitals.
        rest: What follows that.
    """

    where: str
    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows, word by word."""
        return self.listed or shlex.split(self.rest)

    @property
    def listed(self) -> list[str] | None:
        """The words of a list in JSON; ``None`` for anything else, which is for a shell."""
        if not self.rest.startswith("["):
            return None
        try:
            return cast("list[str]", json.loads(self.rest))
        except ValueError:
            return None

    @property
    def command(self) -> list[str]:
        """What to run."""
        return self.listed or ["/bin/sh", "-c", self.rest]

    def wrong(self, reason: str) -> WrongDockerfileError:
        """Return the error that says what is wrong with it."""
        return WrongDockerfileError(f"{self.where}: {self.name} {self.rest}: {reason}")


def read(file: Path) -> list[Instruction]:
    """Return the instructions of a Dockerfile.

    Raises:
        WrongDockerfileError: It does not begin with ``FROM``, or ``ARG``.
    """
    found: list[Instruction] = []
    begun, text = 0, ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not text):
            continue
        begun = begun if text else number
        text += line.strip()
        if text.endswith("\\"):
            text = f"{text[:-1].rstrip()} "
            continue
        name, _, rest = text.partition(" ")
        where = f"{file.name}:{begun}"
        found.append(Instruction(where=where, name=name.upper(), rest=rest.strip()))
        text = ""
    if not found or found[0].name not in {"ARG", "FROM"}:
        raise WrongDockerfileError(f"{file.name} does not begin with FROM")
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with the values of variables in place of their names."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), text)
