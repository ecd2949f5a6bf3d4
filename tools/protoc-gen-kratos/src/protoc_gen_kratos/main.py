"""The plug-in of protoc and buf: a request on standard input, a response on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import Edition
from google.protobuf.message import DecodeError

from protoc_gen_kratos._raw import CodeGeneratorRequest, FileDescriptorSet
from protoc_gen_kratos.generator import GeneratedFile, Result, generate
from protoc_gen_kratos.options import Options, ParameterError
from protoc_gen_kratos.problems import DefinitionError
from protoc_gen_kratos.schema import NEWEST_EDITION

__all__ = ["main", "respond"]


def main() -> int:
    """Answer one request; wrong definitions are part of the answer, for the compiler to print."""
    if sys.stdin.isatty():
        _say(
            "this is a plug-in: run protoc --kratos_out=DIR FILES, "
            "or install kratos-cli and run kratos proto FILES"
        )
        return 2
    try:
        response = respond(sys.stdin.buffer.read())
    except DecodeError as error:
        _say(f"the input is no CodeGeneratorRequest: {error}")
        return 2
    sys.stdout.buffer.write(response)
    sys.stdout.buffer.flush()
    return 0


def respond(request: bytes) -> bytes:
    """Return the serialized response to a serialized request; warnings go to standard error."""
    response = CodeGeneratorResponse(
        supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
        | CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS,
        minimum_edition=Edition.EDITION_PROTO2,
        maximum_edition=NEWEST_EDITION,
    )
    try:
        result, files = _generate(request)
    except (DefinitionError, ParameterError) as error:
        response.error = str(error)
        return response.SerializeToString()
    for warning in result.warnings:
        _say(f"warning: {warning.text()}")
    for file in files:
        response.file.add(name=file.path, content=file.content)
    return response.SerializeToString()


def _generate(request: bytes) -> tuple[Result, list[GeneratedFile]]:
    """Return what a run makes, and what of that the compiler shall write."""
    asked = CodeGeneratorRequest.FromString(request)
    options = Options.parse(asked.parameter)
    files = FileDescriptorSet(file=asked.proto_file)
    result = generate(files.SerializeToString(), asked.file_to_generate, options=options)
    return result, [*_unwritten(result, options)]


def _unwritten(result: Result, options: Options) -> Iterator[GeneratedFile]:
    """Yield the output, without tests that are there: compilers overwrite what they get."""
    folder = Path(options.tests)
    if options.tests and not folder.is_dir():
        raise ParameterError(
            f"tests is {options.tests!r}, which is no folder in {Path.cwd()}; make it, and name "
            "the one that the output goes into"
        )
    for file in result.files:
        if not options.tests or not (folder / file.path).exists():
            yield file


def _say(text: str) -> None:
    sys.stderr.write(f"protoc-gen-kratos: {text}\n")
