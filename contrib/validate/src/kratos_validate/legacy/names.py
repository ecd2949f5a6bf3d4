"""Names as the Go code has them that is generated from a definition."""

from __future__ import annotations

import re
from typing import Final

from google.protobuf.descriptor import Descriptor

__all__ = ["field_name", "message_name"]

_WORD: Final = re.compile(r"_([a-z])|(?<![A-Za-z_])([a-z])")
# Go's generators keep these for methods of their own.
_TAKEN: Final = frozenset(
    (
        "Descriptor",
        "ExtensionMap",
        "ExtensionRangeArray",
        "Marshal",
        "ProtoMessage",
        "Reset",
        "String",
        "Unmarshal",
    )
)


def message_name(descriptor: Descriptor) -> str:
    """Return the name of a message's type, with those that it is nested in."""
    name = _camel(descriptor.name)
    if descriptor.containing_type is None:
        return name
    joint = "" if descriptor.name[0].islower() else "_"
    return f"{message_name(descriptor.containing_type)}{joint}{name}"


def field_name(name: str) -> str:
    """Return the name of a field or of a oneof."""
    found = _camel(name)
    return f"{found}_" if found in _TAKEN else found


def _camel(name: str) -> str:
    """Return a name in camel case, as protoc-gen-go does it: ``_my_name_2`` is ``XMyName_2``."""
    rest = name.removeprefix("_")
    raised = _WORD.sub(lambda found: found[found.lastindex or 0].upper(), rest)
    return raised if rest is name else f"X{raised}"
