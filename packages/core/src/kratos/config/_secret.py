"""Text that nothing prints."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn

__all__ = ["Secret"]


class Secret:
    """A password, key or token: ``reveal`` gives it, and no text, log or dump holds it.

    Two are equal when their texts are, which takes the same time wherever they differ. It cannot
    be pickled, for that writes it down.

    Args:
        text: What is secret.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str, /) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def get_secret_value(self) -> str:
        """Return the text, by the name that pydantic's secrets have."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied into another process")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self
