"""JSON of ``google.protobuf.Any``: its type decides how the rest is read."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError
from kratos_protojson._parse_scalars import members, too_deep
from kratos_protojson._parse_wellknown import NATIVE, TEXTS, Read
from kratos_protojson.options import ParseOptions
from kratos_protojson.scalars import show

__all__ = ["any_reader"]

_UNDER_VALUE: Final = NATIVE | frozenset(TEXTS) | f.WRAPPERS | {f.ANY}


def any_reader(plans: f.PlanCache[Read], options: ParseOptions, read_object: Read) -> Read:
    """Return the reader; ``read_object`` reads the plain form without ``@type``."""
    max_depth = options.max_depth

    def read(message: Any, value: Any, depth: int) -> None:
        if depth > max_depth:
            raise too_deep(max_depth)
        found = dict(members(value))
        if "@type" not in found:
            if options.plain_objects and {"type_url", "typeUrl"} & found.keys():
                read_object(message, value, depth)
            elif found:
                raise JsonError("an Any needs a member @type")
            return
        url = found["@type"]
        if not isinstance(url, str):
            raise JsonError(f"@type must be a string, got {show(url)}")
        name = url.rpartition("/")[2]
        pool: DescriptorPool = options.pool or message.DESCRIPTOR.file.pool
        try:
            descriptor = pool.FindMessageTypeByName(name)
        except KeyError:
            raise JsonError(f"@type {show(url)} is not known here") from None
        inner = message_factory.GetMessageClass(descriptor)()
        plan = plans(descriptor)
        if name in _UNDER_VALUE:
            if len(found) > 2 and not options.ignore_unknown:
                raise JsonError(f"an Any of {name} has no members but @type and value")
            _read_value(plan, inner, found, depth + 1)
        else:
            # Go writes an Empty with a value, json_format without.
            drop = ("@type", "value") if name == f.EMPTY else ("@type",)
            content = {key: item for key, item in found.items() if key not in drop}
            plan(inner, content, depth + 1)
        message.type_url = url
        message.value = inner.SerializePartialToString()

    return read


def _read_value(plan: Read, inner: Any, found: dict[str, Any], depth: int) -> None:
    if "value" not in found:
        raise JsonError(f"an Any of {inner.DESCRIPTOR.full_name} needs a member value")
    try:
        plan(inner, found["value"], depth)
    except (ValueError, TypeError) as error:
        raise JsonError.of(error).within("value") from None
