"""The document that is written beside the code is that of the code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from protoc_gen_kratos import Options, Result, generate

Generate = Callable[..., Result]
Write = Callable[[Result, Path], Path]
Python = Callable[..., str]

SHOP = """syntax = "proto3";
package shop.v1;
import "errors/errors.proto";
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
import "kratos/http.proto";
// Sells\ttea.
//
//   * green
service Shop {
  // Tells a price.
  //
  // Of "one" tea\\n.
  rpc Price(Tea) returns (Tea) {
    option (google.api.http) = {
      get: "/v1/teas/{name}"
      additional_bindings {post: "/v1/prices" body: "*"}
    };
    option (kratos.http).envelope = {};
  }
  rpc Watch(Tea) returns (stream Tea) {
    option deprecated = true;
    option (google.api.http) = {get: "/v1/teas"};
  }
  rpc Chat(stream Tea) returns (stream Tea);
}
service Store { rpc Put(Tea) returns (Tea); }
message Tea {
  // What it is called.
  string name = 1;
  google.protobuf.Timestamp picked = 2;
  int64 grams = 3;
}
enum Reason {
  REASON_UNSPECIFIED = 0;
  // There is none.
  SOLD_OUT = 1 [(errors.code) = 409];
}
"""
# What a user would do: import the code, and describe it.
DESCRIBE = """
import sys
from kratos_http.openapi import OpenApi
from kratos_http.openapi.document import describe
from kratos_http.openapi.publish import as_json
from api.shop.v1.shop_kratos import Shop
options = OpenApi(title="Shop", version="1.2", descriptors=open("{descriptors}", "rb").read())
sys.stdout.write(as_json(describe([Shop], options)).decode())
"""


def document(result: Result, name: str) -> str:
    (found,) = (file.content for file in result.files if file.path == name)
    return found


@pytest.fixture
def definitions(
    compiled: Callable[[Path, list[str]], bytes], tmp_path: Path
) -> tuple[bytes, list[str]]:
    (tmp_path / "shop/v1").mkdir(parents=True)
    (tmp_path / "shop/v1/shop.proto").write_text(SHOP)
    return compiled(tmp_path, ["shop/v1/shop.proto"]), ["shop/v1/shop.proto"]


def test_the_document_is_that_of_the_generated_code(
    definitions: tuple[bytes, list[str]], written: Write, python: Python, tmp_path: Path
) -> None:
    options = Options(openapi="openapi.json", openapi_title="Shop", openapi_version="1.2")
    result = generate(*definitions, options=options)
    written(result, tmp_path / "api")
    (tmp_path / "set").write_bytes(definitions[0])
    expected = python(DESCRIBE.format(descriptors=tmp_path / "set"), tmp_path)
    assert document(result, "openapi.json") == expected
    told: dict[str, Any] = json.loads(expected)
    assert told["info"] == {"title": "Shop", "version": "1.2"}
    assert [tag["name"] for tag in told["tags"]] == ["Shop"]
    assert told["paths"]["/v1/teas/{name}"]["get"]["summary"] == "Tells a price."
    assert told["components"]["schemas"]["shop.v1.Tea"]["properties"]["name"]["description"]


def test_the_name_of_the_file_says_whether_it_is_yaml(
    definitions: tuple[bytes, list[str]],
) -> None:
    as_json = generate(*definitions, options=Options(openapi="a/openapi.json"))
    as_yaml = generate(*definitions, options=Options(openapi="a/openapi.yaml"))
    text = document(as_yaml, "a/openapi.yaml")
    assert not text.startswith("{")
    assert yaml.safe_load(text) == json.loads(document(as_json, "a/openapi.json"))


def test_what_http_does_not_serve_is_an_empty_document(generated: Generate) -> None:
    text = 'syntax = "proto3"; message M {} service S { rpc Do(M) returns (M); }'
    told = json.loads(document(generated({"s.proto": text}, Options(openapi="a.json")), "a.json"))
    assert (told["paths"], told["tags"]) == ({}, [])
    served = Options(openapi="a.json", omit_empty=False)
    told = json.loads(document(generated({"s.proto": text}, served), "a.json"))
    assert list(told["paths"]) == ["/S/Do"]


def test_the_zoo_is_described_by_a_valid_document(zoo: tuple[bytes, list[str]]) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator, validate

    result = generate(*zoo, options=Options(openapi="openapi.json"))
    told: dict[str, Any] = json.loads(document(result, "openapi.json"))
    validate(told, cls=OpenAPIV31SpecValidator)
    assert "/v1/parcels" in told["paths"]
