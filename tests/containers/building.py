"""Builds images of a Dockerfile, step by step, below folders and without Docker.

Every base image is the system of this machine, read-only, with its Python called ``python``: steps
that install packages of a distribution, or that write elsewhere than into folders of their own, are
beyond it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.containers.context import Context
from tests.containers.dockerfile import Instruction, expand, read
from tests.containers.inside import Settings
from tests.containers.namespaces import entering

__all__ = ["Image", "build"]

_LONGEST: Final = 600  # seconds for a step
_SYSTEM: Final = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr")
_OWN: Final = ("dev", "home", "mnt", "opt", "proc", "root", "run", "tmp", "var")
_PYTHON: Final = "/opt/python/bin"
_PATH: Final = f"{_PYTHON}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(kw_only=True)
class Image:
    """What a stage of a Dockerfile makes.

    Attributes:
        root: Folder of its files.
        system: Folders of this machine that it has, too, by their places in it.
        environment: Variables of its programs.
        folder: Current folder of its programs.
        user: User and group of its programs.
        volumes: Folders that can be written even where nothing else can.
        exposed: Ports that it says it listens on.
        entrypoint: What runs the command; empty for the command itself.
        command: What is run.
    """

    root: Path
    system: dict[str, Path]
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    folder: str = "/"
    user: tuple[int, int] = (0, 0)
    volumes: list[str] = field(default_factory=list[str])
    exposed: list[int] = field(default_factory=list[int])
    entrypoint: list[str] = field(default_factory=list[str])
    command: list[str] = field(default_factory=list[str])

    def settings(self, command: Sequence[str], **variables: str) -> Settings:
        """Return how to run a program of this image, with the network of this machine."""
        home = "/root" if self.user[0] == 0 else "/"
        return {
            "root": str(self.root),
            "system": [(str(outside), within) for within, outside in self.system.items()],
            "volumes": None,
            "alone": False,
            "joins": False,
            "folder": self.folder,
            "user": self.user,
            "environment": {"HOME": home, **variables, **self.environment},
            "command": list(command),
        }


def build(
    dockerfile: Path,
    context: Path,
    folder: Path,
    *,
    mounts: Mapping[str, Path] | None = None,
    variables: Mapping[str, str] | None = None,
    made: dict[str, Image] | None = None,
) -> Image:
    """Build the last stage of a Dockerfile, and those before it.

    Args:
        dockerfile: Which.
        context: Folder that it copies from.
        folder: Where images go.
        mounts: Folders that steps find, too, by their places.
        variables: Of the environment of steps, not of the image.
        made: Stages of the same context by their text, which are not built again; filled with those
            that are.

    Raises:
        WrongDockerfileError: A step is wrong, or fails; the text says which and why.
    """
    known: dict[str, Image] = {} if made is None else made
    stages: dict[str, Image] = {}
    image = None
    for steps in _stages(read(dockerfile)):
        text = "\n".join(f"{step.name} {step.rest}" for step in steps)
        image = known.get(text)
        if image is None:
            folder.mkdir(parents=True, exist_ok=True)
            root = folder / str(len(list(folder.iterdir())))
            image = _Stage(
                steps, Context(context), root, stages, mounts or {}, variables or {}
            ).image
            known[text] = image
        base, _, name = steps[0].rest.partition(" AS ")
        stages[name or base] = image
    assert image is not None
    return image


def _stages(steps: Sequence[Instruction]) -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for step in steps:
        if step.name == "FROM":
            found.append([])
        elif not found:
            raise step.wrong("it stands before FROM")
        found[-1].append(step)
    return found


def _base(root: Path, mounts: Mapping[str, Path]) -> Image:
    """Make a root with the system of this machine."""
    root.mkdir()
    system = dict(mounts)
    for name in _SYSTEM:
        outside = Path("/", name)
        if outside.is_symlink():
            (root / name).symlink_to(outside.readlink())
        elif outside.is_dir():
            system[f"/{name}"] = outside
    prefix = Path(sys.base_prefix).resolve()
    if not prefix.is_relative_to("/usr"):
        system[str(prefix)] = prefix
    for name in (*_OWN, *(within.lstrip("/") for within in system)):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("full", "null", "random", "urandom", "zero"):
        (root / "dev" / name).touch()
    python = root / _PYTHON.lstrip("/") / "python"
    python.parent.mkdir(parents=True)
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    python.write_text(f'#!/bin/sh\nexec {executable} "$@"\n')
    python.chmod(0o755)
    return Image(root=root, system=system)


class _Stage:
    """Follows the instructions of a stage."""

    def __init__(
        self,
        steps: Sequence[Instruction],
        context: Context,
        root: Path,
        others: Mapping[str, Image],
        mounts: Mapping[str, Path],
        variables: Mapping[str, str],
    ) -> None:
        self._context = context
        self._others = others
        self._variables = variables
        self.image = _base(root, mounts)
        for step in steps:
            follow = getattr(self, f"_{step.name.lower()}", None)
            if follow is None:
                raise step.wrong("this is not known here")
            follow(step)

    def _from(self, step: Instruction) -> None:
        image = step.rest.partition(" ")[0]
        if image in self._others:
            raise step.wrong("stages that go on from others are not known here")
        if not image.startswith("python:"):
            raise step.wrong("images of Python alone are known here")

    def _run(self, step: Instruction) -> None:
        settings = self.image.settings(step.command, **self._variables)
        try:
            done = subprocess.run(
                entering(settings),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=_LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise step.wrong(f"it took longer than {_LONGEST} s") from None
        if done.returncode != 0:
            raise step.wrong(f"it ended with {done.returncode}\n{done.stdout}")

    def _copy(self, step: Instruction) -> None:
        words = step.words
        stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
        if any(word.startswith("--") for word in words) or len(words) < 2:
            raise step.wrong("sources and a target are known here, and --from")
        *sources, target = words
        place = self._below(step, target)
        is_folder = target.endswith("/") or place.is_dir()
        if len(sources) > 1 and not target.endswith("/"):
            raise step.wrong("the target of several files ends with /")
        for source in sources:
            self._copy_one(step, source, place, stage, is_folder=is_folder)

    def _copy_one(
        self, step: Instruction, source: str, place: Path, stage: str | None, *, is_folder: bool
    ) -> None:
        inside = Path(source.lstrip("/"))
        if stage is not None:
            if stage not in self._others:
                raise step.wrong(f"there is no stage {stage!r} before this one")
            root = self._others[stage].root
            if not (root / inside).is_dir():
                raise step.wrong(f"the stage {stage!r} has no folder {source}")
            shutil.copytree(root / inside, place, symlinks=True, dirs_exist_ok=True)
            return
        if not self._context.has(inside):
            raise step.wrong(f"there is no {source!r} to copy, or .dockerignore names it")
        is_file = not (self._context.folder / inside).is_dir()
        self._context.copy(inside, place / inside.name if is_file and is_folder else place)

    def _workdir(self, step: Instruction) -> None:
        place = self._below(step, expand(step.rest, self.image.environment))
        place.mkdir(parents=True, exist_ok=True)
        self.image.folder = f"/{place.relative_to(self.image.root)}"

    def _env(self, step: Instruction) -> None:
        before = dict(self.image.environment)  # what stands in one line does not see itself
        for pair in shlex.split(step.rest):
            name, equals, value = pair.partition("=")
            if not equals:
                raise step.wrong(f"{pair!r} is no NAME=VALUE")
            self.image.environment[name] = expand(value, before)

    def _user(self, step: Instruction) -> None:
        user, _, group = step.rest.partition(":")
        names = {"root": "0"}
        try:
            number = int(names.get(user, user))
            self.image.user = number, int(names.get(group, group) or 0)
        except ValueError:
            raise step.wrong("users are known here by their numbers alone") from None

    def _expose(self, step: Instruction) -> None:
        try:
            self.image.exposed += [int(word.removesuffix("/tcp")) for word in step.words]
        except ValueError:
            raise step.wrong("a port is a number") from None

    def _volume(self, step: Instruction) -> None:
        for word in step.words:
            self._below(step, word).mkdir(parents=True, exist_ok=True)
            self.image.volumes.append(word)

    def _entrypoint(self, step: Instruction) -> None:
        self.image.entrypoint = step.command

    def _cmd(self, step: Instruction) -> None:
        self.image.command = step.command

    def _label(self, step: Instruction) -> None:
        """Leave it: nothing here asks for labels."""

    def _below(self, step: Instruction, path: str) -> Path:
        """Return where a path of the image is outside."""
        inside = os.path.normpath(Path(self.image.folder, path))
        if any(Path(inside).is_relative_to(each) for each in self.image.system):
            raise step.wrong(f"{inside} is the system's, which cannot be written here")
        return self.image.root / inside.lstrip("/")
