"""Keys: what they are made of, and that they do what they are for and nothing else."""

from __future__ import annotations

import json
import pickle
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from pydantic import SecretBytes, SecretStr

from kratos.config import Secret
from kratos.errors import ConfigError
from kratos_jwt import Key

PEMS = ("RS256", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed448")
Pems = dict[str, tuple[bytes, bytes]]


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("kind", PEMS)
def test_private_key_signs_what_its_public_key_verifies(pems: Pems, kind: str) -> None:
    private, public = (Key.from_pem(pem) for pem in pems[kind])
    algorithm = "EdDSA" if kind == "Ed448" else kind
    assert private.algorithms == public.algorithms == (algorithm,)
    signature = private.sign(b"x")
    for key in (private, public):
        assert key.verify(algorithm, b"x", signature)
        assert not key.verify(algorithm, b"y", signature)
        assert not key.verify(algorithm, b"x", b"")
        assert not key.verify("HS256", b"x", signature)
    assert (private.can_sign, public.can_sign) == (True, False)
    with pytest.raises(ConfigError, match="public"):
        public.sign(b"x")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rsa_key_signs_by_the_first_of_its_algorithms(pems: Pems, algorithm: str) -> None:
    key = Key.from_pem(pems["RS256"][0], algorithms=[algorithm, "RS256"])
    signature = key.sign(b"x")
    assert key.verify(algorithm, b"x", signature)


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_secret_has_the_length_that_its_algorithm_asks_for(algorithm: str, length: int) -> None:
    key = Key.from_secret("s" * length, algorithms=[algorithm])
    assert key.verify(algorithm, b"x", key.sign(b"x"))
    with pytest.raises(ConfigError, match=f"{length} bytes at least"):
        Key.from_secret("s" * (length - 1), algorithms=[algorithm])


@pytest.mark.parametrize("kind", PEMS)
def test_asymmetric_key_is_no_secret(pems: Pems, kind: str) -> None:
    for pem in pems[kind]:
        with pytest.raises(ConfigError, match="no secret for HMAC"):
            Key.from_secret(pem)
        with pytest.raises(ConfigError, match="no secret for HMAC"):
            Key.from_secret(b"\n " + pem)
    public: Any = load_pem_public_key(pems[kind][1])
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigError, match="no secret for HMAC"):
        Key.from_secret(der)


def test_jwk_is_no_secret(pems: Pems) -> None:
    public: Any = load_pem_public_key(pems["RS256"][1])
    for text in (RSAAlgorithm.to_jwk(public), json.dumps({"keys": [{"kty": "RSA"}]})):
        with pytest.raises(ConfigError, match="no secret for HMAC"):
            Key.from_secret(text)


@pytest.mark.parametrize("secret", ["", b""])
def test_nothing_is_no_secret(secret: str | bytes) -> None:
    with pytest.raises(ConfigError):
        Key.from_secret(secret)


@pytest.mark.parametrize("secret", [Secret("s" * 32), SecretStr("s" * 32), SecretBytes(b"s" * 32)])
def test_secret_of_a_configuration_is_taken_as_it_is(secret: Any) -> None:
    signature = Key.from_secret(secret).sign(b"text")
    assert Key.from_secret("s" * 32).verify("HS256", b"text", signature)


@pytest.mark.parametrize("secret", [64, 10**40, None, ["s" * 32]])
def test_what_is_neither_text_nor_bytes_is_no_secret(secret: Any) -> None:
    with pytest.raises(ConfigError, match=f"bytes or a Secret, not {type(secret).__name__}"):
        Key.from_secret(secret)


@pytest.mark.parametrize(
    "algorithms", [["none"], ["HS256", "none"], ["RS256"], ["hs256"], [""], "HS256"]
)
def test_secret_is_for_no_other_algorithm(algorithms: Any) -> None:
    with pytest.raises(ConfigError):
        Key.from_secret("s" * 64, algorithms=algorithms)


