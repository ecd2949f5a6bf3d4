"""Prepare the release of one package, as ``./hatchw run release kratos-http`` does.

It refuses where tag, ``pyproject.toml`` and changelogs differ or something is not committed; builds
the sdist, and the wheel from it; looks at what is in them; and runs the package's tests on the
wheel, in an environment of its own. What it leaves in ``dist`` is ready to be uploaded.

``./hatchw run release --table`` writes the table of what works with what into README.md.
"""

from __future__ import annotations

import argparse
import email.parser
import email.policy
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[1]
CORE = "kratos-core"
BEGIN, END = "<!-- written by: ./hatchw run release --table -->\n", "<!-- end -->\n"


class Refusal(Exception):
    """What has to be mended before a release, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A package of this repository.

    Attributes:
        folder: Where it is, from the root.
        project: The table of its ``pyproject.toml``.
    """

    folder: str
    project: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its distribution."""
        return str(self.project["name"])

    @property
    def version(self) -> str:
        """Its version, as it is written."""
        return str(self.project["version"])

    @property
    def tag(self) -> str:
        """The tag of its release."""
        return f"{self.name}/v{self.version}"

    def requirements(self, names: Sequence[str]) -> Iterator[Requirement]:
        """Yield what it requires of some packages, by extras too."""
        extras: Mapping[str, Sequence[str]] = self.project.get("optional-dependencies", {})
        # Those of the core bring adapters, which say themselves what core they work with.
        optional = [line for lines in extras.values() for line in lines if self.name != CORE]
        for line in (*self.project.get("dependencies", ()), *optional):
            requirement = Requirement(line)
            if requirement.name in names and requirement.name != self.name:
                yield requirement


def members(root: Path) -> list[Member]:
    """Return all members, by name."""
    files = {*root.glob("*/pyproject.toml"), *root.glob("*/*/pyproject.toml")}
    found = [
        Member(
            folder=file.parent.relative_to(root).as_posix(),
            project=tomllib.loads(file.read_text(encoding="utf-8"))["project"],
        )
        for file in files
    ]
    return sorted(found, key=lambda member: member.name)


def table(root: Path) -> str:
    """Return the table of what works with what."""
    all_of_them = members(root)
    names = [member.name for member in all_of_them]
    lines = ["| package | version | kratos-core | others of ours |", "|---|---|---|---|"]
    for member in all_of_them:
        ranges = {each.name: f"`{_range(each)}`" for each in member.requirements(names)}
        core = ranges.pop(CORE, "itself" if member.name == CORE else "not needed")
        others = ", ".join(f"{name} {allowed}" for name, allowed in sorted(ranges.items()))
        lines.append(f"| {member.name} | {member.version} | {core} | {others or 'none'} |")
    return "".join(f"{line}\n" for line in lines)


def _range(requirement: Requirement) -> str:
    """Return the allowed versions, the lowest first."""
    bounds = sorted(requirement.specifier, key=lambda bound: Version(bound.version))
    return ",".join(map(str, bounds)) or "any"


def with_table(text: str, rows: str) -> str:
    """Return a page with the table in its place.

    Raises:
        Refusal: It has no place for one.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Refusal(f"README.md has no place for the table: {BEGIN.strip()} ... {END.strip()}")
    return f"{before}{begin}\n{rows}\n{end}{after}"


