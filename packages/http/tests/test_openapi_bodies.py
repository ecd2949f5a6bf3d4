"""What a document says of bodies that are no JSON of a message, and of options."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from google.protobuf.type_pb2 import Field
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from openapi_spec_validator import OpenAPIV31SpecValidator

from kratos.transport import (
    Arity,
    HttpEnvelope,
    HttpMultipart,
    HttpOptions,
    HttpRule,
    Method,
    Service,
)
from kratos_http import OpenApi
from kratos_http.openapi.document import describe

# By name: these modules ship without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody

BINARY = {"type": "string", "format": "binary"}
NAMES = HttpEnvelope(success=200, code_key="status", reason_key="")


def method(
    name: str, request: Any, reply: Any, arity: Arity, rule: HttpRule, **options: Any
) -> Method[Any, Any]:
    return Method(
        operation=f"/test.v1.Files/{name}",
        name=name.lower(),
        arity=arity,
        request=request,
        reply=reply,
        http=(rule,),
        http_options=HttpOptions(**options),
    )


def post(path: str, body: str = "*", response_body: str = "") -> HttpRule:
    return HttpRule(verb="POST", path=path, body=body, response_body=response_body)


class Files(Service):
    """Knows files."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        method("Read", StringValue, HttpBody, Arity.SERVER_STREAM, post("/read")),
        method("Write", HttpBody, StringValue, Arity.CLIENT_STREAM, post("/write")),
        method(
            "Put",
            BytesValue,
            StringValue,
            Arity.CLIENT_STREAM,
            post("/put", "value"),
            multipart=HttpMultipart(),
        ),
        method("Talk", StringValue, StringValue, Arity.BIDI_STREAM, post("/talk")),
        method(
            "Fill",
            Field,
            Field,
            Arity.UNARY,
            post("/fill"),
            multipart=HttpMultipart(filename="type_url"),
            timeout=2.5,
            max_body=1000,
        ),
        method("Wrap", Field, Field, Arity.UNARY, post("/wrap"), envelope=HttpEnvelope()),
        method(
            "Part",
            Field,
            Field,
            Arity.UNARY,
            post("/part", response_body="options"),
            envelope=NAMES,
        ),
    )


def document() -> dict[str, Any]:
    described = describe([Files], OpenApi(title="test"))
    OpenAPIV31SpecValidator(described).validate()
    return described


def operation(path: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][path]["post"]
    return found


def reply(path: str) -> dict[str, Any]:
    found: dict[str, Any] = operation(path)["responses"]["200"]["content"]
    return found


def test_download_is_of_any_type() -> None:
    assert reply("/read") == {"*/*": {"schema": BINARY}}


def test_upload_is_of_any_type() -> None:
    assert operation("/write")["requestBody"]["content"] == {"*/*": {"schema": BINARY}}


def test_upload_that_is_a_form_has_its_file() -> None:
    content = operation("/put")["requestBody"]["content"]
    assert content == {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"value": BINARY}},
            "encoding": {"value": {"contentType": "application/octet-stream"}},
        }
    }


def test_other_streams_of_requests_are_left_out() -> None:
    described = document()
    assert "/talk" not in described["paths"]
    assert described["tags"][0]["description"].endswith("Not described here: Talk (bidi_stream).")


def test_form_has_a_part_for_each_field_but_the_name_of_the_file() -> None:
    content = operation("/fill")["requestBody"]["content"]
    assert list(content) == ["multipart/form-data", "application/json"]
    form = content["multipart/form-data"]
    properties = form["schema"]["properties"]
    assert "typeUrl" not in properties
    assert properties["number"]["type"] == "integer"
    assert properties["options"]["type"] == "array"
    assert form["encoding"] == {"options": {"contentType": "application/json"}}


def test_limits_of_an_operation_are_extensions() -> None:
    found = operation("/fill")
    assert (found["x-kratos-timeout"], found["x-kratos-max-body"]) == (2.5, 1000)


def test_reply_in_an_envelope_is_its_data() -> None:
    schema = reply("/wrap")["application/json"]["schema"]
    assert schema["properties"] == {
        "code": {"type": "integer", "const": 0},
        "message": {"type": "string"},
        "data": {"$ref": "#/components/schemas/google.protobuf.Field"},
        "reason": {"type": "string"},
    }
    assert schema["required"] == ["code", "data", "message", "reason"]


def test_field_in_an_envelope_is_its_data_under_other_names() -> None:
    properties = reply("/part")["application/json"]["schema"]["properties"]
    assert list(properties) == ["status", "message", "data"]
    assert properties["data"]["type"] == "array"


def test_errors_of_an_envelope_are_in_it() -> None:
    described = document()
    names = {
        path: described["paths"][path]["post"]["responses"]["default"]["$ref"].rpartition("/")[2]
        for path in ("/wrap", "/part", "/fill")
    }
    assert names == {"/wrap": "Error.Envelope", "/part": "Error.Envelope2", "/fill": "Error"}
    answers = described["components"]["responses"]
    schema = answers["Error.Envelope2"]["content"]["application/json"]["schema"]
    assert list(schema["properties"]) == ["status", "message", "data", "metadata", "details"]
    assert schema["properties"]["data"] == {"type": "null"}
