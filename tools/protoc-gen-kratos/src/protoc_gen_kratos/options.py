"""What a run can be told: the parameter of the plug-in, the options of the command."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

__all__ = ["Options", "ParameterError"]

_PATH: Final = re.compile(r"(?:[\w.-]*[\w-][\w.-]*/)*[\w.-]+(\.[a-z]+)", re.ASCII)
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class ParameterError(ValueError):
    """A switch does not exist, or has a value that it cannot have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Switches of the generator.

    Attributes:
        omit_empty: Leave methods without an HTTP rule to gRPC. Otherwise their unary ones
            are served as POST ``/<package.Service>/<Method>``, as Go's switch has it.
        omit_empty_prefix: Goes in front of those paths.
        modules: Python modules of definitions that are generated elsewhere, by the name
            of the definition: ``{"validate/validate.proto": "validate.validate_pb2"}``.
        private_package: Put in front of file and package names in the descriptor pool, so
            that the output never meets another copy of the same definitions.
        regenerate: Also generate definitions whose modules are already installed.
        absolute_root: The output folder is on the import path and no package: what leads
            from one of its top folders to another is imported by absolute names.
        mock: Also write a mock of every service, ``x_kratos_mock.py``.
        error_catalogue: Also write a page on all errors of the run, in Markdown, to this path
            in the output.
        openapi: Also write an OpenAPI document of all services of the run that HTTP serves, to
            this path in the output: JSON, or YAML. Takes kratos-http.
        openapi_title: Title in the document.
        openapi_version: Version of the API in it.
        tests: Write tests instead, a file for each service to begin with; the files belong to
            their reader from then on. The folder of the output, seen from where the compiler
            runs: by that the plug-in leaves out what is there already.
        tests_package: Dotted package that the generated code lies in, for the imports of
            tests; empty for code on the import path.
    """

    omit_empty: bool = True
    omit_empty_prefix: str = ""
    modules: Mapping[str, str] = field(default_factory=dict[str, str])
    private_package: str = ""
    regenerate: bool = False
    absolute_root: bool = False
    mock: bool = False
    error_catalogue: str = ""
    openapi: str = ""
    openapi_title: str = ""
    openapi_version: str = ""
    tests: str = ""
    tests_package: str = ""

    def __post_init__(self) -> None:
        if self.private_package and not _DOTTED.fullmatch(self.private_package):
            raise ParameterError(
                f"private_package is {self.private_package!r}; give names joined with dots, "
                "such as acme.internal"
            )
        if self.omit_empty_prefix and not self.omit_empty_prefix.startswith("/"):
            raise ParameterError(
                f"omitempty_prefix is {self.omit_empty_prefix!r}; it must start with '/'"
            )
        _check_path("error_catalogue", self.error_catalogue, (".md",), "docs/errors.md")
        _check_path("openapi", self.openapi, (".json", ".yaml", ".yml"), "docs/openapi.json")
        if self.openapi and find_spec("kratos_http") is None:
            raise ParameterError(
                "openapi describes what kratos-http serves, which is not installed; "
                'pip install "protoc-gen-kratos[openapi]"'
            )
        self._check_tests()
        for name, module in self.modules.items():
            words = any(map(keyword.iskeyword, module.split(".")))
            if not name.endswith(".proto") or not _DOTTED.fullmatch(module) or words:
                raise ParameterError(
                    f"module {name}={module} is not of the form path/x.proto=package.x_pb2"
                )

    def _check_tests(self) -> None:
        if self.tests_package and not _DOTTED.fullmatch(self.tests_package):
            raise ParameterError(
                f"tests_package is {self.tests_package!r}; give names joined with dots, "
                "such as shop.api"
            )
        if self.tests and (self.mock or self.error_catalogue or self.openapi):
            raise ParameterError(
                "tests is for a run of its own, with a folder of its own: drop mock, "
                "error_catalogue and openapi"
            )

    @classmethod
    def parse(cls, parameter: str) -> Options:
        """Read the plug-in's parameter, ``name=value`` joined with commas.

        ``Mpath/x.proto=package.x_pb2`` names a module; ``paths=source_relative`` is
        accepted, because output always lies where its definition does.

        Raises:
            ParameterError: A switch is unknown, or has a value that it cannot have.
        """
        switches: dict[str, str] = {}
        modules: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in parameter.split(","))):
            name, _, value = part.partition("=")
            if name.startswith("M") and name.endswith(".proto"):
                modules[name[1:]] = value
            elif name in _SWITCHES:
                switches[name] = value
            elif part != "paths=source_relative":
                raise ParameterError(
                    f"there is no switch {name!r}; there are {', '.join(_SWITCHES)} and "
                    "Mpath/x.proto=package.x_pb2"
                )
        return cls(
            omit_empty=_truth("omitempty", switches, default=True),
            omit_empty_prefix=switches.get("omitempty_prefix", ""),
            modules=modules,
            private_package=switches.get("private_package", ""),
            regenerate=_truth("regenerate", switches, default=False),
            absolute_root=_truth("absolute_root", switches, default=False),
            mock=_truth("mock", switches, default=False),
            error_catalogue=switches.get("error_catalogue", ""),
            openapi=switches.get("openapi", ""),
            openapi_title=switches.get("openapi_title", ""),
            openapi_version=switches.get("openapi_version", ""),
            tests=switches.get("tests", ""),
            tests_package=switches.get("tests_package", ""),
        )


_SWITCHES: Final = (
    "absolute_root",
    "error_catalogue",
    "mock",
    "omitempty",
    "omitempty_prefix",
    "openapi",
    "openapi_title",
    "openapi_version",
    "private_package",
    "regenerate",
    "tests",
    "tests_package",
)


def _check_path(name: str, value: str, endings: Sequence[str], example: str) -> None:
    found = _PATH.fullmatch(value)
    if value and (found is None or found[1] not in endings):
        raise ParameterError(
            f"{name} is {value!r}; give a path in the output that ends in "
            f"{' or '.join(endings)}, such as {example}"
        )


def _truth(name: str, switches: Mapping[str, str], *, default: bool) -> bool:
    value = switches.get(name)
    if value is None:
        return default
    if value in ("", "true"):
        return True
    if value == "false":
        return False
    raise ParameterError(f"{name} is {value!r}; it can be true or false")
