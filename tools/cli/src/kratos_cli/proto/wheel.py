"""Writes wheels: the same files make the same bytes, on every machine."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kratos_cli.writing import write_whole

__all__ = ["Wheel", "WheelError"]

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
# The normal form of PEP 440, without epoch and local part.
_VERSION: Final = re.compile(
    r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?", re.ASCII
)
# The first moment that an archive can tell: a file has no other time that all machines share.
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE: Final = 0o100644


class WheelError(ValueError):
    """A name or a version that no wheel can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel of pure Python.

    Attributes:
        name: Name of the distribution.
        version: Its version, in the normal form of PEP 440.
        summary: One line about it.
        description: Page about it, in Markdown.
        requires: Requirements, such as ``protobuf>=6.31``.
        entry_points: Objects by name, by group.
        files: Content by path in the archive, with slashes.
        generator: Who made it.

    Raises:
        WheelError: The name or the version cannot be.
    """

    name: str
    version: str
    summary: str
    description: str
    requires: Sequence[str]
    entry_points: Mapping[str, Mapping[str, str]]
    files: Mapping[str, bytes]
    generator: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise WheelError(
                f"{self.name!r} is no name of a distribution; use letters, digits, '-', '_', '.'"
            )
        if not _VERSION.fullmatch(self.version):
            raise WheelError(
                f"{self.version!r} is no version in normal form; write it like 1.2.0 or 1.2.0rc1"
            )
        for text in (self.summary, *self.requires):
            if not text.isprintable():  # a line more would be a field more
                raise WheelError(f"{text!r} has to be one line, of characters that can be printed")

    @property
    def file_name(self) -> str:
        """Name of the archive."""
        return f"{self._stem}-py3-none-any.whl"

    def content(self) -> bytes:
        """Return the archive."""
        info = f"{self._stem}.dist-info"
        files = {
            **dict(sorted(self.files.items())),
            f"{info}/METADATA": self._metadata().encode(),
            f"{info}/WHEEL": self._tags().encode(),
            f"{info}/entry_points.txt": self._entry_points().encode(),
        }
        rows = [(path, _digest(data), str(len(data))) for path, data in files.items()]
        files[f"{info}/RECORD"] = _table([*rows, (f"{info}/RECORD", "", "")])
        buffer = io.BytesIO()
        # Not compressed: libraries of different machines would do it differently.
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for path, data in files.items():
                member = zipfile.ZipInfo(path, _MOMENT)
                member.external_attr = _REGULAR_FILE << 16
                member.create_system = 3  # Unix, wherever it is made
                archive.writestr(member, data)
        return buffer.getvalue()

    def write(self, folder: Path) -> Path:
        """Write the archive into a folder, which is made if need be; return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        write_whole(path, self.content())
        return path

    @property
    def _stem(self) -> str:
        return f"{re.sub('[-_.]+', '_', self.name).lower()}-{self.version}"

    def _metadata(self) -> str:
        lines = [
            "Metadata-Version: 2.3",
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Summary: {self.summary}",
            "Requires-Python: >=3.11",
            *(f"Requires-Dist: {requirement}" for requirement in self.requires),
            "Classifier: Typing :: Typed",
            "Description-Content-Type: text/markdown",
            "",
            self.description,
        ]
        return "\n".join(lines)

    def _tags(self) -> str:
        return (
            f"Wheel-Version: 1.0\nGenerator: {self.generator}\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n"
        )

    def _entry_points(self) -> str:
        return "\n".join(
            f"[{group}]\n"
            + "".join(f"{name} = {value}\n" for name, value in sorted(points.items()))
            for group, points in sorted(self.entry_points.items())
        )


def _table(rows: Sequence[Sequence[str]]) -> bytes:
    """Return rows as CSV: names of definitions may have commas in them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _digest(data: bytes) -> str:
    encoded = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return f"sha256={encoded.rstrip(b'=').decode()}"
