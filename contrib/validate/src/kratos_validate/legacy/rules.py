"""The rules as a check."""

from __future__ import annotations

from typing import Any

from kratos.errors import FieldViolation
from kratos.middleware import Check, ValidationError
from kratos_validate._text import cut
from kratos_validate.legacy.plan import Plans

__all__ = ["LegacyRules"]


class LegacyRules:
    """A check of requests by the rules of ``validate/validate.proto``, for ``validate``.

    Types without rules, themselves and in what they hold, are left alone; the rules of all
    others are compiled when chains are built. As in Go the first violation ends the check, in
    Go's words: ``invalid Order.Name: value length must be at least 1 runes``.
    """

    def __init__(self) -> None:
        self._plans = Plans()

    def for_type(self, message_type: type[Any], /) -> Check | None:
        """Return the check of requests of one type, compiled; ``None`` if it has no rules.

        Raises:
            ValueError: A rule cannot be compiled, or is for a field of another type.
        """
        descriptor = getattr(message_type, "DESCRIPTOR", None)
        if descriptor is None:
            return None
        plan = self._plans.of(descriptor)
        if plan is None:
            return None

        def check(request: Any) -> None:
            broken = plan.first(request)
            if broken is not None:
                violation = FieldViolation(cut(broken.path), broken.description)
                raise ValidationError(broken.text, [violation])

        return check
