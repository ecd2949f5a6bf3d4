"""From linked definitions to the files of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protoc_gen_kratos._private import privatise
from protoc_gen_kratos._registered import needed_imports, registered
from protoc_gen_kratos._walk import all_messages
from protoc_gen_kratos.elements import Path, SourceFile
from protoc_gen_kratos.error_enums import ErrorModel, read_errors
from protoc_gen_kratos.error_page import write_error_page
from protoc_gen_kratos.mock import write_mock
from protoc_gen_kratos.modules import Modules, Provider, module_parts
from protoc_gen_kratos.openapi import write_openapi
from protoc_gen_kratos.options import Options
from protoc_gen_kratos.pb2 import write_pb2
from protoc_gen_kratos.problems import Problem, Problems
from protoc_gen_kratos.schema import Schema
from protoc_gen_kratos.services import ServiceModel, read_services
from protoc_gen_kratos.skeleton import Skeleton
from protoc_gen_kratos.stub import write_stub
from protoc_gen_kratos.typed import write_typed

__all__ = ["Assumption", "GeneratedFile", "Result", "generate", "provided_elsewhere"]

_DEFAULTS: Final = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedFile:
    """One file of the output.

    Attributes:
        path: Where it goes, relative to the output folder, with slashes.
        content: All of it.
    """

    path: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """An import of a module that this run did not write and that no distribution provides.

    Attributes:
        file: The definition that imports.
        line: Where it does.
        imported: The definition that it imports.
        path: File in the output folder that has to be there.
    """

    file: str
    line: int
    imported: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run makes.

    Attributes:
        files: The output, by path.
        warnings: What works and is probably not meant.
        assumptions: What the output needs from earlier runs.
    """

    files: tuple[GeneratedFile, ...]
    warnings: tuple[Problem, ...]
    assumptions: tuple[Assumption, ...]


def provided_elsewhere(name: str, options: Options = _DEFAULTS) -> bool:
    """Whether the module of a definition comes installed, so that nobody generates it."""
    provider = Modules((), options).of(name).provider
    if options.regenerate or options.private_package:
        return provider in (Provider.PROTOBUF, Provider.NOBODY)
    return provider is not Provider.SIBLING


def _unseen(_done: int, _total: int, _name: str) -> None:
    """Tell nobody."""


def generate(
    descriptor_set: bytes,
    targets: Collection[str],
    *,
    options: Options = _DEFAULTS,
    progress: Callable[[int, int, str], object] = _unseen,
) -> Result:
    """Generate the modules of definitions.

    Args:
        descriptor_set: A serialized ``FileDescriptorSet`` with imports and, for comments and
            lines, source information.
        targets: Names of the definitions to generate. What comes installed is left out.
        options: Switches.
        progress: Told how many definitions are done, of how many, and which was the last.

    Raises:
        DefinitionError: Definitions are wrong; it holds every reason.
    """
    problems = Problems()
    schema = Schema(descriptor_set, problems)
    for name in targets:
        if name not in schema.files:
            problems.error(name, 0, "it is not in the descriptor set")
    problems.raise_errors()
    wanted = sorted(name for name in set(targets) if not provided_elsewhere(name, options))
    run = _Run(schema, wanted, options, problems)
    write = run.tests if options.tests else run.files
    files: list[GeneratedFile] = []
    for number, name in enumerate(wanted, 1):
        files += write(schema.files[name])
        progress(number, len(wanted), name)
    if options.error_catalogue:
        page = write_error_page(run.errors)
        files.append(GeneratedFile(path=options.error_catalogue, content=page))
    _refuse_equal_paths(wanted, problems)
    problems.raise_errors()
    if options.openapi:  # only what is right can be described
        document = write_openapi(run.services, schema, descriptor_set, options)
        files.append(GeneratedFile(path=options.openapi, content=document))
    return Result(
        files=tuple(sorted(files, key=lambda file: file.path)),
        warnings=problems.warnings,
        assumptions=tuple(run.assumptions),
    )


