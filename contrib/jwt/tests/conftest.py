from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from kratos.middleware import AnyMiddleware
from kratos.testing.clock import FakeClock
from kratos.transport import ChainCaller, Service
from kratos.transport.local import LocalTransport

MAKERS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ES256K": lambda: ec.generate_private_key(ec.SECP256K1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


def pem_of(private: Any) -> tuple[bytes, bytes]:
    """Return the PEM of a private key and of its public one."""
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return secret, public


@pytest.fixture(scope="session")
def pems() -> dict[str, tuple[bytes, bytes]]:
    """PEMs of a private and its public key, by algorithm."""
    return {name: pem_of(make()) for name, make in MAKERS.items()}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def chained() -> Callable[..., ChainCaller]:
    """Serve in this process, with middleware on both sides."""

    def make(
        service: Service, *, server: list[AnyMiddleware], client: list[AnyMiddleware]
    ) -> ChainCaller:
        transport = LocalTransport(service, middleware=server, timeout=None)
        return ChainCaller(transport.invoke, transport="local", middleware=client, timeout=None)

    return make
