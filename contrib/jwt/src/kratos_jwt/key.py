"""A key, and the algorithms it is for: a token cannot choose others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.algorithms import Algorithm, HMACAlgorithm, get_default_algorithms
from jwt.api_jwk import PyJWK
from jwt.exceptions import PyJWTError

from kratos.errors import ConfigError

__all__ = ["Key"]

_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name != "none"
}
_HMAC: Final = {"HS256": 32, "HS384": 48, "HS512": 64}  # bytes of the shortest secret, RFC 7518
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_RSA_BITS: Final = range(2048, 16385)  # RFC 7518 has the least; the most bounds the time of a check
_CURVES: Final = {
    "secp256r1": "ES256",
    "secp384r1": "ES384",
    "secp521r1": "ES512",
    "secp256k1": "ES256K",
}
_EDWARDS: Final = "EdDSA"


@runtime_checkable
class Held(Protocol):
    """A secret that shows itself to nobody who does not ask."""

    def get_secret_value(self) -> str | bytes:
        """Return it."""
        ...


class Key:
    """A key with its algorithms; make it by ``from_secret``, ``from_pem`` or ``from_jwk``.

    It never shows its material: not in ``repr``, not in errors.

    Attributes:
        key_id: Its ``kid``; ``None`` if it has none.
        algorithms: The algorithms that it verifies. The first is what it signs with.
        can_sign: Whether it is secret, so that it can sign.
    """

    __slots__ = ("_private", "_public", "algorithms", "can_sign", "key_id")

    def __init__(
        self,
        *,
        public: Any,
        private: Any,
        algorithms: Sequence[str],
        fitting: Sequence[str],
        key_id: str | None,
    ) -> None:
        if isinstance(algorithms, str):
            raise ConfigError(f"algorithms={algorithms!r} has to be a list of names")
        chosen = tuple(algorithms) or tuple(fitting[:1])
        for name in chosen:
            if name not in fitting:
                raise ConfigError(
                    f"this key is not for the algorithm {name!r}; it can do {', '.join(fitting)}"
                )
        self._public = public
        self._private = private
        self.algorithms = chosen
        self.can_sign = private is not None
        self.key_id = key_id

    @classmethod
    def from_secret(
        cls,
        secret: str | bytes | Held,
        /,
        *,
        algorithms: Sequence[str] = ("HS256",),
        key_id: str | None = None,
    ) -> Key:
        """Make a key of a secret that both sides know.

        Args:
            secret: 32 random bytes or more, 48 for HS384, 64 for HS512; or what holds
                them, a ``kratos.config.Secret`` or pydantic's ``SecretStr``.
            algorithms: Of HS256, HS384, HS512; one suffices.
            key_id: Its ``kid``.

        Raises:
            ConfigError: It is too short for an algorithm, or is no secret, but a public key say.
        """
        data = _bytes_of(secret)
        try:
            # Refuses PEM, DER, SSH keys and JWK: whoever knows a public key could sign with it.
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(data)
        except PyJWTError as error:
            raise ConfigError(f"this is no secret for HMAC: {error}") from None
        key = cls(
            public=data, private=data, algorithms=algorithms, fitting=tuple(_HMAC), key_id=key_id
        )
        for name in key.algorithms:
            if len(data) < _HMAC[name]:
                raise ConfigError(
                    f"a secret for {name} has {_HMAC[name]} bytes at least (RFC 7518, 3.2), this "
                    f"one {len(data)}: make one with secrets.token_bytes({_HMAC[name]})"
                )
        return key

    @classmethod
    def from_pem(
        cls,
        pem: str | bytes,
        /,
        *,
        algorithms: Sequence[str] = (),
        key_id: str | None = None,
        password: str | bytes | None = None,
    ) -> Key:
        """Make a key of PEM: of a public key to verify, of a private key to sign as well.

        Args:
            pem: RSA of 2048 bits and more, P-256, P-384, P-521, secp256k1, Ed25519, Ed448.
            algorithms: For RSA ``RS256`` by default, else the one that the curve has.
            key_id: Its ``kid``.
            password: Of a private key that is encrypted.

        Raises:
            ConfigError: It is no such key, or not for an algorithm.
        """
        data = pem.encode() if isinstance(pem, str) else pem
        secret = password.encode() if isinstance(password, str) else password
        try:
            loaded: Any = (
                load_pem_private_key(data, secret)
                if b"PRIVATE KEY-----" in data
                else load_pem_public_key(data)
            )
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            # Not the text: it may quote from the key.
            raise ConfigError(
                "this is no PEM of a public or private key, or its password is wrong "
                f"({type(error).__name__})"
            ) from None
        return cls._asymmetric(loaded, algorithms=algorithms, key_id=key_id)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], /, *, algorithms: Sequence[str] = ()) -> Key:
        """Make a key of a JSON Web Key (RFC 7517).

        Args:
            jwk: The object. Its ``kid`` is the key's, its ``alg`` the only algorithm.
            algorithms: Those that are allowed. A key that names none gets all of them that fit
                it; without any it gets that of ``from_pem``, or HS256.

        Raises:
            ConfigError: It is none, of a kind that is not known, too weak, not for signatures, or
                not for an algorithm.
        """
        named, key_id = jwk.get("alg"), jwk.get("kid")
        if key_id is not None and not isinstance(key_id, str):
            raise ConfigError("the kid of this JWK is no text")
        if jwk.get("use", "sig") != "sig" or not _for_signatures(jwk.get("key_ops")):
            raise ConfigError(f"the JWK {key_id!r} is not for signatures")
        try:
            loaded: Any = PyJWK(dict(jwk), _guess(jwk)).key
        except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
            raise ConfigError(
                f"the JWK {key_id!r} is no key that is known here ({type(error).__name__})"
            ) from None
        secret = isinstance(loaded, bytes)
        wanted = _allowed(named, algorithms, tuple(_HMAC) if secret else _fitting(loaded))
        if secret:
            return cls.from_secret(loaded, algorithms=wanted or ("HS256",), key_id=key_id)
        return cls._asymmetric(loaded, algorithms=wanted, key_id=key_id)

    @classmethod
    def _asymmetric(cls, loaded: Any, *, algorithms: Sequence[str], key_id: str | None) -> Key:
        fitting = _fitting(loaded)
        private = loaded if hasattr(loaded, "public_key") else None
        public = loaded if private is None else loaded.public_key()
        return cls(
            public=public, private=private, algorithms=algorithms, fitting=fitting, key_id=key_id
        )

    def verify(self, algorithm: str, signed: bytes, signature: bytes, /) -> bool:
        """Tell whether a signature is right; it is not by an algorithm that is not the key's."""
        if algorithm not in self.algorithms:
            return False
        return bool(_ALGORITHMS[algorithm].verify(signed, self._public, signature))

    def sign(self, signed: bytes, /) -> bytes:
        """Return the signature, by the first of the algorithms.

        Raises:
            ConfigError: The key is a public one.
        """
        if self._private is None:
            raise ConfigError("this key is public: it verifies, but cannot sign")
        return _ALGORITHMS[self.algorithms[0]].sign(signed, self._private)

    def __repr__(self) -> str:
        return f"<Key {self.key_id!r} for {', '.join(self.algorithms)}>"

    def __reduce__(self) -> Any:
        raise TypeError("keys are not pickled: their material would travel along")


