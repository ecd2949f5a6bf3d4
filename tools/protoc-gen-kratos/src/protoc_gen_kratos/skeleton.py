"""Writes what a service begins with: a class of the generated base, and its tests.

Unlike everything else here it is written once: from then on it belongs to its reader.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from google.protobuf.descriptor import Descriptor

from kratos.transport import Arity
from protoc_gen_kratos.imports import Imports
from protoc_gen_kratos.modules import Modules, module_parts
from protoc_gen_kratos.naming import identifier, snake, upper_camel
from protoc_gen_kratos.options import Options
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema
from protoc_gen_kratos.services import Rpc, ServiceModel, read_services
from protoc_gen_kratos.source import Source, literal

__all__ = ["Skeleton", "read_skeletons"]

_SUFFIX: Final = "Service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """One service, and how its code is reached.

    Attributes:
        service: The service.
        file: Name of its definition.
        modules: Knows who provides messages.
        prefix: Dotted package of the generated tree; empty for a tree on the import path.
    """

    service: ServiceModel
    file: str
    modules: Modules
    prefix: str

    @property
    def stem(self) -> str:
        """Name of the module: ``hello_world`` of ``HelloWorld`` and ``HelloWorldService``."""
        return identifier(snake(self._short))

    @property
    def class_name(self) -> str:
        """Name of the class: ``GreeterService`` of ``Greeter`` and ``GreeterService``."""
        return f"{self._short}{_SUFFIX}"

    @property
    def full_name(self) -> str:
        """Name of the service in its definition, with the package."""
        return self.service.element.descriptor.full_name

    @property
    def trial_stem(self) -> str:
        """Name of the module that ``trial`` returns, by the full name: all lie in one folder."""
        return identifier(snake(f"test_{self.full_name.replace('.', '_')}"))

    @property
    def _short(self) -> str:
        name = upper_camel(self.service.element.raw.name)
        return name.removesuffix(_SUFFIX) or name

    @property
    def _typed(self) -> str:
        package, name = module_parts(self.file, "_kratos")
        return ".".join(filter(None, (self.prefix, *package, name)))

    def module(self) -> str:
        """Return the module with the class."""
        imports = self._imports({self.class_name})
        body = Source()
        body.line(f"class {self.class_name}({imports.name(self._typed, self.service.name)}):")
        with body.indented():
            body.docstring(self.service.element.comment or f"Serves ``{self.full_name}``.")
            for rpc in self.service.methods:
                body.gap()
                _write_method(body, rpc, imports)
        head = Source()
        head.docstring(f"Service ``{self.full_name}``.")
        head.gap()
        imports.write(head)
        head.gap()
        head.line(f"__all__ = [{literal(self.class_name)}]")
        head.gap(2)
        return f"{head.text()}\n\n{body.text()}"

    def additions(
        self, wanted: Collection[str], *, taken: Collection[str], bound: Mapping[str, str]
    ) -> tuple[list[str], list[str]]:
        """Return lines for a module that lacks methods: new imports, and the methods.

        Args:
            wanted: Python names of the methods; lines come without the indentation of a class.
            taken: Names that the module uses for something else.
            bound: What it imports, by the name that it has: ``module:name``.
        """
        imports = self._imports(taken, bound)
        source = Source()
        for rpc in self.service.methods:
            if rpc.name in wanted:
                source.gap()
                _write_method(source, rpc, imports)
        return imports.statements(), source.text().strip("\n").splitlines()

    def tests(self, implementation: str, *, class_name: str = "", needs: Sequence[str] = ()) -> str:
        """Return a module of tests, one for each method.

        Args:
            implementation: Dotted module of the class.
            class_name: Its name there; empty for ``class_name`` of the skeleton.
            needs: Parameters without which it is not made. If there are any, a fixture skips the
                tests until it makes the service.
        """
        imports = self._imports({*self._names_in_tests, "service"})
        body = Source()
        made = imports.name(implementation, class_name or self.class_name)
        if needs:
            _write_fixture(body, made, needs, imports.module("pytest"))
            self._write_tests(body, imports, "service", given=f"service: {made}")
        else:
            self._write_tests(body, imports, f"{made}()")
        return self._test_module(body, imports)

    def trial(self) -> str:
        """Return a module of tests that passes by itself, of a service that is in it."""
        stand_in = f"Fake{self._short}"
        imports = self._imports({*self._names_in_tests, stand_in})
        body = Source()
        body.line(f"class {stand_in}({imports.name(self._typed, self.service.name)}):")
        with body.indented():
            body.docstring("Answers with nothing: import your service, and test that instead.")
            for rpc in self.service.methods:
                body.gap()
                _write_method(body, rpc, imports)
        self._write_tests(body, imports, f"{stand_in}()")
        return self._test_module(body, imports)

    @property
    def _names_in_tests(self) -> set[str]:
        names = {f"test_{rpc.name}" for rpc in self.service.methods}
        return {*names, "caller", "reply", "replies", "stream", "pytestmark"}

    def _write_tests(self, body: Source, imports: Imports, made: str, given: str = "") -> None:
        """Add a test for each method of the service that ``made`` is."""
        name = partial(imports.name, "kratos.testing")
        client = imports.name(self._typed, self.service.client)
        for rpc in self.service.methods:
            body.gap(2)
            body.line(f"async def test_{rpc.name}({given}) -> None:")
            with body.indented():
                body.line(f"async with {name('serving')}({made}) as caller:")
                with body.indented():
                    _write_test(body, rpc, client, imports.message)

    def _test_module(self, body: Source, imports: Imports) -> str:
        mark = f"{imports.module('pytest')}.mark.asyncio"
        head = Source()
        head.docstring(f"Tests of ``{self.full_name}``: say in each what is expected.")
        head.gap()
        imports.write(head)
        head.gap()
        head.line(f"pytestmark = {mark}")
        return f"{head.text()}\n\n{body.text().lstrip()}"

    def _imports(self, taken: Collection[str], bound: Mapping[str, str] | None = None) -> Imports:
        return Imports(self.modules, self.prefix, taken=taken, bound=bound)


def read_skeletons(descriptor_set: bytes, name: str, *, prefix: str = "") -> Sequence[Skeleton]:
    """Return the services of a definition, ready to be written.

    Args:
        descriptor_set: A serialized ``FileDescriptorSet`` with imports and source information.
        name: The definition.
        prefix: Dotted package that the generated tree lies in.

    Raises:
        DefinitionError: The definition is wrong; it holds every reason.
    """
    problems = Problems()
    schema = Schema(descriptor_set, problems)
    services = read_services(schema.files[name], schema, Options(), problems)
    problems.raise_errors()
    modules = Modules((), Options())
    return [
        Skeleton(service=service, file=name, modules=modules, prefix=prefix) for service in services
    ]


def _write_method(source: Source, rpc: Rpc, imports: Imports) -> None:
    request, reply = imports.message(rpc.request), imports.message(rpc.reply)
    made, head = f"{reply}()", f"async def {rpc.name}("
    streamed = rpc.arity is not Arity.UNARY
    iterator = imports.name("collections.abc", "AsyncIterator") if streamed else ""
    given = f"request: {request}"
    if rpc.arity.client_streams:
        given = f"requests: {iterator}[{request}]"
    if rpc.arity.server_streams:
        reply = f"{iterator}[{reply}]"
    source.wrapped(head, ["self", given, "/"], f") -> {reply}:")
    with source.indented():
        source.docstring(rpc.element.comment or f"Serve ``{rpc.operation}``.")
        match rpc.arity:
            case Arity.UNARY:
                source.line(f"return {made}")
            case Arity.SERVER_STREAM:
                source.line(f"yield {made}")
            case Arity.CLIENT_STREAM:
                source.line("async for _ in requests:")
                with source.indented():
                    source.line("continue")
                source.line(f"return {made}")
            case _:
                source.line("async for _ in requests:")
                with source.indented():
                    source.line(f"yield {made}")


def _write_fixture(source: Source, made: str, needs: Sequence[str], pytest: str) -> None:
    """Add a fixture in which the service is to be made."""
    reason = f"make the service here: it needs {', '.join(needs)}"
    source.line(f"@{pytest}.fixture")
    source.line(f"def service() -> {made}:")
    with source.indented():
        source.docstring("The service that is tested.")
        source.wrapped(f"{pytest}.skip(", [literal(reason)], ")")


def _write_test(
    source: Source, rpc: Rpc, client: str, message: Callable[[Descriptor], str]
) -> None:
    request, reply = message(rpc.request), message(rpc.reply)
    call = f"{client}(caller).{rpc.name}"
    match rpc.arity:
        case Arity.UNARY:
            source.wrapped(f"reply = await {call}(", [f"{request}()"], ")")
        case Arity.CLIENT_STREAM:
            source.wrapped(f"reply = await {call}(", [f"[{request}()]"], ")")
        case Arity.SERVER_STREAM:
            source.wrapped(f"async with {call}(", [f"{request}()"], ") as stream:")
            with source.indented():
                source.line("replies = [reply async for reply in stream]")
        case _:
            source.line(f"async with {call}() as stream:")
            with source.indented():
                source.line(f"await stream.send({request}())")
                source.line("await stream.end()")
                source.line("replies = [reply async for reply in stream]")
    answer = f"replies == [{reply}()]" if rpc.arity.server_streams else f"reply == {reply}()"
    source.line(f"assert {answer}")
