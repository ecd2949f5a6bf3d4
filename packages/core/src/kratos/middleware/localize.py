"""Texts of errors in the language of who gets them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from kratos.catalogue import Catalogue, Text
from kratos.errors import Error
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage

__all__ = ["localize"]

_BAD_REQUEST: Final = "google.rpc.BadRequest"
_LOCALIZED: Final = "google.rpc.LocalizedMessage"


def localize(
    catalogue: Catalogue, *, replace: bool = False, header: str = "accept-language"
) -> Middleware:
    """Give errors of a server texts in a language that their callers accept.

    The key is the error's reason, the arguments are its metadata. The text travels as a detail
    ``google.rpc.LocalizedMessage``, and that of a field violation in the violation, by its
    reason and with the argument ``field``. An error that has such a detail already is left as
    it is, as are those without a text. Errors that are raised before the chain is entered, for
    paths that there are not or bodies that cannot be read, have none.

    Of other middleware it takes the errors of those after it, so it comes first. Clients are
    left alone.

    Args:
        catalogue: The texts.
        replace: Whether the text also takes the place of the message, and of the descriptions,
            for callers that look at nothing else; over HTTP ``content-language`` tells so.
            Otherwise they are as they were raised, for logs and other services.
        header: What the caller accepts, over HTTP and as metadata of gRPC.
    """

    async def translate(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        except Error as error:
            if call.side is not Side.SERVER:
                raise
            languages = catalogue.accepted(",".join(call.headers.values(header)))
            localized = _localized(error, catalogue, languages, replace=replace)
            if localized is None:
                raise
            translated, language = localized
            if replace and language:
                _tell(call, language, header)
            raise translated.with_traceback(error.__traceback__) from error.__cause__

    return translate


def _localized(
    error: Error, catalogue: Catalogue, languages: Sequence[str], *, replace: bool
) -> tuple[Error, str] | None:
    """Return the error with texts, and the language of its message; ``None`` without any."""
    if any(_is(detail, _LOCALIZED) for detail in error.details):
        return None
    text = catalogue.text(languages, error.reason, error.metadata) if error.reason else None
    details = [_with_texts(each, catalogue, languages, replace=replace) for each in error.details]
    if text is None and all(map(_same, details, error.details)):
        return None
    translated = error.clone()
    translated.details = tuple(details)
    if text is None:
        return translated, ""
    if replace:
        translated.message = text.text
    return translated.with_detail(_message(text)), text.language


def _same(one: object, other: object) -> bool:
    return one is other


def _with_texts(
    detail: AnyMessage, catalogue: Catalogue, languages: Sequence[str], *, replace: bool
) -> AnyMessage:
    """Return a detail whose violations have texts, or the same one if there are none."""
    from google.protobuf.message import DecodeError

    if not _is(detail, _BAD_REQUEST):
        return detail
    try:
        bad_request = _details().BadRequest.FromString(detail.value)
    except DecodeError:
        return detail
    changed = False
    for violation in bad_request.field_violations:
        text = catalogue.text(languages, violation.reason, {"field": violation.field})
        if text is not None:
            changed = True
            violation.localized_message.CopyFrom(_message(text))
            if replace:
                violation.description = text.text
    if not changed:
        return detail
    return type(detail)(type_url=detail.type_url, value=bad_request.SerializeToString())


def _message(text: Text) -> Any:
    return _details().LocalizedMessage(locale=text.language, message=text.text)


def _details() -> Any:
    # Loaded when there is something to tell, as in kratos.errors.
    return import_module("google.rpc.error_details_pb2")


def _is(detail: AnyMessage, name: str) -> bool:
    return detail.type_url.rpartition("/")[2] == name


def _tell(call: Call, language: str, header: str) -> None:
    if not call.reply_headers.frozen:
        call.reply_headers.set("content-language", language)
        call.reply_headers.add("vary", header)
