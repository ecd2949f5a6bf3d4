"""JSON Web Tokens for Kratos: calls are verified on servers and signed on clients.

``server(keys, ...)`` and ``client(key, ...)`` are middleware for all arities and transports.
"""

from kratos_jwt.client import client, sign
from kratos_jwt.context import current_claims, current_header
from kratos_jwt.key import Key
from kratos_jwt.key_set import KeySet
from kratos_jwt.keys import Keys, KeySource
from kratos_jwt.refusal import Refused
from kratos_jwt.server import server
from kratos_jwt.sources import Source, bearer, cookie, subprotocol
from kratos_jwt.token import TokenHeader
from kratos_jwt.verifier import Verified, Verifier

__all__ = [
    "Key",
    "KeySet",
    "KeySource",
    "Keys",
    "Refused",
    "Source",
    "TokenHeader",
    "Verified",
    "Verifier",
    "bearer",
    "client",
    "cookie",
    "current_claims",
    "current_header",
    "server",
    "sign",
    "subprotocol",
]
