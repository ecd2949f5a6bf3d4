"""The extension in Rust: whether it is there, and what it is told about message types.

It goes by way of wire bytes, which protobuf makes and reads in C, and knows nothing of
descriptors: a plan of plain numbers and texts is all it gets.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError
from kratos_protojson.options import Backend

__all__ = ["Describe", "NativePlan", "module"]

SWITCH: Final = "KRATOS_PROTOJSON"
_BACKENDS: Final[dict[str, Backend]] = {"auto": "auto", "native": "native", "python": "python"}
_INSTALL: Final = "install kratos-protojson-native"

Describe: TypeAlias = Callable[[FieldDescriptor], tuple[str, str | None]]
"""Returns the name of a field as it is written, and its JSON if it is not set."""


class NativeCodec(Protocol):
    """The class ``Codec`` of the extension."""

    def add_enum(
        self,
        name: str,
        shown: list[tuple[int, str]],
        numbers: list[tuple[str, int]],
        closed: bool,  # noqa: FBT001  # positional in Rust
        null: bool,  # noqa: FBT001
        /,
    ) -> int:
        """Add an enum."""
        ...

    def declare(self, name: str, /) -> int:
        """Add a message type without fields."""
        ...

    def define(
        self,
        index: int,
        fields: list[dict[str, Any]],
        /,
        *,
        oneofs: list[str],
        extendable: bool,
        message_set: bool,
    ) -> None:
        """Set the fields of a message type."""
        ...

    def print(self, index: int, wire: bytes, last_word: bool, /) -> bytes:  # noqa: FBT001
        """Return JSON."""
        ...

    def parse(self, index: int, json: bytes | str, last_word: bool, /) -> bytes:  # noqa: FBT001
        """Return wire bytes."""
        ...


def module(backend: Backend) -> Any:
    """Return the extension, or ``None`` where the plans are to do the work.

    The environment variable ``KRATOS_PROTOJSON`` decides what ``auto`` means.

    Raises:
        ImportError: It is asked for and not installed.
        ValueError: The variable says something else.
    """
    if backend == "auto":
        asked = os.environ.get(SWITCH) or backend
        if asked not in _BACKENDS:
            raise ValueError(f"{SWITCH} is {asked!r}: say {', '.join(_BACKENDS)}")
        backend = _BACKENDS[asked]
    if backend == "python":
        return None
    try:
        return import_module("kratos_protojson_native")
    except ImportError as error:
        if backend == "native":
            raise ImportError(f"the backend native is asked for: {_INSTALL}") from error
        return None


class NativePlan:
    """A plan of the extension, for the message types of one pool and one set of options."""

    def __init__(
        self, extension: Any, pool: Any, describe: Describe, options: Mapping[str, Any]
    ) -> None:
        self.codec: NativeCodec = extension.Codec(**options)
        self.fault: type[ValueError] = extension.Fault
        self._pool = pool
        self._describe = describe
        self._lock = threading.RLock()
        self._messages: dict[f.AnyDescriptor, int] = {}
        self._enums: dict[EnumDescriptor, int] = {}
        self._extendable: dict[int, tuple[Descriptor, int]] = {}

    def index(self, descriptor: Descriptor) -> int:
        """Return the number of a message type; with it come all types that it refers to."""
        with self._lock:
            found = self._messages.get(descriptor)
            if found is None:
                found = self._messages[descriptor] = self.codec.declare(descriptor.full_name)
                self._define(found, descriptor)
            return found

    def again(self, fault: ValueError, work: Callable[[bool], bytes]) -> bytes:
        """Do some work again after a fault, if what the extension lacked can be given to it.

        Args:
            fault: Its arguments are kind, subject, problem, and the path from inside out.
            work: Its argument tells whether the plan is the last word on extensions.

        Raises:
            JsonError: It lacked nothing, or nobody has it.
        """
        last_word = False
        learned: set[str] = set()
        while True:
            kind, subject, problem, path = fault.args
            if kind == "extensions":
                last_word = not self._learn_extensions(int(subject))
            elif kind == "type" and subject not in learned and self._learn_type(subject):
                learned.add(subject)
            else:
                error = JsonError(problem)
                for part in path:
                    error.within(part)
                raise error
            try:
                return work(last_word)
            except self.fault as found:
                fault = found

    def _learn_type(self, name: str) -> bool:
        """Tell whether there is such a type, which another thread may have learned meanwhile."""
        try:
            descriptor = self._pool.FindMessageTypeByName(name)
        except KeyError:
            return False
        self.index(descriptor)
        return True

    def _learn_extensions(self, index: int) -> bool:
        with self._lock:
            descriptor, known = self._extendable[index]
            if len(self._pool.FindAllExtensions(descriptor)) == known:
                return False
            self._define(index, descriptor)
            return True

    def _define(self, index: int, descriptor: Descriptor) -> None:
        fields = list(descriptor.fields)
        if descriptor.is_extendable:
            extensions = self._pool.FindAllExtensions(descriptor)
            self._extendable[index] = descriptor, len(extensions)
            fields += sorted(extensions, key=lambda field: field.full_name)
        oneofs = [oneof.name for oneof in descriptor.oneofs if len(oneof.fields) > 1]
        self.codec.define(
            index,
            [self._field(field, oneofs) for field in fields],
            oneofs=oneofs,
            extendable=descriptor.is_extendable,
            message_set=descriptor.GetOptions().message_set_wire_format,
        )

    def _field(self, field: FieldDescriptor, oneofs: list[str]) -> dict[str, Any]:
        bracketed = f"[{field.full_name}]"
        oneof = field.containing_oneof.name if field.containing_oneof is not None else ""
        key, unset = (bracketed, None) if field.is_extension else self._describe(field)
        nullable = f.is_null_value(field) or f.message_name(field) == f.VALUE
        return {
            "number": field.number,
            "name": bracketed if field.is_extension else field.name,
            "json_name": bracketed if field.is_extension else field.json_name,
            "key": key,
            "unset": unset,
            "ty": field.type,
            "repeated": field.is_repeated,
            "map": f.is_map(field),
            "presence": field.has_presence,
            "nullable": nullable and not field.is_repeated,
            "oneof": oneofs.index(oneof) if oneof in oneofs else -1,
            "sub": self._sub(field),
        }

    def _sub(self, field: FieldDescriptor) -> int:
        if field.message_type is not None:
            return self.index(field.message_type)
        if field.enum_type is None:
            return 0
        enum = f.enum_of(field)
        found = self._enums.get(enum)
        if found is None:
            found = self._enums[enum] = self.codec.add_enum(
                enum.full_name,
                list(f.json_enum_names(field).items()),
                list(f.json_enum_numbers(field).items()),
                enum.is_closed,
                f.is_null_value(field),
            )
        return found
