"""What it costs to verify a token and to sign one, by algorithm, with and without the cache."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.measure import Result
from kratos.testing.echo import ECHO, text
from kratos.transport import Call, Header, Side
from kratos_jwt import Key, Verifier, server, sign

__all__ = ["measured"]

_BATCH: Final = 50  # short: one of them finds a moment in which nobody disturbs
_ISSUER: Final = "https://issuer.example.com"
_CLAIMS: Final[dict[str, Any]] = {
    "iss": _ISSUER,
    "aud": "orders",
    "sub": "8c1f6c6e-2f0e-4c0a-9d4d-0d5a2f6a8b11",
    "scope": "orders:read orders:write",
    "iat": 1_700_000_000,
    "exp": 32_000_000_000,
}

Step: TypeAlias = Callable[[], Awaitable[object]]


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure all cases round by round, alternating; the first round warms up.

    Args:
        rounds: How many count.
        seconds: Of one round, over all cases.
    """
    return asyncio.run(_measured(rounds, seconds))


async def _measured(rounds: int, seconds: float) -> list[Result]:
    steps = {(case, name): step for name, key in _keys() for case, step in _steps(key)}
    results: dict[tuple[str, str], Result] = {}
    for number in range(rounds + 1):
        best = dict.fromkeys(steps, float("inf"))
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for key, step in steps.items():  # alternating: all are disturbed alike
                best[key] = min(best[key], await _timed(step))
        for (case, name), took in best.items() if number else ():
            result = results.setdefault((case, name), Result("jwt", case, name, unit="us"))
            result.values.append(took * 1e6)
            result.rate = max(result.rate, 1 / took)
    return [results[key] for key in sorted(results)]


async def _timed(step: Step) -> float:
    begin = time.perf_counter()
    for _ in range(_BATCH):
        await step()
    return (time.perf_counter() - begin) / _BATCH


def _keys() -> list[tuple[str, Key]]:
    made: dict[str, Any] = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    pems = {
        name: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for name, key in made.items()
    }
    secret = Key.from_secret("a secret that is long enough for it")
    return [("HS256", secret), *((name, Key.from_pem(pem)) for name, pem in pems.items())]


def _steps(key: Key) -> list[tuple[str, Step]]:
    token = sign(key, _CLAIMS)
    plain = Verifier(key, issuer=_ISSUER, audience="orders")
    cached = Verifier(key, issuer=_ISSUER, audience="orders", cache=8)
    guard: Any = server(key, issuer=_ISSUER, audience="orders", cache=8).bind(ECHO)
    header = Header.of([("authorization", f"Bearer {token}")])
    request = text("x")

    async def handler(_call: Call, request: Any, /) -> Any:
        return request

    async def signing() -> None:
        sign(key, _CLAIMS)

    async def middleware() -> None:
        call = Call(ECHO, side=Side.SERVER, transport="local", headers=header)
        await guard(call, request, handler)

    return [
        ("verify", lambda: plain.verify(token)),
        ("verify-cached", lambda: cached.verify(token)),
        ("middleware-cached", middleware),
        ("sign", signing),
    ]
