"""What the runner talks to: reads requests from standard input, answers on standard output.

Each request and each answer is led by its length in four bytes, little-endian. Arguments: the
codec, and the folder with the generated code of the suite's definitions.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from kratos_protojson import ParseOptions, Parser, Printer, PrintOptions

Parse: TypeAlias = Callable[[str, type[Message], bool], Message]
Print: TypeAlias = Callable[[Message], str]

_MODULES = ("proto2", "proto3", "proto2_editions", "proto3_editions", "edition2023")


def codec(name: str) -> tuple[Parse, Print]:
    """Return the functions under test."""
    if name == "json_format":
        return _google_parse, json_format.MessageToJson
    backend: Any = {"plans": "python", "rust": "native"}[name]
    printer = Printer(PrintOptions(emit_unset=False, backend=backend))
    parsers = {
        ignore: Parser(ParseOptions(ignore_unknown=ignore, backend=backend))
        for ignore in (False, True)
    }

    def parse(text: str, kind: type[Message], ignore_unknown: bool) -> Message:  # noqa: FBT001
        return parsers[ignore_unknown].from_json(text, kind)

    return parse, lambda message: printer.to_json(message).decode()


def _google_parse(text: str, kind: type[Message], ignore_unknown: bool) -> Message:  # noqa: FBT001
    return json_format.Parse(text, kind(), ignore_unknown_fields=ignore_unknown)


class Testee:
    """Answers requests by one codec."""

    def __init__(self, name: str) -> None:
        self._parse, self._print = codec(name)
        self._suite: Any = import_module("conformance.conformance_pb2")
        modules = [import_module(f"google.protobuf.test_messages_{name}_pb2") for name in _MODULES]
        self._types: dict[str, type[Message]] = {
            f"{module.DESCRIPTOR.package}.{name}": getattr(module, name)
            for module in modules
            for name in module.DESCRIPTOR.message_types_by_name
        }

    def answer(self, request: Any) -> Any:
        """Return the answer to one request."""
        response: Any = self._suite.ConformanceResponse()
        if request.message_type == "conformance.FailureSet":
            response.protobuf_payload = self._suite.FailureSet().SerializeToString()
            return response
        kind = self._types[request.message_type]
        given = request.WhichOneof("payload")
        wanted = request.requested_output_format
        if given not in ("protobuf_payload", "json_payload") or wanted not in (
            self._suite.PROTOBUF,
            self._suite.JSON,
        ):
            response.skipped = "neither JSON nor binary"
            return response
        try:
            message = self._read(request, kind)
        except (ValueError, DecodeError, json_format.Error) as error:
            response.parse_error = str(error)
            return response
        try:
            if wanted == self._suite.JSON:
                response.json_payload = self._print(message)
            else:
                response.protobuf_payload = message.SerializeToString()
        except (ValueError, json_format.Error) as error:
            response.serialize_error = str(error)
        return response

    def _read(self, request: Any, kind: type[Message]) -> Message:
        if request.WhichOneof("payload") == "protobuf_payload":
            return kind.FromString(request.protobuf_payload)
        ignore = request.test_category == self._suite.JSON_IGNORE_UNKNOWN_PARSING_TEST
        return self._parse(request.json_payload, kind, ignore)

    def serve(self, source: BinaryIO, sink: BinaryIO) -> None:
        """Answer until the source ends."""
        while len(head := source.read(4)) == 4:
            [size] = struct.unpack("<I", head)
            request: Any = self._suite.ConformanceRequest.FromString(source.read(size))
            try:
                response = self.answer(request)
            except Exception as error:  # the runner counts it as a failure
                response = self._suite.ConformanceResponse(runtime_error=repr(error))
            data: bytes = response.SerializeToString()
            sink.write(struct.pack("<I", len(data)) + data)
            sink.flush()


def main() -> None:
    """Serve the runner."""
    name, generated = sys.argv[1:]
    # The definitions of the suite live under google/protobuf, beside those of the library.
    for package in ("google", "google.protobuf"):
        path: Any = import_module(package).__path__
        path.append(str(Path(generated, *package.split("."))))
    sys.path.insert(0, generated)
    Testee(name).serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
