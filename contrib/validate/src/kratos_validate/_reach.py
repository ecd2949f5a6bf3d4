"""The types of messages that a message may hold, and the options of their parts."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

__all__ = ["options_within", "reached"]


def reached(root: Descriptor) -> list[Descriptor]:
    """Return a type and all types of its fields, of their fields and so on, each once."""
    found = {root.full_name: root}
    waiting = [root]
    while waiting:
        for field in waiting.pop().fields:
            inner = field.message_type
            if inner is not None and inner.full_name not in found:
                found[inner.full_name] = inner
                waiting.append(inner)
    return list(found.values())


def options_within(descriptor: Descriptor) -> Iterator[Message]:
    """Yield the options of a type, of its fields and of its oneofs."""
    yield descriptor.GetOptions()
    for field in descriptor.fields:
        yield field.GetOptions()
    for oneof in descriptor.oneofs:
        yield oneof.GetOptions()
