"""Descriptor sets that do not link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DESCRIPTOR,
    Edition,
    FileDescriptorProto,
    FileDescriptorSet,
)

from protoc_gen_kratos import DefinitionError, generate


def refusal(*files: FileDescriptorProto) -> str:
    with pytest.raises(DefinitionError) as error:
        generate(FileDescriptorSet(file=files).SerializeToString(), [files[0].name])
    return str(error.value)


def test_an_import_that_is_missing_is_named() -> None:
    file = FileDescriptorProto(name="a.proto", dependency=["b.proto"])
    assert refusal(file) == "a.proto: its import b.proto is not in the descriptor set"


def test_a_cycle_of_imports_is_refused() -> None:
    one = FileDescriptorProto(name="a.proto", dependency=["b.proto"])
    other = FileDescriptorProto(name="b.proto", dependency=["a.proto"])
    assert "protobuf cannot link it" in refusal(one, other)


def test_a_type_that_is_missing_is_refused() -> None:
    file = FileDescriptorProto(name="a.proto", syntax="proto3")
    file.message_type.add(name="M").field.add(
        name="f", number=1, type=11, label=1, type_name=".Nope"
    )
    assert refusal(file).startswith("a.proto: protobuf cannot link it: ")


def test_a_target_that_is_missing_is_named() -> None:
    with pytest.raises(DefinitionError, match=r"b\.proto: it is not in the descriptor set"):
        generate(b"", ["b.proto"])


def test_editions_that_old_runtimes_cannot_load_are_refused() -> None:
    file = FileDescriptorProto(name="a.proto", syntax="editions", edition=Edition.EDITION_2024)
    assert refusal(file).startswith("a.proto: its edition is newer than 2023")


def test_two_definitions_cannot_have_one_module(
    compiled: Callable[[Path, list[str]], bytes], tmp_path: Path
) -> None:
    names = ["a-b.proto", "a_b.proto"]
    for name in names:
        (tmp_path / name).write_text('syntax = "proto3";')
    with pytest.raises(DefinitionError, match=r"its module would be that of a-b\.proto too"):
        generate(compiled(tmp_path, names), names)


def test_imports_may_come_in_any_order() -> None:
    user = FileDescriptorProto(name="a.proto", syntax="proto3", dependency=["b.proto"])
    user.message_type.add(name="M").field.add(name="f", number=1, type=11, label=1, type_name=".N")
    used = FileDescriptorProto(name="b.proto", syntax="proto3")
    used.message_type.add(name="N")
    descriptors = FileDescriptorSet(file=[user, used]).SerializeToString()
    paths = [file.path for file in generate(descriptors, ["a.proto", "b.proto"]).files]
    assert paths == ["a_pb2.py", "a_pb2.pyi", "b_pb2.py", "b_pb2.pyi"]


@pytest.mark.parametrize("body", ["message DESCRIPTOR {}", "message M { enum __e { A = 0; } }"])
def test_names_that_python_has_other_uses_for_are_refused(
    generated: Callable[..., object], body: str
) -> None:
    with pytest.raises(DefinitionError, match=r"a\.proto:2: \w+ cannot be a name in Python"):
        generated({"a.proto": f'syntax = "proto3";\n{body}'})


def test_option_that_is_something_else_than_its_name_says_is_refused() -> None:
    options = FileDescriptorProto(
        name="google/api/annotations.proto",
        package="google.api",
        dependency=["google/protobuf/descriptor.proto"],
    )
    options.extension.add(
        name="http", number=72295728, label=1, type=9, extendee=".google.protobuf.MethodOptions"
    )
    standard = FileDescriptorProto.FromString(DESCRIPTOR.serialized_pb)
    assert refusal(options, standard) == (
        "google/api/annotations.proto: it defines google.api.http as something else than "
        "google.api.HttpRule; take the original"
    )
