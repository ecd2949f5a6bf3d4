"""The description of a server, and where it is served."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.type_pb2 import Field, Type
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from openapi_spec_validator import OpenAPIV31SpecValidator

from kratos.encoding import DEFAULT, Codecs
from kratos.encoding.json import JsonCodec, JsonOptions
from kratos.errors import ConfigError
from kratos.testing.echo import EchoService
from kratos.transport import AppInfo, Arity, HttpRule, Method, Mount, Service
from kratos.transport.http import Reply
from kratos.transport.rule import PathTemplate
from kratos_http import Encoders, Envelope, HttpServer, OpenApi
from kratos_http.openapi.document import Document, describe
from kratos_http.openapi.paths import document_path
from kratos_http.openapi.publish import as_yaml
from kratos_http.testing import OpenPeer


def unary(name: str, kind: Any, *rules: HttpRule, deprecated: bool = False) -> Method[Any, Any]:
    """Make a method as generated code has it, with one type for both directions."""
    return Method(
        operation=f"/test.v1.Types/{name}",
        name=name.lower(),
        arity=Arity.UNARY,
        request=kind,
        reply=kind,
        http=rules,
        deprecated=deprecated,
    )


def rule(verb: str, path: str, body: str = "", response_body: str = "") -> HttpRule:
    """Make a rule."""
    return HttpRule(verb=verb, path=path, body=body, response_body=response_body)


class Types(Service):
    """Knows types."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        unary("Put", Type, rule("PUT", "/types/{name}", "*"), rule("POST", "/types", "*")),
        unary("Get", Field, rule("GET", "/fields/{type_url}"), deprecated=True),
        unary("Part", Type, rule("POST", "/parts", "source_context", "source_context")),
        unary("Any", StringValue, rule("*", "/any/{value}")),
        unary("Odd", StringValue, rule("BREW", "/odd/{value}")),
        unary("Hidden", StringValue),
    )

    async def put(self, request: Any, /) -> Any:
        """Put a type.

        With all that belongs to it.
        """
        return request

    get = part = any = odd = hidden = put


class MyTypes(Types):
    """A class of a user's own, with words for colleagues."""

    async def put(self, request: Any, /) -> Any:
        """Not for callers."""
        return request


def document(*services: Any, codecs: Codecs = DEFAULT, **options: Any) -> Document:
    described = describe(services or (Types,), OpenApi(title="test", **options), codecs=codecs)
    OpenAPIV31SpecValidator(described).validate()
    return described


def schemas(options: JsonOptions) -> dict[str, Any]:
    codecs = DEFAULT.copy()
    codecs.register(JsonCodec(options=options))
    found: dict[str, Any] = document(codecs=codecs)["components"]["schemas"]
    return found


def texts(template: str) -> str:
    path = document_path(PathTemplate.parse(template))
    return path.text([variable.name for variable in path.variables])


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/", "/"),
        ("/v1/books", "/v1/books"),
        ("/v1/{id}", "/v1/{id}"),
        ("/v1/{book.name}:buy", "/v1/{book_name}:buy"),
        ("/v1/{name=shelves/*/books/*}", "/v1/shelves/{shelf}/books/{book}"),
        ("/v1/{name=boxes/*}/{box}", "/v1/boxes/{box2}/{box}"),
        ("/v1/{name=cities/*/classes/*}", "/v1/cities/{city}/classes/{class}"),
        ("/v1/{name=*/*}", "/v1/{v1}/{name}"),
        ("/v1/files/{path=**}", "/v1/files/{path}"),
        ("/v1/things/*/parts", "/v1/things/{thing}/parts"),
        ("/a%20b/{a_b}/{a.b}", "/a%20b/{a_b}/{a_b2}"),
    ],
)
def test_templates_become_paths_with_a_variable_for_each_wildcard(template: str, path: str) -> None:
    assert texts(template) == path


def test_paths_that_differ_in_names_alone_are_one_path() -> None:
    class Both(Types):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
            unary("Put", StringValue, rule("GET", "/v1/{value}")),
            unary("Get", Field, rule("DELETE", "/v1/{name}")),
        )

    paths = document(Both)["paths"]
    assert list(paths) == ["/v1/{value}"]
    (parameter, *_) = paths["/v1/{value}"]["delete"]["parameters"]
    assert (parameter["name"], parameter["description"]) == ("value", "The field name.")


def test_every_rule_is_an_operation_with_an_id_of_its_own() -> None:
    paths = document()["paths"]
    ids = {
        (verb, path): operation["operationId"]
        for path, item in paths.items()
        for verb, operation in item.items()
    }
    assert ids["put", "/types/{name}"] == "Types_Put"
    assert ids["post", "/types"] == "Types_Put2"
    assert {verb for verb, path in ids if path == "/any/{value}"} == {
        "get", "put", "post", "delete", "patch",
    }  # fmt: skip
    assert len(set(ids.values())) == len(ids)


