"""The texts that a configuration is made of, before anybody reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Document", "Documents", "Reader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text.

    Attributes:
        name: Of its file, or its key.
        content: Its bytes.
        digest: Their SHA-256, in hexadecimal.
    """

    name: str
    content: bytes = field(repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.content).hexdigest())

    @property
    def text(self) -> str:
        """The text.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        return self.content.decode("utf-8-sig")


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The main text, and those of priority configurations in the order of their names."""

    main: Document
    priorities: Sequence[Document] = ()

    @property
    def digests(self) -> tuple[str, Mapping[str, str]]:
        """Digests of the main text and, by name, of the others."""
        return self.main.digest, {each.name: each.digest for each in self.priorities}


class Reader(Protocol):
    """Where the texts are. ``str()`` of it names the place, without secrets."""

    async def read(self) -> Documents:
        """Return the present texts.

        Raises:
            ConfigError: They cannot be had; says why.
        """
        ...

    async def changed(self) -> None:
        """Return when they may have changed; wait for ever where only a look can tell."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds. Idempotent."""
        ...
