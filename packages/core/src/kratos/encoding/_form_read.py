"""Form pairs and path variables into messages (Go: encoding/form/proto_decode.go).

Keys are paths of field names, in proto or JSON spelling: ``sub.naming``, ``list[]``,
``list[0]``, ``map[key]``, ``map.key``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding._codec import CodecError
from kratos.encoding._form_path import FormPlan, claim
from kratos.encoding._form_put import has_text_form
from kratos.errors import ConfigError
from kratos_protojson import descriptors as f

__all__ = ["bind", "setter"]

_PLANS: Final = f.PlanCache(FormPlan)


def bind(message: Message, pairs: Iterable[tuple[str, str]]) -> None:
    """Put form or query pairs into a message; what is there already is overwritten.

    Unknown fields and empty values of singular fields are ignored. Lists and maps grow.

    Raises:
        CodecError: A value does not parse, or two keys contradict each other.
    """
    grouped: dict[str, list[str]] = {}
    for key, value in pairs:
        values = grouped.get(key)
        if values is None:
            grouped[key] = [value]
        else:
            values.append(value)
    find = _PLANS(message.DESCRIPTOR).find
    taken: dict[str, str] = {}
    for key, values in grouped.items():
        target = find(key)
        if target is not None:
            if len(grouped) > 1 and values != [""]:
                claim(target.claims, taken)
            target.apply(message, values)


def setter(descriptor: f.AnyDescriptor, path: str) -> Callable[[Message, str], None]:
    """Compile the binding of one path variable; call it once per route.

    The function it returns overwrites what the body or the query has set, also where the
    field is ``optional`` or the member of a oneof. It raises ``CodecError`` for a value
    that does not parse; an empty one empties text fields and is ignored by others.

    Raises:
        ConfigError: The message has no such field, or the field cannot stand in a path.
    """
    target = _PLANS(descriptor).find(path)
    if target is None:
        raise ConfigError(f"{descriptor.full_name} has no field {path!r}: mend the path template")
    field = target.field
    if f.is_map(field) or not has_text_form(field):
        raise ConfigError(
            f"{descriptor.full_name}: {path!r} cannot stand in a path, it is no scalar"
        )
    if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
        return _text_setter(target.parents, field.name)
    apply = target.apply
    return lambda message, value: apply(message, [value])


def _text_setter(parents: tuple[str, ...], name: str) -> Callable[[Message, str], None]:
    def set_text(message: Any, value: str) -> None:
        for parent in parents:
            message = getattr(message, parent)
        try:
            setattr(message, name, value)
        except ValueError as error:  # a surrogate: half a character
            raise CodecError(f'parsing field "{name}": {error}', name) from None

    return set_text
