"""What a project is called, as a distribution and as a package."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from typing import Final

from kratos_cli.failure import CommandFailure

__all__ = ["Names", "names_of"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST: Final = 40  # what is made of it has to fit into 63 characters, as Kubernetes wants
# Packages that a project uses, or has itself: its own package would hide them.
_TAKEN: Final = frozenset(
    (
        *("aegis", "aiosqlite", "asyncpg", "coverage", "google", "greenlet", "grpc", "hatch"),
        *("hatchling", "httptools", "hypothesis", "kratos", "mypy", "packaging", "pip", "pyright"),
        *(
            "pytest",
            "ruff",
            "sqlalchemy",
            "typing_extensions",
            "uv",
            "uvloop",
            "websockets",
            "yaml",
        ),
        *("api", "configs", "deploy", "src", "test", "tests"),
    )
)
# Distributions that it needs, and programs of an environment: its own would take their place.
_INSTALLED: Final = frozenset(
    (
        *("activate", "backports-zstd", "googleapis-common-protos", "grpcio", "grpcio-tools"),
        *("protobuf", "python", "python3", "pyyaml"),
    )
)
_KINDS: Final = ("pytest-", "types-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of a project.

    Attributes:
        distribution: What is installed, and the program: ``my-shop``.
        package: What is imported: ``my_shop``.
        prefix: How its environment variables begin: ``MY_SHOP_``.
    """

    distribution: str
    package: str
    prefix: str


def names_of(name: str) -> Names:
    """Return the names that follow from one.

    Raises:
        CommandFailure: It cannot be the name of a project; the text says what can.
    """
    if not _NAME.fullmatch(name):
        raise CommandFailure(
            f"{name!r} is no name for a project: it begins with a letter, and has lower-case "
            f"letters, digits and single dashes{_suggestion(name)}",
            status=2,
        )
    if len(name) > _LONGEST:
        raise CommandFailure(
            f"{name!r} is too long for the name of a project: {_LONGEST} characters at most",
            status=2,
        )
    package = name.replace("-", "_")
    hides = _hidden(package)
    if hides:
        raise CommandFailure(
            f"{name!r} cannot be the name of a project: its package {package!r} {hides}; "
            f"take {name}-service, for instance",
            status=2,
        )
    if name in _INSTALLED or name.startswith(_KINDS):
        raise CommandFailure(
            f"{name!r} cannot be the name of a project: a library or a program that projects use "
            f"has it, or one like it; take my-{name}, for instance",
            status=2,
        )
    return Names(distribution=name, package=package, prefix=f"{package.upper()}_")


def _hidden(package: str) -> str:
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return "is a word of Python"
    if package in sys.stdlib_module_names:
        return "would hide a module of Python"
    if package in _TAKEN or package.startswith(("kratos_", "protoc_gen_")):
        return "would hide one that projects use"
    return ""


def _suggestion(name: str) -> str:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
    words = re.findall(r"[a-z]+[0-9a-z]*|[0-9]+", apart)
    proposal = "-".join(words).lstrip("0123456789-")
    return f"; did you mean {proposal!r}?" if _NAME.fullmatch(proposal) else ""
