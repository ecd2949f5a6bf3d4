"""What a document says about errors: their form, and those that definitions announce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor

from kratos.transport import Arity, HttpEnvelope, Method
from kratos_http._details import MEMBER
from kratos_http._status import STATUS
from kratos_http.openapi.bodies import DETAILS, EncodersOf, enveloped_error, nobody, options_of
from kratos_http.openapi.failures import Failure, failures_of
from kratos_http.openapi.options import OpenApi
from kratos_http.openapi.schema import Schemas

__all__ = ["Errors"]

_NAME: Final = "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Makes the answers for errors: one for each service that announces some, one for the rest.

    Attributes:
        schemas: Makes schemas.
        options: What the application says.
        comments: Comments of definitions by full name.
        envelope: Whether the server has an ``error_encoder`` of its own.
        encoders_of: Tells the encoders that were given for a method by name.
        responses: The answers by name.
    """

    schemas: Schemas
    options: OpenApi
    comments: Mapping[str, str]
    envelope: bool
    encoders_of: EncodersOf = nobody
    responses: dict[str, Any] = field(default_factory=dict[str, Any])

    def reference(self, method: Method[Any, Any]) -> dict[str, str]:
        """Return a reference to the answer for a method's errors."""
        given = self.encoders_of(method)
        envelope = options_of(method).envelope
        if given is None and envelope is not None and method.arity is Arity.UNARY:
            return self._enveloped(method, envelope)
        if given is not None and given.error is not None:
            content = {} if given.error_schema is None else {"schema": given.error_schema}
            return self._named(f"{_NAME}.Own", _answer(content))
        own = given is None and self._is_own
        failures = [] if own else failures_of(method, self.comments)
        content = self._content(own=own)
        if failures:
            content["examples"] = {failure.reason: _example(failure) for failure in failures}
        name = f"{method.service}.{_NAME}" if failures else _NAME
        return self._named(name, _answer(content))

    def _enveloped(self, method: Method[Any, Any], envelope: HttpEnvelope) -> dict[str, str]:
        content: dict[str, Any] = {"schema": enveloped_error(envelope)}
        failures = failures_of(method, self.comments)
        if failures:
            content["examples"] = {
                failure.reason: _enveloped_example(failure, envelope) for failure in failures
            }
        under = "200" if envelope.status_ok else "the status of its code"
        base = f"{method.service}.Envelope" if failures else f"{_NAME}.Envelope"
        return self._named(base, _answer(content, under=under))

    def _named(self, base: str, answer: dict[str, Any]) -> dict[str, str]:
        """Return a reference to an answer, which gets a name if it has none."""
        number = 1
        name = base
        while self.responses.setdefault(name, answer) != answer:
            number += 1
            name = f"{base}{number}"
        return {"$ref": f"#/components/responses/{name}"}

    @property
    def _is_own(self) -> bool:
        return self.envelope or self.options.error_schema is not None

    def _content(self, *, own: bool) -> dict[str, Any]:
        if not own:
            status = cast("Descriptor", STATUS.DESCRIPTOR)
            reference = self.schemas.message(status)
            properties = self.schemas.components[status.full_name]["properties"]
            properties[MEMBER] = dict(DETAILS)
            return {"schema": reference}
        schema = self.options.error_schema
        return {} if schema is None else {"schema": schema}


def _answer(content: dict[str, Any], *, under: str = "the status of its code") -> dict[str, Any]:
    return {
        "description": f"An error, under {under}.",
        "content": {"application/json": content},
    }


def _example(failure: Failure) -> dict[str, Any]:
    return {
        "summary": f"{failure.code} {failure.comment}".strip(),
        "value": {
            "code": failure.code,
            "reason": failure.reason,
            "message": failure.comment,
            "metadata": {},
        },
    }


def _enveloped_example(failure: Failure, envelope: HttpEnvelope) -> dict[str, Any]:
    said: dict[str, Any] = {envelope.code_key: failure.code}
    if envelope.reason_key:
        said[envelope.reason_key] = failure.reason
    said[envelope.message_key] = failure.comment
    said[envelope.data_key] = None
    return {"summary": f"{failure.code} {failure.comment}".strip(), "value": said}