def test_what_a_document_cannot_hold_is_named() -> None:
    (tag,) = document()["tags"]
    assert tag["description"] == (
        "Knows types.\n\nNot described here: Odd at BREW /odd/{value}, Hidden."
    )
    (tag,) = document(EchoService)["tags"]
    assert "Collect (client_stream), Chat (bidi_stream)" in tag["description"]


def test_server_streams_are_events() -> None:
    watch = document(EchoService)["paths"]["/kratos.testing/watch"]["post"]
    content = watch["responses"]["200"]["content"]
    assert content == {"text/event-stream": {"schema": {"type": "string"}}}


def test_comments_are_those_of_the_definition() -> None:
    operation = document(MyTypes())["paths"]["/types/{name}"]["put"]
    assert operation["summary"] == "Put a type."
    assert operation["description"] == "With all that belongs to it."
    assert "deprecated" not in operation
    assert document()["paths"]["/fields/{type_url}"]["get"]["deprecated"] is True


def test_services_of_one_name_are_told_apart() -> None:
    class Others(Types):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
            Method(
                operation="/test.v2.Types/Put",
                name="put",
                arity=Arity.UNARY,
                request=StringValue,
                reply=StringValue,
                http=(rule("GET", "/v2/{value}"),),
            ),
        )

    described = document(Types, Others)
    assert [tag["name"] for tag in described["tags"]] == ["test.v1.Types", "test.v2.Types"]
    assert described["paths"]["/v2/{value}"]["get"]["operationId"] == "test_v2_Types_Put"


def test_schemas_follow_the_options_of_the_codec() -> None:
    usual = schemas(JsonOptions())
    field = usual["google.protobuf.Field"]["properties"]
    assert field["typeUrl"] == {"type": "string"}
    assert usual["google.protobuf.Syntax"]["type"] == "string"
    assert usual["google.protobuf.Syntax"]["enum"][0] == "SYNTAX_PROTO2"
    context = {"$ref": "#/components/schemas/google.protobuf.SourceContext"}
    whole = usual["google.protobuf.Type"]["properties"]
    assert whole["sourceContext"] == {"anyOf": [context, {"type": "null"}]}

    other = schemas(JsonOptions(emit_unset=False, enum_numbers=True, proto_names=True))
    assert other["google.protobuf.Field"]["properties"]["type_url"] == {"type": "string"}
    assert other["google.protobuf.Type"]["properties"]["source_context"] == context
    syntax = other["google.protobuf.Syntax"]
    assert (syntax["type"], syntax["enum"]) == ("integer", [0, 1, 2])
    assert "- 1: SYNTAX_PROTO3" in syntax["description"]


@pytest.mark.parametrize(
    ("numbers", "kind"), [(False, "string"), (True, "integer")], ids=["text", "number"]
)
def test_64_bit_integers_have_one_type(numbers: bool, kind: str) -> None:
    class Counts(Types):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
            unary("Put", Timestamp, rule("POST", "/times/{seconds}", "*")),
            unary("Get", Int64Value, rule("GET", "/counts/{value}")),
        )

    codecs = DEFAULT.copy()
    codecs.register(JsonCodec(options=JsonOptions(int64_numbers=numbers)))
    paths = document(Counts, codecs=codecs)["paths"]
    (parameter,) = paths["/counts/{value}"]["get"]["parameters"]
    assert (parameter["schema"]["type"], parameter["schema"]["format"]) == (kind, "int64")
    body = paths["/times/{seconds}"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"type": "string", "format": "date-time"}


def test_query_holds_what_path_and_body_leave() -> None:
    class Parts(Types):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
            unary("Put", Type, rule("POST", "/types/{source_context.file_name}", "syntax")),
        )

    parameters = document(Parts)["paths"]["/types/{source_context_file_name}"]["post"]["parameters"]
    found = {one["name"]: one["schema"].get("type") for one in parameters if one["in"] == "query"}
    # Lists of messages have no form in a query.
    assert found == {"name": "string", "oneofs": "array", "edition": "string"}


def test_recursion_is_a_reference_and_ends_in_queries() -> None:
    class Trees(Types):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
            unary("Put", FileDescriptorProto, rule("GET", "/trees")),
        )

    described = document(Trees)
    nested = described["components"]["schemas"]["google.protobuf.DescriptorProto"]["properties"]
    assert nested["nestedType"]["items"] == {
        "$ref": "#/components/schemas/google.protobuf.DescriptorProto"
    }


