"""Conditions and answers of endpoints in words."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.wording import in_words

WORDS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"priority": -1}, ["priority -1"]),
    ({"match": [{"header": "a"}]}, ["header a is there"]),
    ({"match": [{"header": "a", "present": False}]}, ["header a is not there"]),
    ({"match": [{"query": "a", "invert": True}]}, ["query a is not there"]),
    ({"match": [{"cookie": "a", "prefix": "b"}]}, ["cookie a begins with 'b'"]),
    (
        {"match": [{"header": "a", "regex": "b", "invert": True}, {"scheme": "http"}]},
        ["not: header a fits 'b'", "scheme is http"],
    ),
    ({"match": [{"scheme": "http", "invert": True}]}, ["scheme is not http"]),
    ({"match": [{}]}, ["nothing"]),
    ({"match": [{"header": "x-api-key", "exact": "s3cr3t"}]}, ["header x-api-key is ***"]),
    (
        {"match": [{"header": "X-Origin-Verify", "prefix": "s"}]},
        ["header X-Origin-Verify begins with ***"],
    ),
    ({"percentage": 2.5, "sticky": {"cookie": "user"}}, ["2.5 % by cookie user"]),
    ({"redirect": {"https": True}}, ["redirects to https://…/…"]),
    ({"redirect": {"host": "b", "prefix": "/n/"}}, ["redirects to //b/n/…"]),
    ({"redirect": {"path": "/n"}}, ["redirects to /n"]),
    ({"respond": {"status": 410}}, ["answers 410"]),
]


@pytest.mark.parametrize(("told", "words"), WORDS)
def test_what_an_endpoint_asks_for_is_told_in_words(told: dict[str, Any], words: list[str]) -> None:
    assert in_words(ParseDict(told, Endpoint())) == words
