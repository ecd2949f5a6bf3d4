"""Writes ``x_pb2.pyi``: what the classes of ``x_pb2.py`` look like to type checkers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.descriptor import FileDescriptor, OneofDescriptor

from protoc_gen_kratos._private import extends_options
from protoc_gen_kratos.elements import (
    EnumElement,
    FieldElement,
    MessageElement,
    SourceFile,
    enum_values,
    extensions,
    fields,
    messages,
    nested_enums,
    nested_extensions,
    nested_messages,
    top_enums,
)
from protoc_gen_kratos.modules import Modules
from protoc_gen_kratos.naming import class_name, is_hidden, unused
from protoc_gen_kratos.source import Source, literal
from protoc_gen_kratos.stub_names import StubNames, member_names
from protoc_gen_kratos.stub_types import FieldTypes

__all__ = ["write_stub"]

_NO_MEMBERS: Final[frozenset[str]] = frozenset()
# Attributes of every message. A field of such a name wins at run time; its type cannot be told.
_OF_MESSAGES: Final = frozenset(
    [
        "ByteSize",
        "Clear",
        "ClearExtension",
        "ClearField",
        "CopyFrom",
        "DESCRIPTOR",
        "DiscardUnknownFields",
        "Extensions",
        "FindInitializationErrors",
        "FromString",
        "HasExtension",
        "HasField",
        "IsInitialized",
        "ListFields",
        "MergeFrom",
        "MergeFromString",
        "ParseFromString",
        "RegisterExtension",
        "SerializePartialToString",
        "SerializeToString",
        "SetInParent",
        "UnknownFields",
        "WhichOneof",
    ]
)
# What the wrapper of an enum defines.
_OF_WRAPPERS: Final = frozenset({"DESCRIPTOR", "Name", "Value", "items", "keys", "values"})
# Attributes of int and of enum wrappers, which an enum's values cannot shadow.
_OF_ENUMS: Final = frozenset(
    [
        "DESCRIPTOR",
        "Name",
        "Value",
        "as_integer_ratio",
        "bit_count",
        "bit_length",
        "conjugate",
        "denominator",
        "from_bytes",
        "imag",
        "is_integer",
        "items",
        "keys",
        "mro",
        "numerator",
        "real",
        "to_bytes",
        "values",
    ]
)


def write_stub(file: SourceFile, modules: Modules, *, hide_options: bool = False) -> str:
    """Return the stub of one definition.

    Args:
        file: The definition.
        modules: Finds modules of other definitions.
        hide_options: Leave out extensions of the options of descriptors, which a private copy
            does not register.
    """
    body = Source()
    writer = _Writer(body, StubNames(file, modules), hide_options=hide_options)
    writer.file(file)
    return writer.assembled(file, modules)


class _Writer:
    """Writes the elements of one file."""

    def __init__(self, source: Source, names: StubNames, *, hide_options: bool) -> None:
        self._source = source
        self._names = names
        self._hide_options = hide_options

    def file(self, file: SourceFile) -> None:
        self._source.line(f"DESCRIPTOR: {self._names.known('FileDescriptor')}")
        for enum in top_enums(file):
            self._source.gap()
            self._enum(enum, _NO_MEMBERS)
        for message in messages(file):
            self._source.gap()
            self._message(message)
        self._source.gap()
        self._extensions(tuple(extensions(file)), _NO_MEMBERS)
        self._source.gap()
        self._names.write_aliases(self._source)

    def assembled(self, file: SourceFile, modules: Modules) -> str:
        """Return the module: header, imports, what was written."""
        head = Source()
        head.generated(file.name)
        if self._names.uses_private:
            head.line("# pyright: reportPrivateUsage=false")
        head.docstring(f"Messages of {file.name}.")
        head.gap()
        self._names.write_imports(head)
        for index in file.raw.public_dependency:
            imported = file.descriptor.dependencies[index]
            names = [f"{name} as {name}" for name in sorted(_public_names(imported))]
            if names:
                source = modules.imported(imported.name, modules.of(file.name).package)
                head.imports(source.module, names, source.comment)
        head.gap()
        return head.text() + "\n" + self._source.text()

    def _message(self, message: MessageElement) -> None:
        members = member_names(message.descriptor)
        types = FieldTypes(self._names, members)
        name = class_name(message.raw.name)
        inside = message.descriptor.containing_type is not None
        hides = inside and name in _OF_MESSAGES
        comment = "  # type: ignore[assignment, misc, override, unused-ignore]" if hides else ""
        self._source.line(f"class {name}({self._names.known('Message')}):{comment}")
        with self._source.indented():
            self._source.docstring(
                message.comment or f"Message ``{message.descriptor.full_name}``."
            )
            self._source.gap()
            for enum in nested_enums(message):
                self._enum(enum, members)
                self._source.gap()
            for nested in nested_messages(message):
                if not nested.raw.options.map_entry:
                    self._message(nested)
                    self._source.gap()
            self._extensions(tuple(nested_extensions(message)), members)
            declared = tuple(fields(message))
            self._field_numbers(declared)
            for field in declared:
                if not is_hidden(field.raw.name) and field.raw.name not in _OF_MESSAGES:
                    self._field(field, types)
            self._constructor(declared, types)
            self._presence(message, declared)

    def _field_numbers(self, declared: Sequence[FieldElement]) -> None:
        numbers: dict[str, int] = {}
        for field in declared:
            numbers.setdefault(f"{field.raw.name.upper()}_FIELD_NUMBER", field.raw.number)
        for name, number in numbers.items():
            if not is_hidden(name):
                self._source.line(f"{name}: {self._names.known('Final')} = {number}")

    def _field(self, field: FieldElement, types: FieldTypes) -> None:
        name = field.raw.name
        kind = types.attribute(field.descriptor)
        if not field.descriptor.is_repeated and field.descriptor.message_type is None:
            self._source.line(f"{name}: {kind}")
            if field.comment:
                self._source.docstring(field.comment)
            return
        decorator = self._names.builtin("property")
        self._source.line(f"@{decorator}")
        if field.comment:
            self._source.line(f"def {name}(self) -> {kind}:")
            with self._source.indented():
                self._source.docstring(field.comment)
        else:
            self._source.line(f"def {name}(self) -> {kind}: ...")
        assignable = types.assignable(field.descriptor)
        if assignable is not None:
            self._source.line(f"@{name}.setter")
            self._source.line(f"def {name}(self, value: {assignable}) -> None: ...")

    def _constructor(self, declared: Sequence[FieldElement], types: FieldTypes) -> None:
        receiver = unused("self", {field.raw.name for field in declared}, prefix="_", suffix="")
        keywords = [
            f"{field.raw.name}: {types.keyword(field.descriptor)} = ..."
            for field in declared
            if not is_hidden(field.raw.name)
        ]
        parts = [receiver, *(["*", *keywords] if keywords else [])]
        if len(keywords) < len(declared):
            rest = unused("kwargs", {field.raw.name for field in declared})
            parts.append(f"**{rest}: {self._names.known('Any')}")
        self._source.wrapped("def __init__(", parts, ") -> None: ...")

    def _presence(self, message: MessageElement, declared: Sequence[FieldElement]) -> None:
        oneofs = _real_oneofs(message)
        groups = [oneof.name for oneof in oneofs]
        with_presence = [field.raw.name for field in declared if field.descriptor.has_presence]
        inside = {*message.descriptor.nested_types_by_name, *message.descriptor.enum_types_by_name}
        if with_presence and "HasField" not in inside:
            self._literal_method(
                "HasField", "field_name", [*with_presence, *groups], self._names.builtin("bool")
            )
        if declared and "ClearField" not in inside:
            every = [*(field.raw.name for field in declared), *groups]
            self._literal_method("ClearField", "field_name", every, "None")
        for oneof in oneofs if "WhichOneof" not in inside else ():
            if len(oneofs) > 1:
                self._source.line(f"@{self._names.known('overload')}")
            members = ", ".join(literal(field.name) for field in oneof.fields)
            reply = f"{self._names.known('Literal')}[{members}] | None"
            self._literal_method("WhichOneof", "oneof_group", [oneof.name], reply)

    def _literal_method(
        self, name: str, parameter: str, choices: Sequence[str], reply: str
    ) -> None:
        shown = [literal(choice) for choice in choices]
        kind = f"{parameter}: {self._names.known('Literal')}["
        one = f"def {name}(self, {kind}{', '.join(shown)}]) -> {reply}: ..."
        if self._source.fits(one):
            self._source.line(one)
            return
        self._source.line(f"def {name}(")
        with self._source.indented():
            joined = f"self, {kind}{', '.join(shown)}]"
            if self._source.fits(joined):
                self._source.line(joined)
            else:
                self._source.line("self,")
                self._source.wrapped(kind, shown, "],")
        self._source.line(f") -> {reply}: ...")

    def _enum(self, enum: EnumElement, around: frozenset[str]) -> None:
        """Write an enum and its values.

        Args:
            enum: The enum.
            around: Names that the class around it defines.
        """
        name = class_name(enum.raw.name)
        own = self._names.type(enum.descriptor, around)
        meta = self._names.private(f"_{name}Type")
        self._enum_wrapper(meta, enum)
        self._source.gap()
        self._source.line(f"class {name}({self._names.builtin('int')}, metaclass={meta}):")
        with self._source.indented():
            self._source.docstring(enum.comment or f"Enum ``{enum.descriptor.full_name}``.")
            self._source.gap()
            self._enum_members(enum)
        self._source.gap()
        kind = "Final" if enum.descriptor.containing_type is None else "ClassVar"
        for value in enum_values(enum):
            constant = class_name(value.raw.name)
            if not is_hidden(constant) and constant not in _OF_MESSAGES:
                self._source.line(f"{constant}: {self._names.known(kind)}[{own}]")

    def _enum_wrapper(self, meta: str, enum: EnumElement) -> None:
        """Write what an enum can do as an object: at run time it is one, of ``EnumTypeWrapper``."""
        own = self._names.type(enum.descriptor, _OF_WRAPPERS)
        str_, list_ = self._names.builtin("str"), self._names.builtin("list")
        tuple_ = self._names.builtin("tuple")
        self._source.line(f"class {meta}({self._names.builtin('type')}):")
        with self._source.indented():
            self._source.line(f"DESCRIPTOR: {self._names.known('EnumDescriptor')}")
            for signature in (
                f"Name(cls, number: {self._names.builtin('int')}) -> {str_}",
                f"Value(cls, name: {str_}) -> {own}",
                f"keys(cls) -> {list_}[{str_}]",
                f"values(cls) -> {list_}[{own}]",
                f"items(cls) -> {list_}[{tuple_}[{str_}, {own}]]",
            ):
                self._source.line(f"def {signature}: ...")

    def _enum_members(self, enum: EnumElement) -> None:
        values = tuple(enum_values(enum))
        members = frozenset(value.raw.name for value in values)
        own = self._names.type(enum.descriptor, members)
        for value in values:
            if is_hidden(value.raw.name) or value.raw.name in _OF_ENUMS:
                continue
            self._source.line(f"{value.raw.name}: {self._names.known('ClassVar')}[{own}]")
            if value.comment:
                self._source.docstring(value.comment)

    def _extensions(self, declared: Sequence[FieldElement], members: frozenset[str]) -> None:
        types = FieldTypes(self._names, members)
        for extension in declared:
            descriptor = extension.descriptor
            if self._hide_options and extends_options(extension.raw.extendee[1:]):
                continue
            name = class_name(extension.raw.name)
            number = f"{extension.raw.name.upper()}_FIELD_NUMBER"
            assert descriptor.containing_type is not None, "an extension extends a message"
            extendee = self._names.type(descriptor.containing_type, members)
            kind = f"{self._names.known('ExtensionFieldDescriptor')}[{extendee}, "
            self._source.line(f"{number}: {self._names.known('Final')} = {descriptor.number}")
            self._source.line(f"{name}: {kind}{types.attribute(descriptor)}]")
            if extension.comment:
                self._source.docstring(extension.comment)


def _public_names(file: FileDescriptor) -> Iterator[str]:
    """Yield what importing everything from a module gives: also what it imports publicly."""
    for message in file.message_types_by_name:
        yield class_name(message)
    for name, enum in file.enum_types_by_name.items():
        yield class_name(name)
        yield from (class_name(value.name) for value in enum.values if not is_hidden(value.name))
    for extension in file.extensions_by_name:
        yield class_name(extension)
    for imported in file.public_dependencies:
        yield from _public_names(imported)


def _real_oneofs(message: MessageElement) -> list[OneofDescriptor]:
    """Return the oneofs but those that only carry the presence of a proto3 ``optional`` field."""
    made_up = {field.oneof_index for field in message.raw.field if field.proto3_optional}
    return [
        message.descriptor.oneofs_by_name[oneof.name]
        for index, oneof in enumerate(message.raw.oneof_decl)
        if index not in made_up
    ]