def test_part_of_a_reply_may_be_null() -> None:
    operation = document()["paths"]["/parts"]["post"]
    context = {"$ref": "#/components/schemas/google.protobuf.SourceContext"}
    assert operation["requestBody"]["content"]["application/json"]["schema"] == context
    reply = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert reply == {"anyOf": [context, {"type": "null"}]}


def test_json_types_are_themselves() -> None:
    class Trees(Types):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
            unary("Put", Struct, rule("POST", "/structs", "*")),
            unary("Get", Value, rule("POST", "/values", "*")),
        )

    paths = document(Trees)["paths"]
    kinds = [
        paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for path in ("/structs", "/values")
    ]
    assert kinds == [{"type": "object", "additionalProperties": True}, {}]


def test_errors_have_the_form_of_the_wire() -> None:
    described = document()
    assert described["paths"]["/types"]["post"]["responses"]["default"] == {
        "$ref": "#/components/responses/Error"
    }
    status = described["components"]["schemas"]["errors.Status"]
    assert list(status["properties"]) == ["code", "reason", "message", "metadata", "details"]


def test_encoders_of_a_servers_own_are_anything_unless_they_are_described() -> None:
    def wrap(schema: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "properties": {"data": schema}}

    error = {"type": "object", "properties": {"code": {"type": "integer"}}}
    for options, reply, failure in (
        (OpenApi(), {}, {}),
        (
            OpenApi(reply_schema=wrap, error_schema=error),
            {"schema": wrap({"$ref": "#/components/schemas/google.protobuf.Type"})},
            {"schema": error},
        ),
    ):
        server = HttpServer(
            reply_encoder=lambda _call, _message, _accept: Reply(200),
            error_encoder=lambda _error, _accept: Reply(500),
            openapi=options,
        )
        described = server.describe(Mount(services=[Types()]), options)
        content = described["paths"]["/types"]["post"]["responses"]["200"]["content"]
        assert content == {"application/json": reply}
        errors = described["components"]["responses"]["Error"]["content"]
        assert errors == {"application/json": failure}


def test_encoders_given_by_name_are_described_where_they_are() -> None:
    def own(_call: Any, _message: Any, _accept: str) -> Reply:
        return Reply(200)

    envelope = Envelope(data_key="result", reason_key="")
    server = HttpServer(
        reply_encoder=own,
        error_encoder=lambda _error, _accept: Reply(500),
        encoders={
            "/test.v1.Types/Put": envelope.encoders,
            "/test.v1.Types/Get": Encoders(),
            "/test.v1.Types/Part": Encoders(reply=own, error_schema={"type": "string"}),
        },
    )
    described = server.describe(Mount(services=[Types()]), OpenApi(title="test"))
    OpenAPIV31SpecValidator(described).validate()

    def content(path: str, verb: str, status: str) -> Any:
        found = described["paths"][path][verb]["responses"][status]
        if "$ref" in found:
            found = described["components"]["responses"][found["$ref"].rpartition("/")[2]]
        return found["content"]["application/json"]

    wrapped = content("/types", "post", "200")["schema"]
    assert wrapped["required"] == ["code", "message", "result"]
    assert wrapped["properties"]["result"] == {"$ref": "#/components/schemas/google.protobuf.Type"}
    failed = content("/types", "post", "default")["schema"]
    assert failed["properties"]["result"] == {"type": "null"}
    usual = {"schema": {"$ref": "#/components/schemas/google.protobuf.Field"}}
    assert content("/fields/{type_url}", "get", "200") == usual
    status = {"schema": {"$ref": "#/components/schemas/errors.Status"}}
    assert content("/fields/{type_url}", "get", "default") == status
    assert content("/parts", "post", "200") == {}
    assert content("/any/{value}", "get", "200") == {}
    assert content("/any/{value}", "get", "default") == {}


async def test_answers_in_an_envelope_fit_what_is_described(open_peer: OpenPeer) -> None:
    envelope = Envelope(success=7)
    server = HttpServer("127.0.0.1:0", encoders={"/test.v1.Types/": envelope.encoders})
    mount = Mount(services=[Types()])
    described = server.describe(mount, OpenApi())
    server.mount(mount)
    schema = described["paths"]["/types"]["post"]["responses"]["200"]["content"]
    properties = schema["application/json"]["schema"]["properties"]
    async with open_peer(server) as peer:
        headers = [("Content-Type", "application/json")]
        answer = await peer.request("POST", "/types", headers=headers, body=b"{}")
    assert set(answer.json()) == set(properties)
    assert answer.json()["code"] == properties["code"]["const"] == 7