def differences(root: Path, member: Member) -> Iterator[str]:
    """Yield what is in the way of a release, in the checkout and in its history."""
    dirty = _git(root, "status", "--porcelain").splitlines()
    if dirty:
        yield f"not committed: {', '.join(line[3:] for line in dirty)}"
    tags = _git(root, "tag", "--points-at", "HEAD").split()
    if member.tag not in tags:
        own = [tag for tag in tags if tag.startswith(f"{member.name}/")]
        yield (
            f"{member.folder}/pyproject.toml says {member.version}, and this commit has "
            f"{f'the tag {own[0]}' if own else 'no tag of it'}: git tag {member.tag}"
        )
    changelog = (root / member.folder / "CHANGELOG.md").read_text(encoding="utf-8")
    top = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    if top is None or top[1] != member.version:
        yield (
            f"{member.folder}/CHANGELOG.md begins with {top[1] if top else 'no version'}, "
            f"and pyproject.toml says {member.version}"
        )
    row = f"| {member.name} | {member.version} | [{member.folder}]({member.folder}/CHANGELOG.md) |"
    if row not in (root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines():
        yield f"CHANGELOG.md lacks the row {row}"
    readme = (root / "README.md").read_text(encoding="utf-8")
    if with_table(readme, table(root)) != readme:
        yield "the table in README.md is out of date: ./hatchw run release --table"
    yield from _order(root, member)


def _order(root: Path, member: Member) -> Iterator[str]:
    """Yield what is wrong with a version beside those of earlier releases."""
    try:
        version = Version(member.version)
    except InvalidVersion:
        yield f"{member.version} is no version of Python's packages"
        return
    for tag in _git(root, "tag", "--list", f"{member.name}/v*").split():
        earlier = tag.rpartition("/v")[2]
        try:
            is_newer = Version(earlier) < version
        except InvalidVersion:  # a tag like that was no release
            continue
        if tag != member.tag and not is_newer:
            yield f"{earlier} is released already, and {member.version} is not newer"


def build(member: Member, root: Path, out: Path) -> tuple[Path, Path]:
    """Build sdist and wheel, the wheel from the sdist, and return their paths.

    Raises:
        Refusal: They cannot be built.
    """
    sdist = _built(root / member.folder, "sdist", out)
    with tempfile.TemporaryDirectory() as folder, tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
        return sdist, _built(next(Path(folder).iterdir()), "wheel", out)


def _built(folder: Path, kind: str, out: Path) -> Path:
    with tempfile.TemporaryDirectory() as new:
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", new]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise Refusal(f"{kind} of {folder} cannot be built: {done.stderr.strip()}")
        [built] = Path(new).iterdir()
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(built, out / built.name))


