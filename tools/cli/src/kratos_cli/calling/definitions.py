"""Services of a descriptor set, as methods that any client can call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from kratos.transport import Method
from kratos_cli.failure import CommandFailure
from protoc_gen_kratos import DefinitionError, Options
from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema
from protoc_gen_kratos.services import Rpc, read_services

__all__ = ["Definitions", "Described"]


class Described:
    """One service, as its definition has it.

    Attributes:
        name: Full name.
        file: Where it is defined.
        comment: What the definition says about it; empty where that came without comments.
        rpcs: Its methods, in order, by the last part of their names.
        definitions: The set that it is from.
    """

    def __init__(
        self, name: str, file: SourceFile, comment: str, rpcs: Sequence[Rpc], of: Definitions
    ) -> None:
        self.name = name
        self.file = file
        self.comment = comment
        self.rpcs: Mapping[str, Rpc] = {rpc.element.raw.name: rpc for rpc in rpcs}
        self.definitions = of

    def method(self, name: str) -> Method[Any, Any]:
        """Return a method of that name, its messages from the pool of the set."""
        rpc = self.rpcs[name]
        return Method(
            operation=rpc.operation,
            name=rpc.name,
            arity=rpc.arity,
            request=self.definitions.message(rpc.request),
            reply=self.definitions.message(rpc.reply),
            idempotent=rpc.idempotent,
            http=rpc.rules,
            http_options=rpc.http_options,
        )


class Definitions:
    """A descriptor set, linked in a pool of its own.

    Args:
        descriptor_set: A serialized ``FileDescriptorSet``, imports included.

    Raises:
        CommandFailure: It does not link; says what is missing.
    """

    def __init__(self, descriptor_set: bytes) -> None:
        problems = Problems()
        try:
            self._schema = Schema(descriptor_set, problems)
        except DefinitionError as error:
            raise CommandFailure(f"the definitions cannot be used: {error}") from error
        except DecodeError as error:
            raise CommandFailure(
                f"the definitions cannot be used: they are none: {error}"
            ) from error
        self.services: dict[str, Described] = {}
        for file in self._schema.files.values():
            # What a generator would object to is no reason not to call what runs already.
            for model in read_services(file, self._schema, Options(), Problems()):
                name = model.element.descriptor.full_name
                self.services[name] = Described(
                    name, file, model.element.comment, model.methods, self
                )

    def service(self, name: str) -> Described:
        """Return the service of that full name.

        Raises:
            CommandFailure: The set does not define it.
        """
        if name not in self.services:
            raise CommandFailure(f"the definitions cannot be used: there is no {name} in them")
        return self.services[name]

    def message(self, descriptor: Descriptor) -> type[Message]:
        """Return the class of a message of the set."""
        found = self._schema.message_class(descriptor.full_name)
        assert found is not None, "the set holds it"
        return found

    def named(self, full_name: str) -> type[Message] | None:
        """Return the class of the message of that name; ``None`` where there is none."""
        return self._schema.message_class(full_name)
