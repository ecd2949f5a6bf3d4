"""The rules of ``buf.validate``, which protovalidate evaluates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from kratos.errors import FieldViolation, MissingDependency
from kratos.middleware import Check, ValidationError
from kratos_validate._options import has_modern
from kratos_validate._reach import options_within, reached
from kratos_validate._text import cut, quoted

if TYPE_CHECKING:
    from protovalidate import Validator, Violation

__all__ = ["ModernRules"]

_MOST: Final = 50
_LONGEST: Final = 4096
# A violation takes up to 50 us, and two bytes of a request can be one.
_SMALL: Final = 4096


class ModernRules:
    """A check of requests by the rules of ``buf/validate/validate.proto``, for ``validate``.

    Types without rules, themselves and in what they hold, are left alone. The rules of all
    others are compiled when chains are built. Their texts are those of protovalidate for Go.

    Of a request of more than 4 KiB the first violation alone is told: to find them all would
    let a caller stop the process for seconds.

    Args:
        validator: Evaluates the rules; one of its own by default. It is needed for predefined
            rules in files that the requests' files do not import.
        fail_fast: Whether the first violation is enough.
        most: How many violations are told, and fewer of them if their texts are longer than
            4096 characters together; what a caller can make wrong has no limit, and what an
            answer can carry has one.
    """

    def __init__(
        self, *, validator: Validator | None = None, fail_fast: bool = False, most: int = _MOST
    ) -> None:
        if most < 1:
            raise ValueError(f"most must be 1 or more, not {most}")
        self._validator = validator
        self._fail_fast = fail_fast
        self._most = most

    def for_type(self, message_type: type[Any], /) -> Check | None:
        """Return the check of requests of one type, compiled; ``None`` if it has no rules.

        Raises:
            ValueError: A rule cannot be compiled.
        """
        descriptor = getattr(message_type, "DESCRIPTOR", None)
        if descriptor is None:
            return None
        types = reached(descriptor)
        if not any(has_modern(options) for each in types for options in options_within(each)):
            return None
        collect = self._collector()
        for each in types:
            _compile(collect, GetMessageClass(each)())
        return self._check(collect)

    def _collector(self) -> Callable[..., Sequence[Violation]]:
        if self._validator is None:
            try:
                from protovalidate import Validator
            except ImportError as error:
                raise MissingDependency("rules of buf.validate", "protovalidate") from error
            self._validator = Validator()
        return self._validator.collect_violations

    def _check(self, collect: Callable[..., Sequence[Violation]]) -> Check:
        from protovalidate import EvaluationError

        fail_fast, most = self._fail_fast, self._most

        def check(request: Message) -> None:
            try:
                found = collect(request, fail_fast=True)
                if found and not fail_fast and request.ByteSize() <= _SMALL:
                    found = collect(request)
            except EvaluationError as error:  # as in Go: it is the request that it fails for
                raise ValidationError(f"runtime error: {error}") from error
            if found:
                _refuse([_violation(each) for each in found[:most]], len(found))

        return check


def _compile(collect: Callable[..., Sequence[Violation]], empty: Message) -> None:
    from protovalidate import CompilationError, EvaluationError

    try:
        collect(empty)
    except CompilationError as error:
        raise ValueError(f"{empty.DESCRIPTOR.full_name}: {error}") from error
    except EvaluationError:
        return  # it is compiled, which is all that was wanted


def _refuse(violations: Sequence[FieldViolation], count: int) -> None:
    if count == 1:
        raise ValidationError(f"validation error: {_shown(violations[0])}", violations)
    text, told = "validation errors:", 0
    for violation in violations:
        text += f"\n - {_shown(violation)}"
        told += 1
        if len(text) > _LONGEST:
            break
    if count > told:
        text += f"\n - and {count - told} more"
    raise ValidationError(text, violations[:told])


def _shown(violation: FieldViolation) -> str:
    told = violation.description or f"[{violation.reason or 'unknown'}]"
    return f"{violation.field}: {told}" if violation.field else told


def _violation(violation: Violation) -> FieldViolation:
    proto = violation.proto
    path = proto.field
    field = "" if path is None else ".".join(map(_element, path.elements))
    return FieldViolation(cut(field), cut(proto.message, _LONGEST // 4), proto.rule_id)


def _element(element: Any) -> str:
    subscript = element.subscript
    if subscript is None:
        return str(element.field_name)
    value = subscript.value
    if isinstance(value, bool):
        value = str(value).lower()
    return f"{element.field_name}[{quoted(value) if subscript.field == 'string_key' else value}]"