@pytest.mark.parametrize("algorithms", [["none"], ["HS256"], ["ES256"], ["RS256", "ES256"]])
def test_rsa_key_is_for_no_other_algorithm(pems: Pems, algorithms: list[str]) -> None:
    with pytest.raises(ConfigError, match="not for the algorithm"):
        Key.from_pem(pems["RS256"][1], algorithms=algorithms)


def test_curve_has_its_own_algorithm(pems: Pems) -> None:
    with pytest.raises(ConfigError, match="not for the algorithm 'ES384'"):
        Key.from_pem(pems["ES256"][1], algorithms=["ES384"])


def test_weak_and_strange_keys_are_refused() -> None:
    weak: list[Any] = [
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP224R1()),
        x25519.X25519PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ]
    for private in weak:
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(ConfigError):
            Key.from_pem(pem)


@pytest.mark.parametrize("pem", ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_what_is_no_pem_is_refused_without_showing_it(pem: str) -> None:
    with pytest.raises(ConfigError, match="no PEM") as refusal:
        Key.from_pem(pem)
    assert refusal.value.__suppress_context__


def test_private_key_may_be_encrypted(pems: Pems) -> None:
    private = load_pem_private_key(pems["ES256"][0], None)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
    key = Key.from_pem(pem, password="pw")
    assert Key.from_pem(pems["ES256"][1]).verify("ES256", b"x", key.sign(b"x"))
    for password in (None, "other"):
        with pytest.raises(ConfigError, match="password"):
            Key.from_pem(pem, password=password)


def test_key_of_a_jwk_is_the_same_key(pems: Pems) -> None:
    kinds = (("RS256", RSAAlgorithm), ("ES256", ECAlgorithm), ("EdDSA", OKPAlgorithm))
    for kind, algorithm in kinds:
        signer, public = Key.from_pem(pems[kind][0]), load_pem_public_key(pems[kind][1])
        to_jwk: Any = algorithm.to_jwk
        jwk = {**to_jwk(public, as_dict=True), "kid": "k"}
        for found in (Key.from_jwk(jwk), Key.from_jwk({**jwk, "alg": kind, "use": "sig"})):
            assert (found.key_id, found.algorithms, found.can_sign) == ("k", (kind,), False)
            assert found.verify(kind, b"x", signer.sign(b"x"))


def test_jwk_gets_those_allowed_algorithms_that_fit_it(pems: Pems) -> None:
    public: Any = load_pem_public_key(pems["RS256"][1])
    jwk: dict[str, Any] = RSAAlgorithm.to_jwk(public, as_dict=True)
    allowed = ["ES256", "PS256", "RS512"]
    assert Key.from_jwk(jwk, algorithms=allowed).algorithms == ("PS256", "RS512")
    assert Key.from_jwk({**jwk, "alg": "RS512"}, algorithms=allowed).algorithms == ("RS512",)
    for refused in ({**jwk, "alg": "RS256"}, {**jwk, "alg": "HS256"}):
        with pytest.raises(ConfigError, match="allowed"):
            Key.from_jwk(refused, algorithms=allowed)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": "RSA", "n": 1, "e": 2},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": b64(b"\1" * 32), "y": b64(b"\1" * 32)},
        {"kty": "EC", "crv": "nothing"},
        {"kty": "OKP", "crv": "X25519", "x": b64(b"\1" * 32)},
        {"kty": "oct", "k": b64(b"short")},
        {"kty": "oct", "k": b64(b"s" * 32), "alg": "none"},
        {"kty": "oct", "k": b64(b"s" * 32), "alg": "RS256"},
        {"kty": "oct", "k": b64(b"s" * 32), "use": "enc"},
        {"kty": "oct", "k": b64(b"s" * 32), "key_ops": ["encrypt"]},
        {"kty": "oct", "k": b64(b"s" * 32), "kid": 1},
        {"kty": ["RSA"]},
    ],
)
def test_what_is_no_usable_jwk_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Key.from_jwk(jwk)


def test_key_does_not_show_its_material() -> None:
    secret = "a-long-secret-that-nobody-must-see-anywhere"
    key = Key.from_secret(secret, key_id="k")
    assert secret not in repr(key) + str(key)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
