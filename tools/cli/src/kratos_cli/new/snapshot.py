"""A template as it was: its files in an archive that a project keeps."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kratos_cli.failure import CommandFailure
from kratos_cli.new.template import Template

__all__ = ["opened_snapshot", "same", "snapshot"]

_BEGIN: Final = (1980, 1, 1, 0, 0, 0)  # no time but this: the same files make the same archive
_FILE: Final = 0o100644
_PROGRAM: Final = 0o100755


def snapshot(template: Template) -> bytes:
    """Return the files of a template as an archive.

    Raises:
        OSError: One of them cannot be read.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for inside, is_program in template.sources():
            entry = zipfile.ZipInfo(inside.as_posix(), date_time=_BEGIN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = (_PROGRAM if is_program else _FILE) << 16
            archive.writestr(entry, (template.folder / inside).read_bytes())
    return data.getvalue()


def same(one: bytes, other: bytes) -> bool:
    """Return whether two archives hold the same files; zlibs differ in how they pack them."""
    return one == other or _contents(one) == _contents(other)


@contextmanager
def opened_snapshot(data: bytes, *, where: Path) -> Generator[Template]:
    """Yield the template in an archive, for as long as the block takes.

    Args:
        data: The archive.
        where: What it is called in errors.

    Raises:
        CommandFailure: It is none, or it is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="kratos-new-") as temporary:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for entry in archive.infolist():
                    path = Path(archive.extract(entry, temporary))
                    if not entry.is_dir():
                        path.chmod(entry.external_attr >> 16 & 0o777 | 0o600)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise CommandFailure(
                f"{where} is damaged ({error}); take it back from the repository"
            ) from error
        yield Template(Path(temporary))


def _contents(data: bytes) -> dict[str, tuple[int, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {
            entry.filename: (entry.external_attr, archive.read(entry))
            for entry in archive.infolist()
        }
