"""Request and reply headers: names without case, repeated values, binary keys, freezing."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

__all__ = ["Header", "RawHeaders"]

RawHeaders: TypeAlias = "Iterable[tuple[bytes, bytes]]"

_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+\Z")
# Besides what would end the header early, lone surrogates that stand for no byte of a wire.
_FORBIDDEN: Final = re.compile("[\\r\\n\\0\ud800-\udc7f\udd00-\udfff]")
_ITERABLE_AGAIN: Final = (list, tuple)
_BINARY_SUFFIX: Final = "-bin"


class Header:
    """Lower-case names, each with one or more values in the order they came.

    Values are text as it stands on the wire. A name that ends in ``-bin`` holds bytes:
    read and write it with ``get_bytes`` and ``add_bytes``; on the wire it is base64.
    Frozen headers, those already sent, refuse every change with ``RuntimeError``.

    Args:
        raw: Wire form to start from: lower-case names, values as UTF-8. Decoded on first use.
    """

    __slots__ = ("_frozen", "_pairs", "_raw", "_values")

    def __init__(self, raw: RawHeaders | None = None) -> None:
        self._raw = raw
        self._pairs: Sequence[tuple[str, str | bytes]] | None = None
        self._values: dict[str, list[str]] | None = None if raw is not None else {}
        self._frozen = False

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Header:
        """Make a header of name and value pairs.

        Raises:
            ValueError: A name is no token, or a value holds a line break, NUL or a lone
                surrogate.
            TypeError: A value is no text.
        """
        header = cls()
        for name, value in pairs:
            header.add(name, value)
        return header

    @classmethod
    def received(cls, pairs: Sequence[tuple[str, str | bytes]]) -> Header:
        """Make a header of what a transport has decoded already; looked at on first use.

        Args:
            pairs: Lower-case names, and texts as they stand on the wire, or the bytes that a
                name ending in ``-bin`` stands for.
        """
        header = cls()
        header._pairs = pairs
        header._values = None
        return header

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a name."""
        values = self._decoded().get(name.lower())
        return values[0] if values else default

    def values(self, name: str) -> list[str]:
        """Return all values of a name, in order."""
        return list(self._decoded().get(name.lower(), ()))

    def get_bytes(self, name: str) -> bytes | None:
        """Return the first value of a binary name, ``None`` when it is absent.

        Raises:
            ValueError: The name does not end in ``-bin``, or its value is no base64.
        """
        _require_binary(name)
        values = self._decoded().get(name.lower())
        return _decode_binary(name, values[0]) if values else None

    def set(self, name: str, value: str) -> None:
        """Put one value in place of all present ones.

        Raises:
            ValueError: The name is no token, or the value holds a line break, NUL or a lone
                surrogate.
            TypeError: The value is no text.
        """
        self._writable()[_checked_name(name)] = [_checked_value(name, value)]

    def add(self, name: str, value: str) -> None:
        """Append a value.

        Raises:
            ValueError: The name is no token, or the value holds a line break, NUL or a lone
                surrogate.
            TypeError: The value is no text.
        """
        self._writable().setdefault(_checked_name(name), []).append(_checked_value(name, value))

    def add_bytes(self, name: str, value: bytes) -> None:
        """Append a value to a binary name.

        Raises:
            ValueError: The name does not end in ``-bin``.
        """
        _require_binary(name)
        self.add(name, _encode_binary(value))

    def remove(self, name: str) -> None:
        """Forget a name; one that is absent is left so."""
        self._writable().pop(name.lower(), None)

    def mentions(self, prefixes: tuple[str, ...]) -> bool:
        """Tell whether a name begins with one of some lower-case prefixes."""
        pairs = self._pairs
        if pairs is not None:
            for name, _ in pairs:  # noqa: SIM110  a generator takes longer than the loop
                if name.startswith(prefixes):
                    return True
            return False
        raw = self._raw
        if isinstance(raw, _ITERABLE_AGAIN):  # most have none: nothing is decoded to find that out
            encoded = _encoded(prefixes)
            for raw_name, _ in raw:  # noqa: SIM110
                if raw_name.startswith(encoded):
                    return True
            return False
        return any(name.startswith(prefixes) for name in self._decoded())

    def starting_with(self, prefixes: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return the pairs whose names begin with one of some lower-case prefixes."""
        if not self.mentions(prefixes):
            return []
        return [pair for pair in self.items() if pair[0].startswith(prefixes)]

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._decoded())

    def items(self) -> Iterator[tuple[str, str]]:
        """Iterate over every name and value, repeated names once per value."""
        for name, values in self._decoded().items():
            for value in values:
                yield name, value

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Return the wire form."""
        return [
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in self.items()
        ]

    def copy(self) -> Header:
        """Return an independent copy that may be changed."""
        header = Header()
        header._values = {name: list(values) for name, values in self._decoded().items()}
        return header

    def freeze(self) -> None:
        """Refuse changes from now on: the header is on its way."""
        self._frozen = True

    @property
    def frozen(self) -> bool:
        """Whether the header is on its way and can no longer change."""
        return self._frozen

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._decoded()

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Header) and self._decoded() == other._decoded()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Values may be credentials; a traceback or a log line must not carry them.
        return f"Header({', '.join(self._decoded())})"

    def _decoded(self) -> dict[str, list[str]]:
        values = self._values
        if values is None:
            values = dict[str, list[str]]()
            for name, value in self._raw or ():
                text = value.decode("utf-8", "surrogateescape")
                values.setdefault(name.decode("latin-1"), []).append(text)
            for key, item in self._pairs or ():
                text = item if isinstance(item, str) else _encode_binary(item)
                values.setdefault(key, []).append(text)
            self._values = values
            self._raw = self._pairs = None
        return values

    def _writable(self) -> dict[str, list[str]]:
        if self._frozen:
            raise RuntimeError("headers were already sent; write them before the first message")
        return self._decoded()


@lru_cache(maxsize=64)
def _encoded(prefixes: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(prefix.encode() for prefix in prefixes)


def _checked_name(name: str) -> str:
    lowered = name.lower()
    if not _NAME.match(lowered):
        raise ValueError(f"{name!r} is no header name: use letters, digits and -_.")
    return lowered


def _checked_value(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"value of header {name!r} is {type(value).__name__}, not str")
    if _FORBIDDEN.search(value):
        raise ValueError(f"value of header {name!r} holds a line break, NUL or lone surrogate")
    return value


def _require_binary(name: str) -> None:
    if not name.lower().endswith(_BINARY_SUFFIX):
        raise ValueError(f"{name!r} holds text; only names ending in -bin hold bytes")


def _encode_binary(value: bytes) -> str:
    return base64.b64encode(value).rstrip(b"=").decode()


def _decode_binary(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"value of header {name!r} is no base64") from error