def test_comments_come_from_a_descriptor_set() -> None:
    file = FileDescriptorProto.FromString(Type.DESCRIPTOR.file.serialized_pb)
    for path, comment in (
        ((file.MESSAGE_TYPE_FIELD_NUMBER, 0), " A type.\n"),
        ((file.MESSAGE_TYPE_FIELD_NUMBER, 0, 2, 0), " Its\n name.\n"),
        ((file.ENUM_TYPE_FIELD_NUMBER, 0, 2, 1), " The third.\n"),
    ):
        file.source_code_info.location.add(path=path, leading_comments=comment)
    descriptors = FileDescriptorSet(file=[file]).SerializeToString()
    found = document(descriptors=descriptors)["components"]["schemas"]
    assert found["google.protobuf.Type"]["description"] == "A type."
    assert found["google.protobuf.Type"]["properties"]["name"]["description"] == "Its\nname."
    assert found["google.protobuf.Syntax"]["description"] == "- SYNTAX_PROTO3: The third."


def test_descriptors_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="--include_source_info"):
        document(descriptors=b"\xff\xff")


@pytest.mark.parametrize(
    "options",
    [
        {"path": "openapi.json"},
        {"path": "/openapi"},
        {"path": ""},
        {"page": "/docs/"},
        {"page": "docs"},
    ],
    ids=str,
)
def test_paths_that_are_none_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="OpenApi"):
        OpenApi(**options)  # type: ignore[arg-type]


def described_server(**options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount(Mount(services=[EchoService()], info=AppInfo(id="1", name="echo", version="2")))
    return server


async def test_nothing_is_described_unless_it_is_asked_for(open_peer: OpenPeer) -> None:
    async with open_peer(described_server()) as peer:
        for path in ("/openapi.json", "/openapi.yaml", "/docs", "/q", "/q/swagger-ui"):
            assert (await peer.request("GET", path)).status == 404


async def test_document_is_served_as_json_and_yaml(open_peer: OpenPeer) -> None:
    async with open_peer(described_server(openapi=OpenApi())) as peer:
        answer = await peer.request("GET", "/openapi.json")
        assert answer.header("content-type") == "application/json"
        assert answer.json()["info"] == {"title": "echo", "version": "2"}
        text = await peer.request("GET", "/openapi.yaml")
        assert text.body == as_yaml(answer.json())


async def test_known_document_is_not_sent_again(open_peer: OpenPeer) -> None:
    async with open_peer(described_server(openapi=OpenApi())) as peer:
        tag = (await peer.request("GET", "/openapi.json")).header("etag")
        known = [("If-None-Match", f'"other", W/{tag}')]
        answer = await peer.request("GET", "/openapi.json", headers=known)
        assert (answer.status, answer.body, answer.header("etag")) == (304, b"", tag)
        other = await peer.request("GET", "/openapi.json", headers=[("If-None-Match", '"other"')])
        assert other.status == 200


async def test_page_asks_no_other_host(open_peer: OpenPeer) -> None:
    server = described_server(openapi=OpenApi(title='<"&>', page="/tools/docs"))
    async with open_peer(server) as peer:
        page = await peer.request("GET", "/tools/docs")
        policy = page.header("content-security-policy")
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "http" not in policy
        assert b"<title>&lt;&quot;&amp;&gt;</title>" in page.body
        assert b'data-document="../openapi.json"' in page.body
        for name in ("page.css", "page.js"):
            assert f'"docs/{name}"'.encode() in page.body
            assert (await peer.request("GET", f"/tools/docs/{name}")).status == 200


async def test_paths_of_go_lead_to_ours_under_a_prefix_too(open_peer: OpenPeer) -> None:
    server = described_server(openapi=OpenApi(), path_prefix="/api")
    async with open_peer(server) as peer:
        for path, location in (
            ("/api/q/openapi.yaml", "../openapi.yaml"),
            ("/api/q/swagger-ui", "../docs"),
            ("/api/q", "./docs"),
        ):
            answer = await peer.request("GET", path)
            assert (answer.status, answer.header("location")) == (302, location)
        described = (await peer.request("GET", "/api/openapi.json")).json()
        assert described["servers"] == [{"url": "/api"}]


async def test_document_without_page_or_go_paths(open_peer: OpenPeer) -> None:
    async with open_peer(described_server(openapi=OpenApi(page="", go_paths=False))) as peer:
        assert (await peer.request("GET", "/openapi.json")).status == 200
        assert (await peer.request("GET", "/docs")).status == 404
        assert (await peer.request("GET", "/q")).status == 404


def test_yaml_is_the_same_document() -> None:
    import yaml

    described = document()
    assert yaml.safe_load(as_yaml(described)) == json.loads(json.dumps(described))
    assert b"&id" not in as_yaml(described)


def test_rule_that_names_no_field_is_refused() -> None:
    class Wrong(Types):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
            unary("Put", StringValue, rule("POST", "/wrong", "nothing")),
        )

    with pytest.raises(ConfigError, match="nothing"):
        document(Wrong)
