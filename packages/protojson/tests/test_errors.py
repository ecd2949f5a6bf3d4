"""Errors name the place by its JSON path, in words for whoever wrote the JSON."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kratos_protojson import JsonError, ParseOptions, Parser, Printer, PrintOptions


def parser(backend: Any, **options: Any) -> Parser:
    return Parser(ParseOptions(backend=backend, **options))


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ('{"order":{"lines":[{},{},{},{"price":"x"}]}}', "$.order.lines[3].price"),
        ('{"order":{"lines":[{},null]}}', "$.order.lines[1]"),
        ('{"order":{"lines":{}}}', "$.order.lines"),
        ('{"order":{"order_id":1.5}}', "$.order.order_id"),
        ('{"order":{"createdAt":"now"}}', "$.order.createdAt"),
        ('{"order":[]}', "$.order"),
        ("[]", "$"),
        ('"text"', "$"),
    ],
)
def test_error_names_the_json_path(proto: Any, backend: str, data: str, path: str) -> None:
    with pytest.raises(JsonError) as caught:
        parser(backend).from_json(data, proto.Envelope)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.problem}"
    assert caught.value.problem


def test_printing_names_the_json_path_too(proto: Any, backend: Any) -> None:
    printer = Printer(PrintOptions(backend=backend))
    message = proto.Everything()
    message.children.add()
    timestamps = message.children.add().well_known.timestamps
    timestamps.add()
    timestamps.add(nanos=-1)
    with pytest.raises(JsonError) as caught:
        printer.to_json(message)
    assert caught.value.path == "$.children[1].wellKnown.timestamps[1]"
    message = proto.WellKnown()
    message.struct.update({"a": [1, math.inf]})
    with pytest.raises(JsonError) as caught:
        printer.to_json(message)
    assert caught.value.path == "$.struct.a[1]"