class _Run:
    """What all files of a run share."""

    def __init__(
        self, schema: Schema, wanted: Sequence[str], options: Options, problems: Problems
    ) -> None:
        self._schema = schema
        self._wanted = frozenset(wanted)
        self._options = options
        self._problems = problems
        self._modules = Modules(self._wanted, options)
        self.assumptions: list[Assumption] = []
        self.errors: list[ErrorModel] = []
        self.services: list[ServiceModel] = []
        self._trials: dict[str, str] = {}

    def files(self, file: SourceFile) -> Iterator[GeneratedFile]:
        """Generate the modules of one definition."""
        _refuse_impossible_names(file, self._problems)
        services = read_services(file, self._schema, self._options, self._problems)
        errors = read_errors(file, self._schema, self._problems)
        path = self._modules.of(file.name).path
        yield GeneratedFile(path=path, content=self._pb2(file))
        hide = bool(self._options.private_package)
        stub = write_stub(file, self._modules, hide_options=hide)
        yield GeneratedFile(path=f"{path}i", content=stub)
        if services or errors:
            package, name = module_parts(file.name, "_kratos")
            typed = write_typed(file, services, errors, self._modules)
            yield GeneratedFile(path="/".join((*package, f"{name}.py")), content=typed)
            if services and self._options.mock:
                mock = write_mock(file, services, self._modules)
                yield GeneratedFile(path="/".join((*package, f"{name}_mock.py")), content=mock)
        self.errors += errors
        self.services += services

    def tests(self, file: SourceFile) -> Iterator[GeneratedFile]:
        """Generate the tests that services of one definition begin with."""
        for service in read_services(file, self._schema, self._options, self._problems):
            skeleton = Skeleton(
                service=service,
                file=file.name,
                modules=self._modules,
                prefix=self._options.tests_package,
            )
            if not service.methods:
                continue
            path = f"{skeleton.trial_stem}.py"
            other = self._trials.setdefault(path, skeleton.full_name)
            if other != skeleton.full_name:
                self._problems.error(
                    file.name,
                    service.element.line,
                    f"tests of {skeleton.full_name} and of {other} would both be {path}; "
                    "rename one",
                )
            yield GeneratedFile(path=path, content=skeleton.trial())

    def _pb2(self, file: SourceFile) -> str:
        imports = needed_imports(file, self._schema, self._modules)
        raw = registered(file, self._schema, imports)
        if self._options.private_package:
            prefix = self._options.private_package
            imports = privatise(raw, prefix, self._wanted, self._schema)
        self._assume(file, imports)
        return write_pb2(file, raw, imports, self._modules)

    def _assume(self, file: SourceFile, imports: Sequence[str]) -> None:
        for name in imports:
            module = self._modules.of(name)
            index = list(file.raw.dependency).index(name)
            line = file.line((file.raw.DEPENDENCY_FIELD_NUMBER, index))
            if module.provider is Provider.SIBLING:
                self.assumptions.append(
                    Assumption(file=file.name, line=line, imported=name, path=module.path)
                )
            elif module.provider is Provider.NOBODY:
                self._problems.error(
                    file.name,
                    line,
                    f"it uses types of {name}, for which no Python distribution has a module; "
                    "do without them",
                )


def _refuse_impossible_names(file: SourceFile, problems: Problems) -> None:
    """Refuse names that no module and no class can hold."""
    if not _is_plain(file.name):
        problems.error(
            file.name,
            0,
            f"{file.name!r} cannot be the name of a definition: it is a path below a folder, "
            "without '..', empty parts and characters that cannot be printed; rename it",
        )
    named: list[tuple[str, Path]] = []
    for kind, names in (
        (file.raw.ENUM_TYPE_FIELD_NUMBER, [enum.name for enum in file.raw.enum_type]),
        (file.raw.SERVICE_FIELD_NUMBER, [service.name for service in file.raw.service]),
        (file.raw.EXTENSION_FIELD_NUMBER, [extension.name for extension in file.raw.extension]),
    ):
        named += ((name, (kind, index)) for index, name in enumerate(names))
    for message, path in all_messages(file.raw):
        named.append((message.name, path))
        kind = message.ENUM_TYPE_FIELD_NUMBER
        named += ((enum.name, (*path, kind, index)) for index, enum in enumerate(message.enum_type))
    for name, path in named:
        if name == "DESCRIPTOR" or name.startswith("__"):
            problems.error(
                file.name,
                file.line(path),
                f"{name} cannot be a name in Python, which has other uses for it; rename it",
            )


def _is_plain(name: str) -> bool:
    """Whether a name can stand in comments, and leads to a file of the output."""
    return name.isprintable() and not {"", ".", ".."} & {*name.split("/")}


def _refuse_equal_paths(wanted: Sequence[str], problems: Problems) -> None:
    first: dict[tuple[tuple[str, ...], str], str] = {}
    for name in wanted:
        other = first.setdefault(module_parts(name, "_pb2"), name)
        if other != name:
            problems.error(name, 0, f"its module would be that of {other} too; rename one")
