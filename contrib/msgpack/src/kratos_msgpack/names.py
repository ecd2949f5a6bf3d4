"""Names of fields in Go: what protoc-gen-go calls them is what MessagePack of Go holds."""

from __future__ import annotations

import re
from typing import Final

from google.protobuf.descriptor import Descriptor

__all__ = ["camel_case", "go_names"]

# What the generated code of each message has for methods.
_TAKEN: Final[tuple[str, ...]] = (
    "Reset",
    "String",
    "ProtoMessage",
    "Marshal",
    "Unmarshal",
    "ExtensionRangeArray",
    "ExtensionMap",
    "Descriptor",
)
# A letter in lower case that begins a word, with the underscore that it makes needless.
_WORD: Final = re.compile(r"(?:^|_|(?<=[0-9]))([a-z])")


def camel_case(name: str) -> str:
    """Return a name of protobuf in the way of Go: ``user_id`` is ``UserId``, ``_a`` is ``XA``."""
    rest = name.removeprefix("_")
    first = "" if rest == name else "X"
    return first + _WORD.sub(lambda found: found[1].upper(), rest)


def go_names(descriptor: Descriptor) -> dict[str, str]:
    """Return the names in Go of all fields and oneofs of a message, by their names.

    Whatever has the name of another one, or of a method, or whose getter has, gets an underscore.
    """
    taken: dict[str, bool] = {}
    taken.update((method, True) for method in _TAKEN)
    names: dict[str, str] = {}

    def name(of: str, *, has_getter: bool) -> None:
        made = camel_case(of)
        while taken.get(made) or (has_getter and taken.get(f"Get{made}")):
            made += "_"
        taken[made] = True
        taken[f"Get{made}"] = has_getter
        names[of] = made

    for field in descriptor.fields:
        name(field.name, has_getter=True)
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[0] is field:
            name(oneof.name, has_getter=False)
    return names
