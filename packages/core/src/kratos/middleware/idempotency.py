"""Calls that run once, however often they are sent: idempotency keys.

Source: IETF draft "The Idempotency-Key HTTP Header Field"; what is kept follows Stripe.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

from google.protobuf.message import DecodeError, Message

from kratos._fingerprint import fingerprint
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error, StartupError, StoreUnavailable
from kratos.metrics import Meter
from kratos.middleware._again import is_idempotent
from kratos.middleware._header_name import header_name
from kratos.middleware._kept import chosen, error_of, headers_in, pack, put, told, unpack
from kratos.middleware._leases import Lease
from kratos.middleware._refusal import tell
from kratos.middleware._results import Results
from kratos.middleware._whose import certified, credentials, principal
from kratos.options import require_methods, require_number
from kratos.store import Store
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Arity, Method

__all__ = ["IDEMPOTENCY_KEY", "idempotency", "idempotency_key", "is_final"]

IDEMPOTENCY_KEY: Final = "idempotency-key"
"""The header, by the name that the draft gives it."""

OnOutage: TypeAlias = Literal["refuse", "run"]

_log = logging.getLogger("kratos.middleware.idempotency")

_REPLAYED: Final = "idempotency-replayed"
_DAY: Final = 24 * 3600.0
_MIB: Final = 1024 * 1024
_KEPT_HEADERS: Final = ("content-language", "content-location", "etag", "last-modified", "location")
_PASSING: Final = frozenset({401, 403, 407, 408, 409, 421, 423, 425, 429, 499})
_KEY: Final = re.compile(r"[!-~]+")  # visible ASCII
_QUOTED: Final = re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])+"')  # a string of RFC 9651
_ESCAPE: Final = re.compile(r'\\(["\\])')
_SOON: Final = 1.0  # seconds until a duplicate may try again
_FIRST_LOOK: Final = 0.02
_LONGEST_LOOK: Final = 0.5
_INVALID_ARGUMENT: Final = 3  # of gRPC


def needs_key(method: Method[Any, Any], /) -> bool:
    """Tell whether a method is unary and its definition does not say that twice is as once."""
    return method.arity is Arity.UNARY and not is_idempotent(method)


def is_final(error: Error, /) -> bool:
    """Tell whether the same call would fail in the same way for ever: 4xx, with exceptions.

    Those are what time, another login or the end of another call may change: 401, 403, 407, 408,
    409, 421, 423, 425, 429 and 499.
    """
    return 400 <= error.code < 500 and error.code not in _PASSING


def idempotency(
    store: Store,
    /,
    *,
    ttl: float = _DAY,
    header: str = IDEMPOTENCY_KEY,
    applies: Callable[[Method[Any, Any]], bool] = needs_key,
    required: bool = False,
    scope: Callable[[Call], str] | None = None,
    wait: float = 0.0,
    lease: float = 30.0,
    keeps: Callable[[Error], bool] = is_final,
    on_outage: OnOutage = "refuse",
    reply_headers: Collection[str] = _KEPT_HEADERS,
    max_key: int = 255,
    max_request: int = 4 * _MIB,
    max_reply: int = _MIB,
    prefix: str = "idempotency:",
    clock: Clock = SYSTEM_CLOCK,
    meter: Meter | None = None,
) -> PerMethod:
    """Run a call that carries a key once, and answer those that repeat it with its outcome.

    For servers, innermost in the chain: what authenticates, validates or limits stands outside of
    it, so that refusals are not kept. Unary methods alone have keys: a stream cannot be repeated
    from a store. Calls without a key, of other methods and of plain handlers, whose request is no
    message, pass.

    A repeated call gets the reply, or the error, of the first one, with
    ``idempotency-replayed: true``. An outcome is kept if the handler returned, or raised an error
    for which ``keeps`` is true; after any other one, a crash or a cancellation the key is free
    again, and the next call runs.

    A key belongs to a caller and an operation. Refused are

    - 400 ``IDEMPOTENCY_KEY_REQUIRED`` and ``IDEMPOTENCY_KEY_INVALID``,
    - 409 ``IDEMPOTENCY_KEY_IN_USE``, with ``Retry-After``: the first call still runs,
    - 409 ``IDEMPOTENCY_REPLY_NOT_KEPT``: it succeeded, with a reply above ``max_reply``,
    - 413 ``IDEMPOTENCY_REQUEST_TOO_LARGE``,
    - 422 ``IDEMPOTENCY_KEY_REUSED``: with another request, or other credentials,
    - 503 ``IDEMPOTENCY_UNAVAILABLE``: the store does not answer,
    - 503 ``IDEMPOTENCY_LEASE_LOST``: this process was cut off for longer than ``lease``, and
      another one has taken the call over.

    Args:
        store: Where outcomes are kept. Several processes need one that they share; one that drops
            entries early makes calls run again (``MemoryStore(evict=False)`` does not).
        ttl: Seconds for which an outcome is kept.
        header: The request header with the key: a bare one, or a string in quotes as in the draft.
        applies: Tells of which methods calls have keys; by default of the unary ones that are
            not idempotent by their definition.
        required: Whether a call without a key is refused.
        scope: Returns on whose account a call is, for which its key counts. By default the
            ``Principal``, else the names in the client's certificate. For callers without
            either, what is in ``authorization``, ``cookie`` and ``x-api-key`` has to be the same
            when a call is repeated.
        wait: Seconds for which a repeated call waits for the first one before it is refused.
        lease: Seconds after which the call of a process that has died may run again.
        keeps: Tells which errors are kept.
        on_outage: What to do when the store does not answer: refuse the call, or run it without
            protection.
        reply_headers: Headers of the reply that are kept with it.
        max_key: Characters of a key.
        max_request: Bytes of a request.
        max_reply: Bytes of a reply that is kept.
        prefix: What keys in the store begin with.
        clock: Time.
        meter: Makes ``server_idempotency_total``, by kind of transport, operation and result.

    Raises:
        ConfigError: A number is out of its range, or an option unknown.
    """
    require_methods("store", store, "a store", "get", "set", "set_if_absent", "replace")
    for name, seconds in (("ttl", ttl), ("lease", lease), ("wait", wait)):
        require_number(name, seconds)
    for name, seconds in (("ttl", ttl), ("lease", lease)):
        if not 0 < seconds < math.inf:
            raise ConfigError(f"{name}={seconds} must be finite and more than 0 seconds")
    if not 0 <= wait < math.inf:
        raise ConfigError(f"wait={wait} must be finite and not negative")
    for name, number in (("max_key", max_key), ("max_request", max_request)):
        if number < 1:
            raise ConfigError(f"{name}={number} must be at least 1")
    if max_reply < 0:
        raise ConfigError(f"max_reply={max_reply} must not be negative")
    if on_outage not in ("refuse", "run"):
        raise ConfigError(f"on_outage must be refuse or run, not {on_outage!r}")
    return _Idempotency(
        store=store,
        ttl=ttl,
        header=header_name(header),
        applies=applies,
        required=required,
        scope=scope,
        wait=wait,
        lease=lease,
        keeps=keeps,
        refuses=on_outage == "refuse",
        reply_headers=tuple(name.lower() for name in reply_headers),
        max_key=max_key,
        max_request=max_request,
        max_reply=max_reply,
        prefix=prefix,
        clock=clock,
        results=Results("idempotency", "Calls with an idempotency key.", meter),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Idempotency:
    store: Store
    ttl: float
    header: str
    applies: Callable[[Method[Any, Any]], bool]
    required: bool
    scope: Callable[[Call], str] | None
    wait: float
    lease: float
    keeps: Callable[[Error], bool]
    refuses: bool
    reply_headers: tuple[str, ...]
    max_key: int
    max_request: int
    max_reply: int
    prefix: str
    clock: Clock
    results: Results

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        if not self.applies(method):
            return None
        if method.arity is not Arity.UNARY:
            raise StartupError(
                f"idempotency(applies=...) names {method.operation}, which is a stream: only "
                "unary calls can be repeated from a store"
            )
        return self._once

    async def _once(self, call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is Side.CLIENT:
            raise ConfigError("idempotency(store) is for servers; clients take idempotency_key()")
        if not isinstance(request, Message):
            return await next(call, request)
        key = self._key(call)
        if not key:
            return await next(call, request)
        name, mark = self._identify(call, request, key)
        lease = Lease(self.store, name, _lock(mark), seconds=self.lease, clock=self.clock)
        try:
            kept = await self._acquire(call, lease, name, mark)
        except StoreUnavailable as error:
            self.results.count(call, "unavailable")
            if self.refuses:
                raise _unavailable(call, error) from error
            _log.warning("%s runs unprotected: %s", call.method.operation, error)
            return await next(call, request)
        if kept is not None:
            return self._replay(call, *kept)
        self.results.count(call, "first")
        return await self._run(call, request, next, lease, mark)

    def _key(self, call: Call) -> str:
        """Return the key of a call; empty if it has none and needs none."""
        values = call.headers.values(self.header)
        if not values:
            if self.required:
                raise Error(
                    400, "IDEMPOTENCY_KEY_REQUIRED", f"send a key in the header {self.header}"
                )
            return ""
        (text, *others) = values
        text = text.strip(" \t")
        if not others and len(text) <= 2 * self.max_key + 2:  # quoted, each character escaped
            if _QUOTED.fullmatch(text):
                text = _ESCAPE.sub(r"\1", text[1:-1])
                if len(text) <= self.max_key:
                    return text
            elif _KEY.fullmatch(text) and len(text) <= self.max_key and '"' not in text:
                return text
        raise Error(
            400,
            "IDEMPOTENCY_KEY_INVALID",
            f"{self.header} is one value of 1 to {self.max_key} visible ASCII characters, "
            "bare or in double quotes",
        )

    def _identify(self, call: Call, request: Message, key: str) -> tuple[str, str]:
        """Return the name of a call in the store, and what its repetitions have in common."""
        data = request.SerializeToString(deterministic=True)
        if len(data) > self.max_request:
            raise Error(
                413,
                "IDEMPOTENCY_REQUEST_TOO_LARGE",
                f"a request with {self.header} has at most {self.max_request} bytes",
            )
        if self.scope is not None:
            whose, shown = b"scope:" + self.scope(call).encode("utf-8", "surrogatepass"), b""
        elif whose := principal():
            shown = b""
        else:
            whose, shown = certified(call), credentials(call)
        name = fingerprint(call.method.operation.encode(), whose, key.encode())
        return f"{self.prefix}{name.hex()}", fingerprint(data, shown).hex()

    async def _acquire(
        self, call: Call, lease: Lease, name: str, mark: str
    ) -> tuple[Mapping[str, Any], bytes] | None:
        """Take the key, or return the outcome that is kept under it."""
        end = self.clock.time() + self.wait
        look = _FIRST_LOOK
        while not await lease.acquire():
            if lease.found is None:
                continue  # it has ended just now
            kept = unpack(lease.found)
            if kept is None:
                raise StoreUnavailable(f"{name} holds what no idempotency key of this version does")
            head = kept[0]
            if head.get("mark") != mark:
                self.results.count(call, "reused")
                raise _reused(self.header)
            if "lock" not in head:
                return kept
            left = end - self.clock.time()
            if left <= 0:
                self.results.count(call, "in_use")
                raise _in_use(call)
            await self.clock.sleep(min(look, left))
            look = min(2 * look, _LONGEST_LOOK)
        return None

    async def _run(self, call: Call, request: Any, next: Handler, lease: Lease, mark: str) -> Any:
        try:
            async with lease:
                reply = await next(call, request)
        except Error as error:
            if self.keeps(error):
                await self._settle(call, lease, mark, {"error": told(error)})
            else:
                await lease.release()
            if lease.interrupted is not None:
                raise lease.interrupted from error
            raise
        except BaseException as error:
            if isinstance(error, TimeoutError) and lease.lost:
                raise _lost(call) from error
            await lease.release()
            raise
        kept: dict[str, object] = {}
        body = _body(call.method, reply)
        if body is None or len(body) > self.max_reply:
            kept["dropped"], body = True, b""
        await self._settle(call, lease, mark, kept, body)
        if lease.interrupted is not None:
            raise lease.interrupted
        return reply

    async def _settle(
        self, call: Call, lease: Lease, mark: str, kept: dict[str, object], body: bytes = b""
    ) -> None:
        """Keep an outcome; a caller that has its answer is not told that this failed."""
        headers = chosen(call.reply_headers, self.reply_headers)
        value = pack({"mark": mark, "headers": headers, **kept}, body)
        try:
            await lease.settle(value, ttl=self.ttl)
        except StoreUnavailable as error:
            self.results.count(call, "unkept")
            _log.error("an outcome of %s is not kept: %s", call.method.operation, error)

    def _replay(self, call: Call, head: Mapping[str, Any], body: bytes) -> Any:
        """Answer with what is kept."""
        try:
            headers = headers_in(head, self.reply_headers)
            answer = self._kept(call, head, body)
        except (ValueError, DecodeError) as error:
            # The call has run, or somebody wants to have it so: it does not run again.
            self.results.count(call, "unavailable")
            raise _unavailable(call, error) from error
        self.results.count(call, "replayed")
        put(call.reply_headers, headers)
        call.reply_headers.set(_REPLAYED, "true")
        if isinstance(answer, Error):
            raise answer
        return answer

    def _kept(self, call: Call, head: Mapping[str, Any], body: bytes) -> Message | Error:
        """Return the outcome that is kept.

        Raises:
            ValueError: It is none.
            DecodeError: Nor is its message.
        """
        if "error" in head:
            return error_of(head["error"])
        if "dropped" in head:
            return Error(
                409,
                "IDEMPOTENCY_REPLY_NOT_KEPT",
                "this call has succeeded before, and its reply was too large to be kept",
            )
        return cast("Message", call.method.reply.FromString(body))


def idempotency_key(
    *,
    header: str = IDEMPOTENCY_KEY,
    applies: Callable[[Method[Any, Any]], bool] = needs_key,
    make: Callable[[], str] | None = None,
) -> PerMethod:
    """Give each call of a client a key, which its retries keep.

    Stands outside of ``retry``, which makes calls with a key again, also those of methods that
    are not idempotent: only put it before servers that honour keys. A key that the caller gave in
    the headers stays: give one where a program may be started again in the middle.

    Args:
        header: The request header with the key.
        applies: Tells which methods get keys; by default the unary ones that are not idempotent
            by their definition.
        make: Makes a key, 128 random bits by default. It is sent as a string in quotes, as the
            draft has it.

    Raises:
        ConfigError: The header is none.
    """
    return _Keys(header_name(header), applies, make or _random_key)


@dataclass(frozen=True, slots=True)
class _Keys:
    header: str
    applies: Callable[[Method[Any, Any]], bool]
    make: Callable[[], str]

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        return self._with_key if self.applies(method) else None

    async def _with_key(self, call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is Side.CLIENT and self.header not in call.headers:
            call.headers.set(self.header, _quoted(self.make()))
        return await next(call, request)


def _random_key() -> str:
    return secrets.token_hex(16)


def _quoted(key: str) -> str:
    text = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not _QUOTED.fullmatch(text):
        raise ValueError(f"{key!r} is no idempotency key: use visible ASCII characters")
    return text


def _lock(mark: str) -> bytes:
    return pack({"mark": mark, "lock": secrets.token_hex(16)})


def _body(method: Method[Any, Any], reply: object) -> bytes | None:
    if not isinstance(reply, method.reply):
        return None
    return cast("Message", reply).SerializeToString()


def _in_use(call: Call) -> Error:
    error = Error(409, "IDEMPOTENCY_KEY_IN_USE", "a call with this key still runs")
    tell(call, error, _SOON)
    return error


def _reused(header: str) -> Error:
    error = Error(
        422,
        "IDEMPOTENCY_KEY_REUSED",
        f"this {header} was used with another request, or with other credentials",
    )
    return error.with_grpc_code(_INVALID_ARGUMENT)


def _unavailable(call: Call, cause: Exception) -> Error:
    _log.warning("%s is refused: %s", call.method.operation, cause)
    error = Error(503, "IDEMPOTENCY_UNAVAILABLE", "it cannot be told whether this call has run")
    tell(call, error, _SOON)
    return error


def _lost(call: Call) -> Error:
    _log.error("%s was cancelled: another process has its key", call.method.operation)
    return Error(503, "IDEMPOTENCY_LEASE_LOST", "another process has taken this call over")