def faults(member: Member, package: str, sdist: Path, wheel: Path) -> Iterator[str]:
    """Yield what is wrong with what was built.

    Args:
        member: Of which.
        package: What is imported of it.
        sdist: The archive of its sources.
        wheel: What is installed.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = f"{package_name(member.name)}-{member.version}.dist-info"
        yield from _metadata_faults(member, archive.read(f"{about}/METADATA").decode())
    if f"{package}/py.typed" not in names:
        yield f"{wheel.name} ships no types: {package}/py.typed is missing"
    if not any(name.startswith(f"{about}/licenses/") for name in names):
        yield f"{wheel.name} has no license"
    strangers = {name.partition("/")[0] for name in names} - {package, about}
    if strangers:
        yield f"{wheel.name} has more than {package}: {', '.join(sorted(strangers))}"
    with tarfile.open(sdist) as archive_of_sources:
        there = {name.partition("/")[2] for name in archive_of_sources.getnames()}
    for name in ("CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"):
        if name not in there:
            yield f"{sdist.name} lacks {name}"
    if not any(name.startswith("tests/") for name in there):
        yield f"{sdist.name} has no tests"


def _metadata_faults(member: Member, text: str) -> Iterator[str]:
    metadata = email.parser.Parser(policy=email.policy.compat32).parsestr(text)
    for key, wanted in (
        ("Name", member.name),
        ("Version", member.version),
        ("License-Expression", "MIT"),
        ("Requires-Python", member.project["requires-python"]),
        ("Description-Content-Type", "text/markdown"),
    ):
        if metadata.get(key) != wanted:
            yield f"its metadata say {key}: {metadata.get(key)}, not {wanted}"
    if not str(metadata.get_payload()).strip():
        yield "its metadata have no description"
    for line in metadata.get_all("Requires-Dist", []):
        if Requirement(line).url is not None:
            yield f"it requires a package by address, which no index takes: {line}"


def package_name(distribution: str) -> str:
    """Return how names of files spell a distribution."""
    return re.sub(r"[-_.]+", "_", distribution).lower()


def test(member: Member, root: Path, wheel: Path) -> None:
    """Run the tests of a package on its wheel, beside wheels of the others as they are now.

    Raises:
        CalledProcessError: One fails, or the wheels do not install together.
    """
    with tempfile.TemporaryDirectory(prefix="kratos-release-") as folder:
        wheels, home = Path(folder, "wheels"), Path(folder, "environment")
        for other in members(root):
            if other.name != member.name:
                _built(root / other.folder, "wheel", wheels)
        shutil.copy(wheel, wheels)
        settings = Path(folder, "uv.toml")  # for our names no other index is asked
        settings.write_text(f'[[index]]\nname = "built"\nurl = "{wheels}"\nformat = "flat"\n')
        tools = tomllib.loads((root / "hatch.toml").read_text())["envs"]["test"]["dependencies"]
        wanted = Path(folder, "wanted.txt")
        wanted.write_text("\n".join([*tools, *(_with_extras(each) for each in members(root))]))
        _run("uv", "venv", "--quiet", "--python", sys.executable, str(home))
        install = ("uv", "pip", "install", "--quiet", "--config-file", str(settings))
        _run(*install, "--python", str(home), "--requirements", str(wanted))
        _run("uv", "pip", "check", "--quiet", "--python", str(home))
        python = str(home / "bin/python")
        _run(python, "-m", "pytest", "--numprocesses=2", f"{member.folder}/tests", cwd=root)


def _with_extras(member: Member) -> str:
    extras = ",".join(member.project.get("optional-dependencies", {}))
    return f"{member.name}[{extras}]=={member.version}"


def release(name: str, root: Path, out: Path) -> None:
    """Do all of it for one package.

    Raises:
        Refusal: It cannot be released.
        CalledProcessError: A program has failed; it has said why.
    """
    all_of_them = {member.name: member for member in members(root)}
    if name not in all_of_them:
        raise Refusal(f"there is no package {name}; there are {', '.join(all_of_them)}")
    member = all_of_them[name]
    found = list(differences(root, member))
    if found:
        raise Refusal("\n".join(found))
    sdist, wheel = build(member, root, out)
    package = next((root / member.folder / "src").iterdir()).name
    wrong = list(faults(member, package, sdist, wheel))
    if wrong:
        raise Refusal("\n".join(wrong))
    test(member, root, wheel)
    sys.stdout.write(f"{member.tag} is ready to be uploaded: {sdist} {wheel}\n")


def write_table(root: Path) -> None:
    """Write the table into README.md.

    Raises:
        Refusal: There is no place for it.
    """
    page = root / "README.md"
    page.write_text(with_table(page.read_text(encoding="utf-8"), table(root)), encoding="utf-8")


def main(words: Sequence[str], root: Path = ROOT) -> int:
    """Run the command line, and return its status: 0 done, 1 refused, 2 called wrongly."""
    parser = argparse.ArgumentParser(prog="release", description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("dist", nargs="?", metavar="DIST", help="distribution, such as kratos-http")
    what.add_argument("--table", action="store_true", help="write the table into README.md")
    parser.add_argument("-o", "--out", default="dist", metavar="DIR", help="default: dist")
    args = parser.parse_args(words)
    try:
        if args.table:
            write_table(root)
        else:
            release(args.dist, root, (root / args.out).absolute())
    except Refusal as refusal:
        sys.stderr.write("".join(f"release: {line}\n" for line in str(refusal).splitlines()))
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"release: {error.cmd[0]} failed with status {error.returncode}\n")
        return 1
    return 0


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
