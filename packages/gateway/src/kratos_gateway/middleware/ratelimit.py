"""Limit the rate of requests: of all, of each client, or of whatever a header tells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from google.protobuf.any_pb2 import Any as AnyMessage

from aegis import Decision, KeyedGcra
from kratos.errors import ConfigError, MissingDependency
from kratos.log import Level
from kratos.redact import HIDDEN, scrubbed
from kratos.url import Options, Url, expand_env, parse_url
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.ratelimit_pb2 import RateLimit
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.addresses import Clients, Networks, network_of
from kratos_gateway.middleware.callers import caller_of
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse

if TYPE_CHECKING:
    from kratos_redis.limiter import OnError

__all__ = ["build"]

KeyOf: TypeAlias = Callable[[Request], str]
Take: TypeAlias = Callable[[str], Awaitable[Decision]]

_MOST_KEYS: Final = 100_000
_LONGEST: Final = 128  # characters of a key that are kept as they are
_AWAY: Final = {
    "local": "Redis is away: this gateway limits by itself",
    "allow": "Redis is away: requests are not limited",
    "deny": "Redis is away: requests are refused",
}
_POLICY: Final = "default"
_PREFIX: Final = "kratos:gateway:ratelimit:"


class _Rate(NamedTuple):
    rate: float
    burst: int
    keys: int
    name: str
    replicas: int
    away: str


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what answers 429 to requests that come too fast, with ``Retry-After`` in seconds.

    Each endpoint has limits of its own, unless several count under one name on Redis. A request
    is counted once, however many attempts it takes. While Redis is away, each gateway has its
    share of the limit, unless ``away`` says otherwise; that it goes away, and is back, is logged
    and counted. With ``headers``, clients are told what is left
    (draft-ietf-httpapi-ratelimit-headers-10).

    Raises:
        ConfigError: The rate is not positive, or another option is wrong.
        MissingDependency: ``kratos-redis`` is not installed.
    """
    told = options_of(options, RateLimit)
    key_of = _key_of(told)
    rate = _rate(told)
    tell = _Telling(rate) if told.headers else None
    if not told.redis:
        now = context.clock.time

        def local() -> Take:
            return _local(rate, lambda: int(now() * 1_000_000_000))

        local()  # which refuses what is out of range
        return Plain(lambda handler, _endpoint: _limited(handler, key_of, local(), tell))
    take, close = _shared(told.redis, rate, context)
    return Plain(
        lambda handler, endpoint: _limited(handler, key_of, take(endpoint), tell), close=close
    )


def _limited(handler: Handler, key_of: KeyOf, take: Take, tell: _Telling | None) -> Handler:
    counted = object()

    async def handle(request: Request, /) -> Answer:
        values = request.options.values
        if counted in values:  # a further attempt
            return await handler(request)
        values[counted] = True
        decision = await take(key_of(request))
        if not decision.allowed:
            wait = str(max(1, ceil(decision.retry_after))).encode()
            message = "too many requests"
            headers = [(b"retry-after", wait)]
            if tell is not None:
                headers += tell.headers(decision)
            return refuse(request, 429, reason="RATELIMIT", message=message, headers=headers)
        if tell is None:
            return await handler(request)
        answer = await handler(request)
        answer.headers = [*answer.headers, *tell.headers(decision)]
        return answer

    return handle


class _Turns:
    """Tells people when a Redis goes away, and when it is back: once, of all limits on it.

    Args:
        url: Of the Redis.
        away: What becomes of requests meanwhile.
        meaning: Tells what an error means.
        context: Where turns are logged and counted.
    """

    def __init__(
        self, url: Url, away: str, meaning: Callable[[BaseException], str], context: Context
    ) -> None:
        self._url: Final = url
        self._gone: Final = _AWAY[away]
        self._meaning: Final = meaning
        self._logger: Final = context.logger
        turns = context.meter.counter(
            "kratos_gateway_ratelimit_redis_turns_total",
            description="How often the Redis of limits went away, and was back",
            labels=("to",),
        )
        self._counts: Final = {each: turns.labels(each) for each in ("away", "back")}
        self._is_away = False

    def turn(self, error: BaseException | None) -> None:
        """Take what the limit of an endpoint has found, perhaps after that of another one."""
        if self._is_away is (error is not None):
            return
        self._is_away = error is not None
        fields = {"redis": str(self._url)}
        if error is None:
            self._counts["back"].inc()
            self._logger.log(Level.INFO, "Redis is back, and limits requests again", fields)
            return
        self._counts["away"].inc()
        fields["error"] = self._without_secrets(self._meaning(error))
        self._logger.log(Level.WARN, self._gone, fields)

    def _without_secrets(self, text: str) -> str:
        # A server that does not know a command repeats its arguments, and AUTH has the password.
        secrets = (self._url.password, *self._url.query.get("sentinel_password", ()))
        for secret in filter(None, secrets):
            text = text.replace(secret, HIDDEN)
        return scrubbed(text)