def _bytes_of(secret: object) -> bytes:
    if isinstance(secret, Held):
        secret = secret.get_secret_value()
    if isinstance(secret, str):
        return secret.encode()
    if isinstance(secret, bytes | bytearray):
        return bytes(secret)
    # A number above all, of which Python would make as many zeros.
    raise ConfigError(f"a secret is a text, bytes or a Secret, not {type(secret).__name__}")


def _allowed(named: object, algorithms: Sequence[str], fitting: Sequence[str]) -> tuple[str, ...]:
    wanted = (named,) if isinstance(named, str) else fitting
    if not algorithms:
        return tuple(wanted) if isinstance(named, str) else ()
    found = tuple(name for name in algorithms if name in wanted)
    if not found:
        raise ConfigError(f"it is for {', '.join(wanted)}, and none of these is allowed")
    return found


def _fitting(loaded: Any) -> tuple[str, ...]:
    if isinstance(loaded, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        if loaded.key_size not in _RSA_BITS:
            raise ConfigError(
                f"an RSA key has from {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits, this one "
                f"{loaded.key_size}"
            )
        return _RSA
    if isinstance(loaded, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        name = _CURVES.get(loaded.curve.name)
        if name is not None:
            return (name,)
        raise ConfigError(f"the curve {loaded.curve.name} is none of {', '.join(_CURVES)}")
    if isinstance(
        loaded,
        ed25519.Ed25519PublicKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PublicKey
        | ed448.Ed448PrivateKey,
    ):
        return (_EDWARDS,)
    raise ConfigError(f"a {type(loaded).__name__} is no key for signatures")


def _guess(jwk: Mapping[str, Any]) -> str:
    """Return an algorithm by which a JWK is read; which ones it is for is another question."""
    kind = jwk.get("kty")
    if kind == "EC":
        curves = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "secp256k1": "ES256K"}
        return curves[jwk["crv"]]
    return {"RSA": "RS256", "OKP": _EDWARDS, "oct": "HS256"}[str(kind)]


def _for_signatures(operations: object) -> bool:
    if operations is None:
        return True
    return isinstance(operations, list) and ("verify" in operations or "sign" in operations)
