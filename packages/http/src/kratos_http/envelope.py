"""Answers in one shape, whether they succeed or fail: code, reason, message, data."""

from __future__ import annotations

import json
import logging
from typing import Final, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kratos import encoding
from kratos.encoding import Codec, CodecError, Codecs
from kratos.encoding.http_body import is_http_body
from kratos.errors import ConfigError, Error
from kratos.transport import Call, HttpEnvelope
from kratos.transport.http import Reply
from kratos_http._details import MEMBER, to_json
from kratos_http._refusal import JSON
from kratos_http.encoders import Encoders, encode_error, encode_reply, http_status
from kratos_http.redirect import Redirect

__all__ = ["JSON_CODECS", "Envelope"]

_log = logging.getLogger("kratos.http")

JSON_CODECS: Final = frozenset(("json", "protojson"))


class Envelope:
    """Puts replies and errors in JSON into an envelope.

    A reply becomes ``{"code": 0, "reason": "", "message": "ok", "data": {...}}``, an error
    ``{"code": 404, "reason": "USER_NOT_FOUND", "message": "...", "data": null}`` with the error's
    metadata and details, if it has any, as ``metadata`` and ``details``. Redirects, raw bodies
    (``google.api.HttpBody``) and what a peer asks for in another format than JSON stay without
    one, streams too. Clients of Kratos expect none: keep it for browsers and strangers.

    Args:
        success: Code of replies.
        message: Message of replies.
        status_ok: Whether errors are sent under 200, too; proxies, browsers and monitoring then
            take them for successes.
        code_key: Name of the code.
        reason_key: Name of the reason; empty to leave it out.
        message_key: Name of the message.
        data_key: Name of the data.
        codecs: For the data.

    Raises:
        ConfigError: Two names are equal, or one that is needed is empty.
    """

    def __init__(
        self,
        *,
        success: int = 0,
        message: str = "ok",
        status_ok: bool = False,
        code_key: str = "code",
        reason_key: str = "reason",
        message_key: str = "message",
        data_key: str = "data",
        codecs: Codecs = encoding.DEFAULT,
    ) -> None:
        named = (code_key, reason_key, message_key, data_key, "metadata", MEMBER)
        keys = [key for key in named if key]
        if not (code_key and message_key and data_key) or len(set(keys)) < len(keys):
            raise ConfigError("the keys of an envelope must differ, and only reason_key be empty")
        self._codecs = codecs
        self._shape = HttpEnvelope(
            success=success,
            message=message,
            status_ok=status_ok,
            code_key=code_key,
            reason_key=reason_key,
            message_key=message_key,
            data_key=data_key,
        )
        opened = _dump({**self._said(success, "", message), data_key: None})
        self._opening = opened.removesuffix(b"null}")

    @classmethod
    def of(cls, options: HttpEnvelope, *, codecs: Codecs = encoding.DEFAULT) -> Envelope:
        """Return what a definition asks for by ``kratos/http.proto``.

        Raises:
            ConfigError: Two names are equal, or one that is needed is empty.
        """
        return cls(
            success=options.success,
            message=options.message,
            status_ok=options.status_ok,
            code_key=options.code_key,
            reason_key=options.reason_key,
            message_key=options.message_key,
            data_key=options.data_key,
            codecs=codecs,
        )

    @property
    def encoders(self) -> Encoders:
        """Both encoders, with what they write, for ``HttpServer(encoders=...)``."""
        from kratos_http.openapi.bodies import enveloped, enveloped_error

        shape = self._shape
        return Encoders(
            reply=self.encode_reply,
            error=self.encode_error,
            reply_schema=lambda schema: enveloped(schema, shape),
            error_schema=enveloped_error(shape),
        )

    def encode_reply(self, call: Call, message: Message, accept: str, /) -> Reply:
        """Return a reply; see ``ReplyEncoder``.

        Raises:
            Error: 500: the codec cannot express the message.
        """
        codec = self._json(accept)
        try:
            if codec is None or is_http_body(cast("Descriptor", message.DESCRIPTOR)):
                return encode_reply(message, accept, codecs=self._codecs)
            data = codec.encode(message)
        except CodecError as error:
            _log.error("%s returned what cannot be sent: %s", call.method.operation, error)
            raise Error(500, "UNKNOWN", "unknown request error") from error
        return Reply(200, JSON, b"%b%b}" % (self._opening, data))

    @property
    def opening(self) -> bytes:
        """The bytes before the data of a reply; a brace follows it."""
        return self._opening

    def around(self, reply: Reply, accept: str) -> Reply:
        """Return a reply in the envelope, unless the peer asks for another format than JSON."""
        if self._json(accept) is None:
            return reply
        return Reply(reply.status, JSON, b"%b%b}" % (self._opening, reply.body))

    def encode_error(self, error: Error, accept: str, /) -> Reply:
        """Return an error; see ``ErrorEncoder``."""
        if isinstance(error, Redirect) or self._json(accept) is None:
            return encode_error(error, accept, codecs=self._codecs)
        shape = self._shape
        said = {**self._said(error.code, error.reason, error.message), shape.data_key: None}
        if error.metadata:
            said["metadata"] = dict(error.metadata)
        if error.details:
            said[MEMBER] = to_json(error.details)
        return Reply(200 if shape.status_ok else http_status(error.code), JSON, _dump(said))

    def _said(self, code: int, reason: str, message: str) -> dict[str, object]:
        shape = self._shape
        said: dict[str, object] = {shape.code_key: code}
        if shape.reason_key:
            said[shape.reason_key] = reason
        said[shape.message_key] = message
        return said

    def _json(self, accept: str) -> Codec | None:
        """Return the codec of JSON; ``None`` if the peer asks for another format."""
        codec = self._codecs.select(accept).codec
        return codec if codec.name in JSON_CODECS else None


def _dump(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
