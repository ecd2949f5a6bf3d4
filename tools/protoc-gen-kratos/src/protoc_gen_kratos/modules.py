"""Python modules of definitions: where they lie, and who provides them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protoc_gen_kratos.naming import identifier
from protoc_gen_kratos.options import Options

__all__ = ["Import", "Module", "Modules", "Provider", "module_parts"]

# Definitions of the protobuf distribution that have a module. The others under
# google/protobuf/ only add options for other languages.
_PROTOBUF: Final = frozenset(
    f"google/protobuf/{stem}.proto"
    for stem in (
        "any",
        "api",
        "compiler/plugin",
        "descriptor",
        "duration",
        "empty",
        "field_mask",
        "source_context",
        "struct",
        "timestamp",
        "type",
        "wrappers",
    )
)
_KRATOS: Final = {
    "errors/errors.proto": "kratos.errors.errors_pb2",
    "kratos/http.proto": "kratos.http_pb2",
}
# Few distributions of generated code are marked as typed; mypy objects to the others.
_UNTYPED: Final = "  # type: ignore[import-untyped, unused-ignore]"


class Provider(Enum):
    """Who writes the module of a definition."""

    RUN = "this run"
    PROTOBUF = "the protobuf distribution"
    INSTALLED = "another installed distribution"
    NOBODY = "no known distribution"
    SIBLING = "an earlier run into the same tree, as far as this one can know"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """The module of one definition.

    Attributes:
        provider: Who writes it.
        package: Absolute package for what is installed; else the folder in the output.
        name: Name of the module in its package, for example ``order_pb2``.
    """

    provider: Provider
    package: tuple[str, ...]
    name: str

    @property
    def in_output(self) -> bool:
        """Whether it lies in the tree that is being written."""
        return self.provider in (Provider.RUN, Provider.SIBLING)

    @property
    def path(self) -> str:
        """File in the output, with slashes; only of modules in that tree."""
        return "/".join((*self.package, f"{self.name}.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """How one module of the output imports another module.

    Attributes:
        package: What stands after ``from``; empty for a module at the root of the import path.
        name: Name of the module.
        comment: For type checkers, to the right of the import; empty for most.
    """

    package: str
    name: str
    comment: str = ""

    @property
    def is_relative(self) -> bool:
        """Whether it starts at the importing module."""
        return self.package.startswith(".")

    @property
    def module(self) -> str:
        """The module, as what stands after ``from`` when its content is imported."""
        dot = "" if self.package.endswith(".") or not self.package else "."
        return f"{self.package}{dot}{self.name}"

    def statement(self, alias: str) -> str:
        """Return the statement that imports the module as ``alias``."""
        origin = f"from {self.package} " if self.package else ""
        return f"{origin}import {self.name} as {alias}{self.comment}"


class Modules:
    """Finds the module of every definition of a run.

    Args:
        targets: Names of the definitions that this run generates.
        options: Names modules of definitions that are generated elsewhere.
    """

    def __init__(self, targets: Collection[str], options: Options) -> None:
        self._targets = targets
        self._given = options.modules
        self._absolute_root = options.absolute_root

    def of(self, name: str) -> Module:
        """Return the module of the definition ``name``."""
        if name in self._targets:
            return _in_tree(name, Provider.RUN)
        installed = self._given.get(name) or _KRATOS.get(name)
        if installed:
            return _absolute(installed, Provider.INSTALLED)
        if name in _PROTOBUF:
            return _absolute(_dotted(name), Provider.PROTOBUF)
        if name.startswith("google/protobuf/"):
            return _absolute(_dotted(name), Provider.NOBODY)
        if name.startswith("google/"):
            return _absolute(_dotted(name), Provider.INSTALLED)
        return _in_tree(name, Provider.SIBLING)

    def imported(self, name: str, importer: tuple[str, ...]) -> Import:
        """Return how a module in the package ``importer`` imports that of ``name``."""
        module = self.of(name)
        if not module.in_output:
            untyped = module.provider is Provider.INSTALLED and module.package[:1] != ("kratos",)
            return Import(
                package=".".join(module.package),
                name=module.name,
                comment=_UNTYPED if untyped else "",
            )
        shared = 0
        for ours, theirs in zip(importer, module.package, strict=False):
            if ours != theirs:
                break
            shared += 1
        if self._absolute_root and not shared:
            return Import(package=".".join(module.package), name=module.name)
        dots = "." * (len(importer) - shared + 1)
        return Import(package=dots + ".".join(module.package[shared:]), name=module.name)


def module_parts(name: str, suffix: str) -> tuple[tuple[str, ...], str]:
    """Return the package and the name of a module for the definition ``name``."""
    *folders, stem = name.removesuffix(".proto").split("/")
    return tuple(identifier(folder) for folder in folders), identifier(stem + suffix)


def _in_tree(name: str, provider: Provider) -> Module:
    package, module = module_parts(name, "_pb2")
    return Module(provider=provider, package=package, name=module)


def _dotted(name: str) -> str:
    package, module = module_parts(name, "_pb2")
    return ".".join((*package, module))


def _absolute(dotted: str, provider: Provider) -> Module:
    *package, module = dotted.split(".")
    return Module(provider=provider, package=tuple(package), name=module)