class _Telling:
    """Tells clients of the limit, and of what is left of it.

    Args:
        rate: The limit. Its window is what its burst takes to be whole again.
    """

    def __init__(self, rate: _Rate) -> None:
        window = max(1, ceil(rate.burst / rate.rate))
        self._policy: Final = f'"{_POLICY}";q={rate.burst};w={window}'.encode()

    def headers(self, decision: Decision) -> list[tuple[bytes, bytes]]:
        left = f'"{_POLICY}";r={decision.remaining};t={ceil(decision.reset_after)}'.encode()
        return [(b"ratelimit-policy", self._policy), (b"ratelimit", left)]


def _rate(told: RateLimit) -> _Rate:
    if not 0 < told.rate <= 1e9:
        raise ConfigError(f"rate is in requests per second and more than 0, not {told.rate:g}")
    return _Rate(
        rate=told.rate,
        burst=told.burst or max(1, ceil(told.rate)),
        keys=told.max_keys or _MOST_KEYS,
        name=told.name,
        replicas=told.replicas or 1,
        away=_away(told),
    )


def _away(told: RateLimit) -> str:
    away = told.away or "local"
    if away not in _AWAY:
        raise ConfigError(f'away is "local", "allow" or "deny", not {away!r}')
    if told.away and not told.redis:
        raise ConfigError("away says what happens without Redis, and there is none: write redis")
    return away


def _key_of(told: RateLimit) -> KeyOf:
    per = told.per or "endpoint"
    clients = Clients(Networks("trustedProxies", told.trusted_proxies))
    if per == "endpoint":
        return lambda _request: ""
    if per == "client":
        return lambda request: network_of(clients.address(request))
    if per == "caller":
        return lambda request: _caller(request, clients)
    kind, colon, name = per.partition(":")
    if kind == "header" and colon:
        header = header_name(name)
        return lambda request: _short(request.header(header).decode("latin-1"))
    raise ConfigError(f'per is "endpoint", "client", "caller" or "header:<name>", not {per!r}')


def _caller(request: Request, clients: Clients) -> str:
    who = caller_of(request)
    if who is None or not who.subject:
        return network_of(clients.address(request))
    return _short("\n".join((who.scheme, who.issuer, who.subject)))


def _short(text: str) -> str:
    """Return a short key for a long text: limiters keep keys, and clients choose headers."""
    if len(text) <= _LONGEST:
        return text
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _local(rate: _Rate, clock: Callable[[], int]) -> Take:
    try:
        limiter = KeyedGcra(rate=rate.rate, burst=rate.burst, capacity=rate.keys, clock=clock)
    except ValueError as error:
        raise ConfigError(str(error)) from error

    async def take(key: str) -> Decision:
        return limiter.take(key)

    return take


def _shared(
    text: str, rate: _Rate, context: Context
) -> tuple[Callable[[Endpoint], Take], Callable[[], Awaitable[None]]]:
    if find_spec("kratos_redis") is None:
        raise MissingDependency("ratelimit on Redis", "kratos-redis")
    from kratos_redis import RedisGcra
    from kratos_redis.connecting import connected
    from kratos_redis.trouble import advice

    url = parse_url(expand_env(text))
    options = Options(url)
    connection = connected(url, options)
    options.finish()
    turns = _Turns(url, rate.away, advice, context)
    now = context.clock.time

    def limiter(endpoint: Endpoint) -> Take:
        name = rate.name or f"{endpoint.host}|{endpoint.method}|{endpoint.path}"
        return RedisGcra(
            connection.client,
            rate=rate.rate,
            burst=rate.burst,
            # What was owed to one limit means nothing to another one, as after a change of this.
            prefix=f"{_PREFIX}{name}:{rate.rate!r}:{rate.burst}:",
            replicas=rate.replicas,
            on_error=cast("OnError", rate.away),
            clock=lambda: int(now() * 1_000_000_000),
            on_turn=turns.turn,
        ).take

    return limiter, connection.aclose
