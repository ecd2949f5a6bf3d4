"""Messages from JSON, and back."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final

from google.protobuf.message import Message

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import nearest
from kratos_protojson import JsonError, ParseOptions, Parser

__all__ = ["STDIN", "many", "one"]

STDIN: Final = "-"
_ROOM: Final = 16  # lines that may be read ahead of the call
_NO_FIELD: Final = " has no such field"
_PARSER: Final = Parser(ParseOptions(ignore_unknown=False))


async def one(text: str | None, kind: type[Message]) -> Message:
    """Return the request of a call that takes one.

    Args:
        text: JSON; ``-`` for all of standard input, ``None`` for a message without fields.
        kind: Its type.

    Raises:
        CommandFailure: It is no JSON of that type; says where.
    """
    if text is None:
        return kind()
    if text == STDIN:
        text = "\n".join([line async for line in _Lines()])
    values = list(_values(text, kind))
    if len(values) != 1:
        raise CommandFailure(
            f"the method takes one request, and there are {len(values)}; write one JSON object",
            status=2,
        )
    return _message(values[0], kind)


async def many(text: str | None, kind: type[Message]) -> AsyncIterator[Message]:
    """Yield the requests of a call that takes many, as they come.

    Args:
        text: JSON objects, one after another; ``-`` or ``None`` for one on each line of standard
            input.
        kind: Their type.

    Raises:
        CommandFailure: One is no JSON of that type; says where.
    """
    if text is not None and text != STDIN:
        for value in _values(text, kind):
            yield _message(value, kind)
        return
    lines = _Lines()
    try:
        async for line in lines:
            if line.strip():
                yield _message(line, kind)
    finally:
        lines.close()


def _values(text: str, kind: type[Message]) -> Iterator[str]:
    """Yield the texts of the JSON values that follow each other in ``text``."""
    decoder = json.JSONDecoder()
    start = 0
    while start < len(text):
        if text[start].isspace():
            start += 1
            continue
        try:
            _, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise CommandFailure(
                f"the request is no JSON: {error}; quote it for the shell, for example "
                f"'{{\"name\": 1}}', and '{{}}' for an empty {kind.DESCRIPTOR.full_name}",
                status=2,
            ) from error
        yield text[start:end]
        start = end


def _message(text: str, kind: type[Message]) -> Message:
    try:
        return _PARSER.from_json(text, kind)
    except JsonError as error:
        descriptor: Any = kind.DESCRIPTOR
        raise CommandFailure(
            f"the request is no {descriptor.full_name}: {error}{_fields(error, descriptor)}",
            status=2,
        ) from error


def _fields(error: JsonError, outer: Any) -> str:
    """Return what to tell of a field that there is not: those that there are."""
    name = error.problem.removesuffix(_NO_FIELD)
    if name == error.problem:
        return ""
    try:
        found = outer.file.pool.FindMessageTypeByName(name)
    except KeyError:
        return ""
    known = [field.json_name for field in found.fields]
    wrong = str(error).partition(": ")[0].rpartition(".")[2]
    return nearest(wrong, known) or f"; it has {', '.join(known) or 'none'}"


class _Lines:
    """Lines of standard input, read by a thread that ends with the process at the latest.

    A call may end while somebody is still to type the next line: nothing waits for it then.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(_ROOM)
        self._pending: Future[None] | None = None
        self._closed = False
        threading.Thread(target=self._read, name="kratos-call-stdin", daemon=True).start()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def close(self) -> None:
        """Take no more lines."""
        self._closed = True
        pending = self._pending
        if pending is not None:
            pending.cancel()

    def _read(self) -> None:
        # What was cancelled was closed, and a loop that is closed takes nothing.
        with suppress(RuntimeError, CancelledError):
            for line in sys.stdin:
                self._put(line)
                if self._closed:
                    return
            self._put(None)

    def _put(self, line: str | None) -> None:
        put = self._lines.put(line)
        try:
            self._pending = asyncio.run_coroutine_threadsafe(put, self._loop)
        except RuntimeError:
            put.close()
            raise
        self._pending.result()
