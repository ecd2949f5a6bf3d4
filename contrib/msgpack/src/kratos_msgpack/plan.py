"""How messages of one type are written and read: worked out once, from the definition."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message import Message

from kratos_msgpack import writing
from kratos_msgpack.fields import Member, choice_of, member_of
from kratos_msgpack.names import go_names
from kratos_msgpack.reading import BadData, Reader
from kratos_msgpack.writing import Out
from kratos_protojson.descriptors import MAX_DEPTH, PlanCache

__all__ = ["Plan", "plan_of"]


class Plan:
    """How messages of one type are written and read.

    Args:
        descriptor: The type.
    """

    __slots__ = ("_head", "_members", "_places", "fields")

    def __init__(self, descriptor: Descriptor) -> None:
        names = go_names(descriptor)
        optional = _optional(descriptor)
        self._members: list[Member] = []
        self.fields: dict[str, Member] = {}
        for field in descriptor.fields:
            member = self.fields[field.name] = member_of(field, names[field.name], plan_of)
            oneof = field.containing_oneof
            if oneof is None or field.name in optional:
                self._members.append(member)
            elif oneof.fields[0] is field:
                self._members.append(choice_of(oneof, names, plan_of))
        self._places = {member.name.encode(): at for at, member in enumerate(self._members)}
        head = bytearray()
        writing.mapping(head, len(self._members))
        self._head = bytes(head)

    def write(self, out: Out, message: Message, depth: int) -> None:
        """Append a message.

        Raises:
            BadData: It is nested too deep.
        """
        _check(depth)
        out += self._head
        for member in self._members:
            out += member.head
            try:
                member.write(out, message, depth)
            except BadData as bad:
                bad.path.append(f".{member.name}")
                raise

    def read(self, reader: Reader, message: Message, depth: int) -> None:
        """Read a message; members that are not known are left behind, as Go does.

        Raises:
            BadData: It cannot be read.
        """
        _check(depth)
        members = self._members
        seen = expected = 0
        for _ in range(reader.members()):
            # Most come in the order of the definition, where the next name can be foreseen.
            if expected < len(members) and reader.passes(members[expected].head):
                at = expected
            else:
                found = self._places.get(reader.binary())
                if found is None:
                    reader.skip()
                    continue
                at = found
            expected = at + 1
            try:
                if seen >> at & 1:
                    raise BadData("it is given twice")
                seen |= 1 << at
                members[at].read(reader, message, depth)
            except BadData as bad:
                bad.path.append(f".{members[at].name}")
                raise


plan_of: Final = PlanCache(Plan)


def _check(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadData(f"messages are nested deeper than {MAX_DEPTH} levels")


def _optional(descriptor: Descriptor) -> set[str]:
    """Return the fields that are ``optional`` in proto3; their oneofs are none in Go."""
    proto = DescriptorProto()
    descriptor.CopyToProto(proto)
    return {field.name for field in proto.field if field.proto3_optional}
