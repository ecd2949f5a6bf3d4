"""The wire error: code, reason, message, metadata, details (Go: errors/errors.go)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeVar, cast

from kratos.errors._details import (
    FieldViolation,
    packed,
    unpacked,
    violations_in,
    with_violations,
)
from kratos.errors.operational import KratosError

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.message import Message

__all__ = [
    "OK_CODE",
    "UNKNOWN_CODE",
    "UNKNOWN_REASON",
    "Error",
    "code",
    "from_error",
    "matches",
    "reason",
    "ungrouped",
]

M = TypeVar("M", bound="Message")

OK_CODE: Final = 200
UNKNOWN_CODE: Final = 500
UNKNOWN_REASON: Final = ""

_LAST_GRPC_CODE: Final = 16


class Error(KratosError):
    """An answer to the caller: raised by handlers and middleware, raised again by clients.

    Two errors *match* when code and reason are equal (``matches``); ``==`` stays identity,
    as for every exception. ``raise error from cause`` keeps the cause, which never travels.

    Args:
        code: HTTP-style status code, 100 to 999 on the wire.
        reason: Stable machine-readable name, by convention UPPER_SNAKE.
        message: Text for people.
        metadata: Texts for machines.
        details: Messages for machines, of any type, ``google.rpc`` has some; Kratos for Go passes
            them over. They are kept as ``google.protobuf.Any``.

    Attributes:
        grpc_code: Status code over gRPC, where it is another than the table has for ``code``;
            ``None`` for that of the table.
        details: The messages, packed, also those whose type is not known here.

    Raises:
        TypeError: A detail is no message.
    """

    def __init__(
        self,
        code: int,
        reason: str = UNKNOWN_REASON,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        *,
        details: Iterable[Message] = (),
    ) -> None:
        super().__init__(code, reason, message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata) if metadata else {}
        self.grpc_code: int | None = None
        self.details: tuple[AnyMessage, ...] = tuple(map(packed, details)) if details else ()

    @property
    def cause(self) -> BaseException | None:
        """The exception that this one was raised from."""
        return self.__cause__

    def matches(self, other: BaseException | None) -> bool:
        """Tell whether ``other`` is, or wraps, an error of the same code and reason."""
        return any(
            isinstance(link, Error) and link.code == self.code and link.reason == self.reason
            for link in _chain(other)
        )

    def clone(self) -> Error:
        """Return an independent copy with the same cause."""
        copy = Error(self.code, self.reason, self.message, self.metadata, details=self.details)
        copy.grpc_code = self.grpc_code
        copy.__cause__ = self.__cause__
        return copy

    def with_cause(self, cause: BaseException | None) -> Error:
        """Return a copy that was caused by ``cause``."""
        copy = self.clone()
        copy.__cause__ = cause
        return copy

    def with_metadata(self, metadata: Mapping[str, str]) -> Error:
        """Return a copy with ``metadata`` in place of the present one."""
        copy = self.clone()
        copy.metadata = dict(metadata)
        return copy

    def with_grpc_code(self, code: int) -> Error:
        """Return a copy that ends calls over gRPC with exactly this status code.

        For clients that look at it, such as those of a service without Kratos that this one
        takes the place of: ``conflict("TAKEN").with_grpc_code(6)`` is ALREADY_EXISTS to them,
        where the table has ABORTED. Elsewhere ``code`` is what counts.

        Args:
            code: From 1 (CANCELLED) to 16 (UNAUTHENTICATED).

        Raises:
            ValueError: There is no such status of a failed call.
        """
        if not 1 <= code <= _LAST_GRPC_CODE:
            raise ValueError(f"{code} is no status code of a failed call over gRPC: 1 to 16 are")
        copy = self.clone()
        copy.grpc_code = code
        return copy

    def with_detail(self, *messages: Message) -> Error:
        """Return a copy with more details.

        Raises:
            TypeError: One is no message.
        """
        copy = self.clone()
        copy.details = (*copy.details, *map(packed, messages))
        return copy

    def detail(self, kind: type[M], /) -> M | None:
        """Return the first detail of a type; ``None`` if there is none that can be read."""
        return next(unpacked(self.details, kind), None)

    @property
    def field_violations(self) -> tuple[FieldViolation, ...]:
        """What is wrong with fields of the request, by details ``google.rpc.BadRequest``."""
        return tuple(violations_in(self.details))

    def with_field_violations(self, *violations: FieldViolation) -> Error:
        """Return a copy that says of more fields what is wrong with them.

        Raises:
            TypeError: One is no ``FieldViolation``, but a list of them for instance.
        """
        copy = self.clone()
        copy.details = tuple(with_violations(copy.details, violations))
        return copy

    def __str__(self) -> str:
        pairs = " ".join(f"{key}:{value}" for key, value in sorted(self.metadata.items()))
        return (
            f"error: code = {self.code} reason = {self.reason} message = {self.message} "
            f"metadata = map[{pairs}] cause = {_text(self.__cause__)}"
        )

    def __repr__(self) -> str:
        names = ", ".join(detail.type_url.rpartition("/")[2] for detail in self.details)
        return (
            f"Error(code={self.code}, reason={self.reason!r}, message={self.message!r}, "
            f"metadata={self.metadata!r}{f', details=[{names}]' if names else ''})"
        )

    def __reduce__(
        self,
    ) -> tuple[type[Error], tuple[int, str, str, dict[str, str]], dict[str, object]]:
        parts = (self.code, self.reason, self.message, self.metadata)
        return Error, parts, {"grpc_code": self.grpc_code, "details": self.details}


def from_error(error: BaseException | None) -> Error | None:
    """Return the ``Error`` in an exception's chain of causes, or one that stands for it.

    ``None`` stays ``None``. An exception without an ``Error`` among its explicit causes
    becomes code 500 with its text, as in Go; use it for logs, not for replies.

    A group, as ``asyncio.TaskGroup`` raises it, stands for its only exception, and for the first
    of several that are all ``Error``. What a handler raises is seen likewise.
    """
    if error is None:
        return None
    for link in _chain(ungrouped(error)):
        if isinstance(link, Error):
            return link
    return Error(UNKNOWN_CODE, UNKNOWN_REASON, _text(error)).with_cause(error)


def ungrouped(error: BaseException) -> BaseException:
    """Return what a group stands for, see ``from_error``; anything else as it is."""
    leaves = list(_leaves(error))
    sole = len(leaves) == 1 or all(isinstance(leaf, Error) for leaf in leaves)
    return leaves[0] if sole else error


def code(error: BaseException | None) -> int:
    """Return an error's code; 200 for ``None``, 500 for foreign exceptions."""
    found = from_error(error)
    return OK_CODE if found is None else found.code


def reason(error: BaseException | None) -> str:
    """Return an error's reason; empty for ``None`` and for foreign exceptions."""
    found = from_error(error)
    return UNKNOWN_REASON if found is None else found.reason


def matches(error: BaseException | None, target: Error) -> bool:
    """Tell whether ``error`` is, or wraps, one with the code and reason of ``target``."""
    return target.matches(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk explicit causes; a context that merely happened before is not a cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Walk what a group and the groups in it hold; an exception that is none is its own leaf."""
    if isinstance(error, ExceptionGroup):
        for each in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error


def _text(error: BaseException | None) -> str:
    if error is None:
        return "<nil>"
    return str(error) or type(error).__name__
