"""Replies, errors and headers as the user reads them."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from google.protobuf.message import DecodeError, Message

from kratos import Error
from kratos.transport import Call
from kratos_protojson import JsonError, Printer, PrintOptions

__all__ = ["Answers", "plainly", "told"]

_LAYERS: Final = re.compile(r"(?:(?:[a-z]+://)?(\S+): )?(?:\1: )?no connection to \1: ")
_SECRET: Final = ("authorization", "cookie", "set-cookie")


def told(error: Error) -> str:
    """Return an error in a line, with what led to it where there is no answer of a service."""
    reason = f" {error.reason}" if error.reason else ""
    cause = "" if error.__cause__ is None else str(error.__cause__)
    because = f" ({cause})" if cause and cause not in error.message else ""
    return f"{error.code}{reason}: {error.message}{because}"


def plainly(error: ConnectionError) -> str:
    """Return why there is no connection, with each address once: layers put theirs before it."""
    return _LAYERS.sub("", str(error))


class Answers:
    """Writes replies to standard output, and all else to standard error.

    Args:
        lines: Whether each reply is one line of JSON.
        find: Returns the class of a message by its full name, ``None`` where it is not known;
            for details of errors.
    """

    def __init__(self, *, lines: bool, find: Callable[[str], type[Message] | None]) -> None:
        self._printer = Printer(PrintOptions(indent=None if lines else 2))
        self._compact = Printer()
        self._find = find

    def reply(self, message: Message) -> None:
        """Write a reply, so that who reads along has it at once."""
        sys.stdout.write(f"{self._printer.to_json(message).decode()}\n")
        sys.stdout.flush()

    def headers(self, call: Call) -> None:
        """Write the headers and trailers of a reply."""
        for kind, headers in (("header", call.reply_headers), ("trailer", call.trailers)):
            for name, value in headers.items():
                sys.stderr.write(f"{kind} {name}: {'***' if name in _SECRET else value}\n")

    def error(self, error: Error, *, as_json: bool) -> None:
        """Write what a service answered in place of a reply, or why it did not."""
        details = [self._detail(detail) for detail in error.details]
        if as_json:
            shown = {
                "code": error.code,
                "reason": error.reason,
                "message": error.message,
                "metadata": error.metadata,
                "details": details,
            }
            sys.stderr.write(f"{json.dumps(shown, ensure_ascii=False)}\n")
            return
        sys.stderr.write(f"kratos call: error: {told(error)}\n")
        for key, value in error.metadata.items():
            sys.stderr.write(f"  {key}: {value}\n")
        for detail in details:
            sys.stderr.write(f"  detail {json.dumps(detail, ensure_ascii=False)}\n")

    def _detail(self, detail: Any) -> dict[str, Any]:
        """Return a detail as JSON has it; the bytes of one whose type is not known."""
        name = detail.type_url.rpartition("/")[2]
        kind = self._find(name) or _standard(name)
        try:
            if kind is not None:
                shown: Any = json.loads(self._compact.to_json(kind.FromString(detail.value)))
                if isinstance(shown, dict):
                    return {"@type": detail.type_url, **cast("dict[str, Any]", shown)}
                return {"@type": detail.type_url, "value": shown}
        except (DecodeError, JsonError):
            pass  # its bytes are shown, whatever they are
        encoded = base64.b64encode(detail.value).decode()
        return {"@type": detail.type_url, "bytes": encoded}


def _standard(name: str) -> type[Message] | None:
    """Return the class of a message of ``google.rpc`` or ``google.protobuf``."""
    from google.protobuf.descriptor_pool import Default
    from google.protobuf.message_factory import GetMessageClass
    from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # noqa: F401

    try:
        return GetMessageClass(Default().FindMessageTypeByName(name))
    except KeyError:
        return None
