"""From the fields of a list's request to a page (https://google.aip.dev/158)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from google.protobuf.descriptor import Descriptor

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error, matches
from kratos.pagination.cursor import CursorCodec
from kratos.pagination.page import Page
from kratos.pagination.token import LAST_SECOND, Refused, Seal, fingerprint

__all__ = [
    "PAGE_SIZE",
    "PAGE_TOKEN",
    "PageRequest",
    "Paginator",
    "is_page_size",
    "is_page_token",
    "page_size",
]

C = TypeVar("C")

PAGE_SIZE: Final = "PAGE_SIZE"
PAGE_TOKEN: Final = "PAGE_TOKEN"  # noqa: S105  # a reason

_DEFAULT: Final = 50
_MAXIMUM: Final = 1000
_LIFETIME: Final = 3 * 86400.0  # seconds: the rule of thumb of AIP-158
_OWN: Final = ("page_size", "page_token")


class PageRequest(Protocol):
    """A message with the fields that every list has: ``page_size`` and ``page_token``."""

    DESCRIPTOR: Any
    page_size: int
    page_token: str

    def CopyFrom(self, other: Any, /) -> None:  # noqa: N802
        """Become a copy of another message."""
        ...

    def ClearField(self, field_name: Any, /) -> None:  # noqa: N802
        """Forget a field."""
        ...

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802
        """Return the message on the wire."""
        ...


class Paginator(Generic[C]):
    """Makes pages of a list out of requests; one for each list, made once.

    A token is good for the request that it was made for, whatever its ``page_size``, until it
    expires. Whoever changes another field along with it, or the token, is refused with 400
    ``PAGE_TOKEN``; the error's metadata names the ``problem``: ``malformed``, ``forged``,
    ``other_request``, ``expired`` or ``outdated`` (the form of cursors has changed).

    Args:
        codec: Of cursors: ``TupleCursor``, ``MessageCursor``, ``JsonCursor``, ``OffsetCursor``.
        keys: Secrets of 16 bytes or more, the same in all processes that serve the list. The
            first signs, all verify: to change it, add the new one as the last everywhere, then
            move it to the front, and remove the old one when its tokens have expired.
        default: Size of a page for which the request asks for none.
        maximum: Size of the largest page; who asks for more gets so many.
        lifetime: Seconds for which a token is good; infinite for no limit.
        unbound: Fields that may change from page to page as well, such as a ``read_mask``.
        scope: What tokens are also bound to: the version of the order, say, or of the cursor.
        clock: Tells when tokens expire.

    Raises:
        ConfigError: A key is too short or there is none; a size or the lifetime is not positive,
            or ``maximum`` is less than ``default``.
    """

    def __init__(
        self,
        codec: CursorCodec[C],
        /,
        *,
        keys: Sequence[bytes],
        default: int = _DEFAULT,
        maximum: int = _MAXIMUM,
        lifetime: float = _LIFETIME,
        unbound: Collection[str] = (),
        scope: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not 0 < default <= maximum:
            raise ConfigError(
                f"a page has 1 row or more: default={default} and maximum={maximum} must be "
                "positive, and the default at most the maximum"
            )
        if not lifetime > 0:
            raise ConfigError(f"lifetime={lifetime} of page tokens must be positive seconds")
        self._codec = codec
        self._seal = Seal(keys)
        self._default = default
        self._maximum = maximum
        self._lifetime = lifetime
        self._cleared = (*_OWN, *unbound)
        self._scope = scope.encode()
        self._clock = clock

    def page(self, request: PageRequest, /, *, subject: str = "") -> Page[C]:
        """Return the page that a request asks for.

        Args:
            request: Its other fields are what the token is bound to.
            subject: What it is bound to beside them, such as the tenant or the user.

        Raises:
            Error: 400 ``PAGE_SIZE``: it is negative; 400 ``PAGE_TOKEN``: it is not good.
            ConfigError: The request has no field that ``unbound`` names.
        """
        descriptor: Descriptor = request.DESCRIPTOR
        rest: Any = type(request)()
        rest.CopyFrom(request)
        for name in self._cleared:
            if name not in descriptor.fields_by_name:
                raise ConfigError(f"{descriptor.full_name} has no field {name!r}: mend the list")
            rest.ClearField(name)
        bound = descriptor.full_name.encode() + b"\0" + rest.SerializeToString(deterministic=True)
        return self.page_of(request.page_size, request.page_token, bound=bound, subject=subject)

    def page_of(
        self, size: int, token: str = "", *, bound: bytes = b"", subject: str = ""
    ) -> Page[C]:
        """Return a page for what is no message, such as the query of a plain handler.

        Args:
            size: As asked for; 0 for the default.
            token: As sent; empty for the first page.
            bound: The rest of the request, in one form always.
            subject: What tokens are bound to beside it.

        Raises:
            Error: 400 ``PAGE_SIZE`` or ``PAGE_TOKEN``.
        """
        number = page_size(size, default=self._default, maximum=self._maximum)
        request = fingerprint(self._scope, subject.encode(), bound)
        cursor = self._open(token, request) if token else None
        return Page(number, cursor, self._sealer(request))

    def _open(self, token: str, request: bytes) -> C:
        try:
            return self._codec.decode(self._seal.open(token, request, now=self._clock.wall()))
        except Refused as refused:
            raise _refusal(refused.problem, str(refused)) from refused
        except ValueError as error:
            message = "it is from an earlier version of the service: begin again without one"
            raise _refusal("outdated", message) from error

    def _sealer(self, request: bytes) -> Callable[[C], str]:
        def seal(cursor: C) -> str:
            end = self._clock.wall() + self._lifetime
            until = 0 if end > LAST_SECOND else math.ceil(end)
            return self._seal.seal(self._codec.encode(cursor), request, until=until)

        return seal


def page_size(asked: int, /, *, default: int = _DEFAULT, maximum: int = _MAXIMUM) -> int:
    """Return how many rows a page has: ``default`` for 0, never more than ``maximum``.

    Raises:
        Error: 400 ``PAGE_SIZE``: ``asked`` is negative.
    """
    if asked < 0:
        message = f"page_size must not be negative, but is {asked}; 0 leaves it to the service"
        raise Error(400, PAGE_SIZE, message, {"field": "page_size"})
    return min(asked or default, maximum)


def is_page_token(error: BaseException | None) -> bool:
    """Tell whether an error says that a page token is not good: begin again without one."""
    return matches(error, Error(400, PAGE_TOKEN))


def is_page_size(error: BaseException | None) -> bool:
    """Tell whether an error says that a page cannot have the size asked for."""
    return matches(error, Error(400, PAGE_SIZE))


def _refusal(problem: str, message: str) -> Error:
    metadata = {"field": "page_token", "problem": problem}
    return Error(400, PAGE_TOKEN, f"the page_token is not good: {message}", metadata)
