"""Keys of forms to fields: which field a key leads to, and how values get there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos.encoding._codec import CodecError
from kratos.encoding._form_put import Put, entry_putter, put_struct_entry, putter
from kratos_protojson import descriptors as f
from kratos_protojson.scalars import show

__all__ = ["FormPlan", "Target", "claim"]

_MAX_TARGETS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A place that only one key of a form may take: a singular field, or a oneof.

    Attributes:
        place: Path of the field or of the oneof.
        taker: What takes it: the key, or the member of the oneof.
        problem: What to say when two takers meet.
    """

    place: str
    taker: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the values of one key go.

    Attributes:
        parents: Names of the messages on the way.
        field: The field at the end.
        put: Puts values into it, given the message that has it.
        claims: What the key takes for itself.
    """

    parents: tuple[str, ...]
    field: FieldDescriptor
    put: Put
    claims: tuple[Claim, ...]

    def apply(self, message: Any, values: list[str]) -> None:
        """Put values into the field, starting from the outermost message."""
        for name in self.parents:
            message = getattr(message, name)
        self.put(message, values)


def claim(claims: tuple[Claim, ...], taken: dict[str, str]) -> None:
    """Note what a key takes.

    Raises:
        CodecError: Another key has taken it.
    """
    for one in claims:
        if taken.setdefault(one.place, one.taker) != one.taker:
            raise CodecError(one.problem, one.place)


class FormPlan:
    """How the keys of forms lead into one message type."""

    __slots__ = ("_descriptor", "_targets")

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._targets: dict[str, Target] = {}

    def __len__(self) -> int:
        return len(self._targets)

    def find(self, key: str) -> Target | None:
        """Return where a key leads, ``None`` if the message has no such field.

        Raises:
            CodecError: The key leads through a field that is no message, or into a map
                without naming an entry.
        """
        target = self._targets.get(key)
        if target is None:
            target = _resolve(self._descriptor, key)
            # Names of entries are the client's to invent, so they are not worth remembering.
            if target is not None and not isinstance(target.put, partial) and "[" not in key:
                if len(self._targets) >= _MAX_TARGETS:
                    self._targets.clear()
                self._targets[key] = target
        return target


def _resolve(descriptor: Descriptor, key: str) -> Target | None:
    # The text in brackets is opaque: keys of maps may hold dots and brackets themselves.
    dotted, bracket, inside = key.partition("[")
    names = dotted.split(".")
    if len(names) > f.MAX_DEPTH:
        raise CodecError(f"{show(key)} leads deeper than {f.MAX_DEPTH} messages")
    subscript = bracket + inside
    parents: list[str] = []
    claims: list[Claim] = []
    while True:
        if descriptor.full_name == f.STRUCT:
            put = partial(put_struct_entry, key=_entry_key(names, subscript))
            fields = descriptor.fields_by_name["fields"]
            return _target(parents, fields, put, claims)
        name, *names = names
        field = _field(descriptor, name)
        if field is None:
            return None
        claims.extend(_oneof_claim(parents, field))
        if f.is_map(field):
            put = partial(entry_putter(field), key=_entry_key(names, subscript))
            return _target(parents, field, put, claims)
        if not names and (not subscript or subscript.endswith("]")):
            claims.extend(_field_claim(parents, field, key))
            return _target(parents, field, putter(field), claims)
        if not names or field.message_type is None or field.is_repeated:
            raise CodecError(f'invalid path: "{name}" is not a message', key)
        parents.append(field.name)
        descriptor = field.message_type


def _target(parents: list[str], field: FieldDescriptor, put: Put, claims: list[Claim]) -> Target:
    return Target(parents=tuple(parents), field=field, put=put, claims=tuple(claims))


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    field = descriptor.fields_by_name.get(name)
    if field is not None:
        return field
    return next((field for field in descriptor.fields if field.json_name == name), None)


def _entry_key(rest: list[str], subscript: str) -> str:
    if not rest and subscript.endswith("]"):
        return subscript[1:-1]
    if len(rest) == 1 and not subscript:
        return rest[0]
    raise CodecError("invalid formatting for map key: write map[key] or map.key")


def _oneof_claim(parents: list[str], field: FieldDescriptor) -> list[Claim]:
    oneof = field.containing_oneof
    if oneof is None:
        return []
    place = ".".join([*parents, oneof.name])
    problem = f'field already set for oneof "{oneof.name}"'
    return [Claim(place=f"oneof {place}", taker=field.name, problem=problem)]


def _field_claim(parents: list[str], field: FieldDescriptor, key: str) -> list[Claim]:
    if field.is_repeated:
        return []
    place = ".".join([*parents, field.name])
    problem = f'too many values for field "{field.name}", under two spellings'
    return [Claim(place=place, taker=key, problem=problem)]
