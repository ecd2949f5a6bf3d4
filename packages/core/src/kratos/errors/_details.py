"""Details of errors: messages of any type, as ``google.rpc.Status`` carries them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:  # protobuf is loaded when there are details: errors are everywhere
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.message import Message

__all__ = ["FieldViolation", "packed", "unpacked", "violations_in", "with_violations"]

M = TypeVar("M", bound="Message")

_ANY: Final = "google.protobuf.Any"
_BAD_REQUEST: Final = "google.rpc.BadRequest"
_PREFIX: Final = "type.googleapis.com/"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request.

    Attributes:
        field: Path of the field in the request, such as ``address.city`` or ``tags[2]``.
        description: Why its value is not accepted, for people.
        reason: Stable machine-readable name, by convention UPPER_SNAKE; empty for none.
    """

    field: str
    description: str = ""
    reason: str = ""


def packed(message: Message) -> AnyMessage:
    """Return a message as ``google.protobuf.Any``; one that is such already as a copy.

    Raises:
        TypeError: It is no message.
    """
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.message import Message

    if not isinstance(cast("object", message), Message):
        raise TypeError(f"a detail is a protobuf message, not {type(message).__name__}")
    name: str = cast("Any", message).DESCRIPTOR.full_name
    if name == _ANY:
        given = cast("AnyMessage", message)
        return AnyMessage(type_url=given.type_url, value=given.value)
    return AnyMessage(
        type_url=_PREFIX + name, value=message.SerializePartialToString(deterministic=True)
    )


def unpacked(details: Iterable[AnyMessage], kind: type[M]) -> Iterator[M]:
    """Yield the details of one type, without those whose bytes are none of it."""
    from google.protobuf.message import DecodeError

    name: str = cast("Any", kind).DESCRIPTOR.full_name
    for detail in details:
        if detail.type_url.rpartition("/")[2] == name:
            try:
                found = kind.FromString(detail.value)
            except DecodeError:
                continue
            yield found


def violations_in(details: Iterable[AnyMessage]) -> Iterator[FieldViolation]:
    """Yield the violations of all ``google.rpc.BadRequest``."""
    given = [each for each in details if _is_bad_request(each)]
    if not given:
        return  # and the type need not be imported
    for bad_request in unpacked(given, _bad_request()):
        for each in bad_request.field_violations:
            yield FieldViolation(each.field, each.description, each.reason)


def with_violations(
    details: Iterable[AnyMessage], violations: Iterable[FieldViolation]
) -> list[AnyMessage]:
    """Return the details with more violations: in the first ``BadRequest``, or in a new one."""
    kind = _bad_request()
    added = kind()
    for each in violations:
        if not isinstance(each, FieldViolation):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                "write with_field_violations(FieldViolation(field, description), ...), "
                f"not {each!r}"
            )
        added.field_violations.add(
            field=each.field, description=each.description, reason=each.reason
        )
    found = list(details)
    for number, detail in enumerate(found):
        if _is_bad_request(detail):
            # Bytes of repeated fields add up, whatever else is in the message.
            value = detail.value + added.SerializeToString()
            found[number] = type(detail)(type_url=detail.type_url, value=value)
            return found
    return [*found, packed(added)]


def _is_bad_request(detail: AnyMessage) -> bool:
    return detail.type_url.rpartition("/")[2] == _BAD_REQUEST


def _bad_request() -> type[Any]:
    from google.rpc import error_details_pb2  # type: ignore[import-untyped]

    kind: type[Any] = error_details_pb2.BadRequest
    return kind
