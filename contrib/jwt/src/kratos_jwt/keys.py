"""Which key a token is to be verified with."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from kratos.errors import ConfigError
from kratos_jwt.key import Key
from kratos_jwt.token import TokenHeader

__all__ = ["KeySource", "Keys", "choose", "source_of"]


@runtime_checkable
class KeySource(Protocol):
    """Finds keys by what the header of a token says."""

    async def find_key(self, header: TokenHeader, /) -> Key | None:
        """Return the key that a token may be signed with; ``None`` if there is none.

        The header is unverified. The token is refused, too, if the key is not for its algorithm.
        """
        ...


KeyFunction: TypeAlias = "Callable[[TokenHeader], Key | Awaitable[Key | None] | None]"
Keys: TypeAlias = "Key | Mapping[str, Key] | KeySource | KeyFunction"


def source_of(keys: Keys) -> KeySource:
    """Return the source that an option stands for.

    Raises:
        ConfigError: It is none.
    """
    given: Any = keys
    if isinstance(given, Key):
        return _One(given)
    if isinstance(given, Mapping):
        return _ById(cast("Mapping[object, object]", given))
    if isinstance(given, KeySource) and not isinstance(given, type):
        return given
    if callable(given) and not isinstance(given, type):
        return _Asking(given)
    raise ConfigError(
        f"keyFunc is missing: keys have to be a Key, a mapping of kid to Key, a KeySet or a "
        f"function of the token's header, not {type(given).__name__}"
    )


def choose(keys: Mapping[str, Key], unnamed: tuple[Key, ...], header: TokenHeader) -> Key | None:
    """Return the one key of a set that a header can mean.

    A ``kid`` is taken by the letter. A token without one means the only key of its algorithm.

    Args:
        keys: By ``kid``.
        unnamed: Those without.
        header: Of the token.
    """
    if header.key_id is not None:
        return keys.get(header.key_id)
    every = (*keys.values(), *unnamed)
    fitting = every if len(every) == 1 else [k for k in every if header.algorithm in k.algorithms]
    return fitting[0] if len(fitting) == 1 else None


class _One:
    """A single key; it is the one whatever a token's ``kid`` says, unless it has its own."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find_key(self, header: TokenHeader, /) -> Key | None:
        own = self._key.key_id
        if own is not None and header.key_id is not None and own != header.key_id:
            return None
        return self._key


class _ById:
    def __init__(self, keys: Mapping[object, object]) -> None:
        if not keys:
            raise ConfigError("keyFunc is missing: the mapping of keys is empty")
        found: dict[str, Key] = {}
        for key_id, key in keys.items():
            if not isinstance(key_id, str) or not isinstance(key, Key):
                raise ConfigError(f"keys have to map a kid, which is a text, to a Key: {key_id!r}")
            if key.key_id not in (None, key_id):
                raise ConfigError(f"the key with the kid {key.key_id!r} stands under {key_id!r}")
            found[key_id] = key
        self._keys = found

    async def find_key(self, header: TokenHeader, /) -> Key | None:
        return choose(self._keys, (), header)


class _Asking:
    def __init__(self, ask: Callable[[TokenHeader], object]) -> None:
        self._ask = ask

    async def find_key(self, header: TokenHeader, /) -> Key | None:
        found = self._ask(header)
        if inspect.isawaitable(found):
            found = await found
        if found is None or isinstance(found, Key):
            return found
        raise TypeError(f"a function of keys returned {type(found).__name__}, not a Key or None")
