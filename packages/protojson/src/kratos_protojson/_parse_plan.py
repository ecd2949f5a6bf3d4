"""JSON values to messages, by plans compiled once per message type and option set.

With ``plain_objects`` two dialects are understood at once: protobuf JSON (Go:
``encoding/protojson``), and the plain JSON of Go Kratos v3, where enums and 64-bit integers are
numbers and well-known types are objects of their fields. Nothing is valid in both with two
meanings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError
from kratos_protojson._parse_any import any_reader
from kratos_protojson._parse_fields import (
    Get,
    extension_getter,
    field_getter,
    message_list_reader,
    message_map_reader,
    message_reader,
    scalar_list_reader,
    scalar_map_reader,
    scalar_reader,
)
from kratos_protojson._parse_names import conflicts
from kratos_protojson._parse_scalars import (
    AS_IT_IS,
    SCALARS,
    Convert,
    is_object,
    key_converter,
    no_object,
    scalar_converter,
    too_deep,
)
from kratos_protojson._parse_wellknown import TEXTS, Natives, Read, wrapper
from kratos_protojson.options import ParseOptions

__all__ = ["ParsePlans"]

Entry: TypeAlias = tuple[type, str, Convert | None, Read]
"""How a field is read.

The JSON type that it takes as it is; its name; for a scalar, what makes its value of others; and
for all other fields, what reads any value.
"""

_NO_TYPE: Final = type("_NoType", (), {})


class ParsePlans:
    """Reads messages of any type under one set of options."""

    __slots__ = ("_compiling", "_natives", "_options", "message")

    def __init__(self, options: ParseOptions) -> None:
        self._options = options
        self._natives = Natives(options.max_depth).readers
        self._compiling: set[f.AnyDescriptor] = set()
        self.message: f.PlanCache[Read] = f.PlanCache(self._plan)

    def field(self, field: FieldDescriptor) -> Read:
        """Return the function that reads the value of a field into its message."""
        get = extension_getter(field) if field.is_extension else field_getter(field)
        if f.is_map(field):
            return self._map(field, get)
        if field.message_type is not None:
            plan = self._inner(field.message_type)
            return (message_list_reader if field.is_repeated else message_reader)(get, plan)
        convert = scalar_converter(field, ignore_unknown=self._options.ignore_unknown)
        if field.is_repeated:
            return scalar_list_reader(get, convert, AS_IT_IS.get(field.type))
        return scalar_reader(field, convert)

    def _plan(self, descriptor: Descriptor) -> Read:
        name = descriptor.full_name
        if name in self._natives:
            return self._natives[name]
        plain = self._options.plain_objects
        if name in f.WRAPPERS:
            read_value = self.field(descriptor.fields_by_name["value"])
            return wrapper(read_value, self._object(descriptor)) if plain else read_value
        if name in TEXTS:
            return TEXTS[name](self._object(descriptor) if plain else None)
        if name == f.ANY:
            return any_reader(self.message, self._options, self._object(descriptor))
        self._compiling.add(descriptor)
        try:
            return self._object(descriptor)
        finally:
            self._compiling.discard(descriptor)

    def _inner(self, descriptor: Descriptor) -> Read:
        """Return the plan of a field's type; types that contain themselves look it up later."""
        if descriptor not in self._compiling:
            return self.message(descriptor)
        plan: Read | None = None

        def read(message: Any, value: Any, depth: int) -> None:
            nonlocal plan
            if plan is None:
                plan = self.message(descriptor)
            plan(message, value, depth)

        return read

    def _object(self, descriptor: Descriptor) -> Read:
        find = self._entries(descriptor).get
        unknown = self._unknown(descriptor)
        check = conflicts(descriptor)
        nullable = _nullable_names(descriptor)
        max_depth = self._options.max_depth

        def read(message: Any, value: Any, depth: int) -> None:
            if depth > max_depth or not is_object(value):
                raise too_deep(max_depth) if depth > max_depth else no_object(value)
            if check is not None:
                check(value)
            key = ""
            try:
                for key, item in value.items():
                    entry = find(key)
                    if entry is None:
                        unknown(message, key, item, depth)
                        continue
                    expected, name, convert, read_field = entry
                    if type(item) is expected:
                        setattr(message, name, item)
                    elif item is None and key not in nullable:
                        continue
                    elif convert is None:
                        read_field(message, item, depth)
                    else:
                        setattr(message, name, convert(item))
            except (ValueError, TypeError) as error:
                raise JsonError.of(error).within(key) from None

        return read

    def _entries(self, descriptor: Descriptor) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for field in descriptor.fields:
            as_it_is, convert = None, None
            if not field.is_repeated and field.type in SCALARS:
                as_it_is = AS_IT_IS.get(field.type)
                convert = SCALARS[field.type]
            read = self.field(field)
            entries[field.json_name] = (as_it_is or _NO_TYPE, field.name, convert, read)
        for field in descriptor.fields:
            entries.setdefault(field.name, entries[field.json_name])
        return entries

    def _unknown(self, descriptor: Descriptor) -> Callable[[Any, str, Any, int], None]:
        extensions: dict[str, Read] = {}

        def unknown(message: Any, key: str, item: Any, depth: int) -> None:
            if descriptor.is_extendable and key.startswith("[") and key.endswith("]"):
                read = extensions.get(key) or self._extension(descriptor, key[1:-1])
                if read is not None:
                    extensions[key] = read
                    if item is not None:
                        read(message, item, depth)
                    return
            if not self._options.ignore_unknown:
                raise JsonError(f"{descriptor.full_name} has no such field")

        return unknown

    def _extension(self, descriptor: Descriptor, name: str) -> Read | None:
        pool: Any = self._options.pool or descriptor.file.pool
        try:
            field: FieldDescriptor = pool.FindExtensionByName(name)
        except KeyError:
            return None
        return self.field(field) if field.containing_type is descriptor else None

    def _map(self, field: FieldDescriptor, get: Get) -> Read:
        key_field, value_field = f.map_fields(field)
        convert_key = key_converter(key_field)
        if value_field.message_type is not None:
            return message_map_reader(get, convert_key, self._inner(value_field.message_type))
        convert = scalar_converter(value_field, ignore_unknown=self._options.ignore_unknown)
        return scalar_map_reader(get, convert_key, convert)


def _nullable_names(descriptor: Descriptor) -> frozenset[str]:
    """Return the names of fields of which ``null`` is a value rather than their absence."""
    names: set[str] = set()
    for field in descriptor.fields:
        takes_null = f.is_null_value(field) or f.message_name(field) == f.VALUE
        if takes_null and not field.is_repeated:
            names |= {field.name, field.json_name}
    return frozenset(names)
