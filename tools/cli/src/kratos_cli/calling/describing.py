"""Services and their messages as text, in the manner of definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from kratos_cli.calling.definitions import Described
from protoc_gen_kratos.services import Rpc

__all__ = ["as_json", "as_text"]

_WELL_KNOWN = "google.protobuf."
_SCALARS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def as_text(service: Described) -> str:
    """Return a service, its HTTP rules, and the messages and enums that it needs."""
    lines = [*_comment(service.comment), f"service {service.name} {{"]
    for rpc in service.rpcs.values():
        lines += [f"  {line}" for line in _comment(rpc.element.comment)]
        lines.append(f"  {_signature(rpc)}")
        lines += [f"    {rule.verb} {rule.path}" for rule in rpc.rules]
    lines.append("}")
    for kind in _needed(service):
        lines += ["", *_definition(kind)]
    return "".join(f"{line}\n" for line in lines)


def as_json(service: Described) -> dict[str, Any]:
    """Return the methods of a service with their arities, messages and HTTP rules."""
    return {
        "service": service.name,
        "file": service.file.name,
        "methods": [
            {
                "name": name,
                "operation": rpc.operation,
                "arity": rpc.arity.value,
                "request": rpc.request.full_name,
                "reply": rpc.reply.full_name,
                "http": [f"{rule.verb} {rule.path}" for rule in rpc.rules],
            }
            for name, rpc in service.rpcs.items()
        ],
    }


def _signature(rpc: Rpc) -> str:
    sent = "stream " if rpc.arity.client_streams else ""
    answered = "stream " if rpc.arity.server_streams else ""
    return (
        f"rpc {rpc.element.raw.name}({sent}{rpc.request.full_name}) "
        f"returns ({answered}{rpc.reply.full_name})"
    )


def _comment(text: str) -> list[str]:
    return [f"// {line.strip()}".rstrip() for line in text.strip().splitlines()]


def _needed(service: Described) -> Iterator[Descriptor | EnumDescriptor]:
    """Yield the types of a service's messages, each once, those of Google's left out."""
    seen: set[str] = set()
    waiting: list[Descriptor | EnumDescriptor] = [
        kind for rpc in service.rpcs.values() for kind in (rpc.request, rpc.reply)
    ]
    while waiting:
        kind = waiting.pop(0)
        if kind.full_name in seen or kind.full_name.startswith(_WELL_KNOWN):
            continue
        seen.add(kind.full_name)
        if not (isinstance(kind, Descriptor) and kind.GetOptions().map_entry):
            yield kind
        if isinstance(kind, Descriptor):
            waiting += [
                part
                for field in kind.fields
                for part in (field.message_type, field.enum_type)
                if part is not None
            ]


def _definition(kind: Descriptor | EnumDescriptor) -> Iterator[str]:
    if isinstance(kind, EnumDescriptor):
        yield f"enum {kind.full_name} {{"
        yield from (f"  {value.name} = {value.number}" for value in kind.values)
    else:
        yield f"message {kind.full_name} {{"
        yield from (f"  {_field(field)}" for field in kind.fields)
    yield "}"


def _field(field: FieldDescriptor) -> str:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = (message.fields_by_name[name] for name in ("key", "value"))
        return f"map<{_kind(key)}, {_kind(value)}> {field.name} = {field.number}"
    label = "repeated " if field.is_repeated else ""
    oneof = field.containing_oneof
    if oneof is not None:
        alone = len(oneof.fields) == 1 and oneof.name.startswith("_")  # a field with "optional"
        label = "optional " if alone else f"oneof {oneof.name} "
    return f"{label}{_kind(field)} {field.name} = {field.number}"


def _kind(field: FieldDescriptor) -> str:
    named = field.message_type or field.enum_type
    return _SCALARS[field.type] if named is None else named.full_name
