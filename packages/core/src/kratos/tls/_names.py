"""Which of several certificates is for the name that a client asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["ServerNames"]


class ServerNames:
    """Finds a certificate by the name that a client asks for, in the same time for any number.

    A name is matched as a whole, in upper or lower case, and with or without a dot at its end. A
    name that begins with ``*.`` covers whatever has one label in the place of the asterisk
    (RFC 9525, 6.3), where no certificate has that very name. Of certificates with the same name the
    first has it. Names with an asterisk elsewhere cover nothing.

    Args:
        certificates: DNS names of each certificate, as they are in it; that of the first is for
            clients who ask for any other name, or for none.
    """

    def __init__(self, certificates: Iterable[Iterable[str]], /) -> None:
        self._positions: dict[str, int] = {}
        for position, names in enumerate(certificates):
            for name in _usable(names):
                self._positions.setdefault(name, position)

    def position(self, server_name: str | None, /) -> int:
        """Return which certificate is for a name; the first is 0.

        Args:
            server_name: In ASCII, as it is sent (RFC 6066, 3); ``None`` for none.
        """
        if server_name is None:
            return 0
        name = _plain(server_name)
        found = self._positions.get(name)
        if found is not None:
            return found
        label, _, rest = name.partition(".")
        return self._positions.get(f"*.{rest}", 0) if label else 0

    def owner(self, names: Iterable[str], /) -> int | None:
        """Return which certificate has the first of some names; ``None`` if none can be matched."""
        return next((self._positions.get(name) for name in _usable(names)), None)

    def reached(self) -> set[int]:
        """Return which certificates are for any name at all."""
        return set(self._positions.values())


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _usable(names: Iterable[str]) -> Iterator[str]:
    """Return names of a certificate as they are looked up, without those that cover nothing."""
    for name in names:
        plain = _plain(name)
        host = plain.removeprefix("*.")
        if host and name.isascii() and "*" not in host:
            yield plain
