"""Names in Go; tests with Go itself are in tests/interop/msgpack."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto

from kratos_msgpack.names import camel_case, go_names


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("name", "Name"),
        ("user_id", "UserId"),
        ("userId", "UserId"),
        ("ABc", "ABc"),
        ("a_B", "A_B"),
        ("a1b2_c3", "A1B2C3"),
        ("a_1", "A_1"),
        ("double__inside", "Double_Inside"),
        ("trailing_", "Trailing_"),
        ("_leading", "XLeading"),
        ("__twice", "XTwice"),
        ("_1", "X1"),
        ("_", "X"),
    ],
)
def test_name_is_that_of_go(name: str, made: str) -> None:
    assert camel_case(name) == made


def test_every_field_has_a_name_of_its_own() -> None:
    names = go_names(DescriptorProto.DESCRIPTOR)

    assert names["enum_type"] == "EnumType"
    assert len(set(names.values())) == len(DescriptorProto.DESCRIPTOR.fields)
