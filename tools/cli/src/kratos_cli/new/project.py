"""Makes a project beside the place where it will be, and moves it there when it is whole."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path, PurePosixPath

from kratos_cli.failure import CommandFailure
from kratos_cli.new.plan import Plan
from kratos_cli.new.record import ARCHIVE, FILE, Record
from kratos_cli.new.repository import Repository
from kratos_cli.new.snapshot import snapshot
from kratos_cli.new.source import Source
from kratos_cli.new.template import Generation, Template
from kratos_cli.proto import compile_protos

__all__ = ["changed_definitions", "make"]


def make(source: Source, plan: Plan, *, replace: bool = False) -> list[Path]:
    """Make a project, and return the paths of its files, within its folder.

    If it fails, everything is as it was: the project is made beside its place, and moved at the
    end.

    Args:
        source: Of which template.
        plan: What.
        replace: Whether what is in its folder makes room for it.

    Raises:
        CommandFailure: The template is wrong, or there is no room for the project.
    """
    template = Template(source.folder)
    try:
        with _beside(plan.folder) as workshop:
            new = workshop / "new"
            new.mkdir()  # with the permissions that others have
            _write(template, plan, new)
            _generate(template, plan, new)
            _remember(source, template, plan, new)
            made = sorted(path.relative_to(new) for path in new.rglob("*") if path.is_file())
            if plan.repository is not None:
                plan.repository.with_member(plan.path)  # which may be refused
                _complete(plan.repository, template, plan)
            _move(new, plan.folder, workshop / "old" if replace else None)
            if plan.repository is not None:
                # Read again: another service may have been added meanwhile.
                joining = Repository.around(plan.folder).with_member(plan.path)
                (workshop / "hatch.toml").write_text(joining, encoding="utf-8")
                (workshop / "hatch.toml").replace(plan.repository.folder / "hatch.toml")
    except OSError as error:
        raise CommandFailure(f"{error.filename or plan.folder}: {error.strerror}") from error
    return made


def changed_definitions(source: Source, plan: Plan) -> list[str]:
    """Return the definitions that services share and that are not as the template has them.

    A new service is one of the template's: it may lack methods, or use what is gone.

    Args:
        source: The template.
        plan: What was made; nothing is returned unless it was added to a repository.
    """
    if plan.repository is None:
        return []
    template = Template(source.folder)
    folder, (values, flags) = plan.repository.folder, _shared(plan.repository, plan)
    roots = [item.protos for item in template.generations(values) if item.shared]
    return [
        str(path)
        for path, content, _ in template.files(values, flags)
        if any(path.is_relative_to(root) for root in roots)
        and (folder / path).is_file()
        and (folder / path).read_bytes() != content
    ]


@contextlib.contextmanager
def _beside(folder: Path) -> Generator[Path]:
    """Yield an empty folder on the file system of another, which need not be there."""
    there = next(parent for parent in folder.parents if parent.is_dir())
    with tempfile.TemporaryDirectory(prefix=".kratos-new-", dir=there) as temporary:
        yield Path(temporary)


def _write(template: Template, plan: Plan, new: Path) -> None:
    for path, content, is_program in template.files(plan.values(), plan.flags):
        file = new / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if is_program:
            file.chmod(file.stat().st_mode | 0o111)


def _generate(template: Template, plan: Plan, new: Path) -> None:
    for item in template.generations(plan.values()):
        if not item.shared or plan.repository is None:
            _compile(item, [Path(item.protos)], new)


def _remember(source: Source, template: Template, plan: Plan, new: Path) -> None:
    """Write down what it was made of, which updates go on from."""
    (new / FILE).parent.mkdir()
    (new / FILE).write_text(Record.of(source, plan).text(), encoding="utf-8")
    (new / ARCHIVE).write_bytes(snapshot(template))


def _complete(repository: Repository, template: Template, plan: Plan) -> None:
    """Bring what its services share and the repository lacks, as when its example is deleted."""
    values, flags = _shared(repository, plan)
    contents = {path: content for path, content, _ in template.files(values, flags)}
    for item in template.generations(values):
        if item.shared:
            missing = _missing(repository.folder, item, contents)
            for path, content in missing.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if missing:
                _compile(item, list(missing), repository.folder)


def _shared(repository: Repository, plan: Plan) -> tuple[dict[str, str], dict[str, bool]]:
    """Return what placeholders stand for in the repository itself, and the parts that it has."""
    values = plan.values() | {"name": repository.name, "package": repository.package}
    return values, plan.flags | {"service": False, "project": True}


def _missing(
    folder: Path, item: Generation, contents: Mapping[PurePosixPath, bytes]
) -> dict[Path, bytes]:
    return {
        folder / path: content
        for path, content in contents.items()
        if path.is_relative_to(item.protos) and not (folder / path).exists()
    }


def _compile(item: Generation, protos: list[Path], folder: Path) -> None:
    # Run there, for what the present folder has in third_party is not the new project's.
    with contextlib.chdir(folder):
        compile_protos(protos, roots=[Path(item.root)], out=Path(item.out))


def _move(new: Path, folder: Path, old: Path | None) -> None:
    """Put the project in its place, and what was there into the folder ``old``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        new.rename(folder)
        return
    if old is None and any(folder.iterdir()):  # nobody was asked about that
        raise CommandFailure(
            f"{folder} has been filled meanwhile by somebody else; nothing is made"
        )
    # What is in it is moved and not the folder: it may be somebody's current one.
    if old is not None:
        old.mkdir()
        _move_all(folder, old)
    try:
        _move_all(new, folder)
    except OSError:
        if old is not None:
            _move_all(folder, new)
            _move_all(old, folder)
        raise


def _move_all(here: Path, there: Path) -> None:
    for path in here.iterdir():
        path.rename(there / path.name)
