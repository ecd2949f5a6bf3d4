"""A text in YAML becomes the message that Go's gateway would make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.api.circuitbreaker_pb2 import BackupService, CircuitBreaker, SuccessRatio
from kratos_gateway.api.cors_pb2 import Cors
from kratos_gateway.api.rewrite_pb2 import Rewrite
from kratos_gateway.api.tracing_pb2 import Tracing
from kratos_gateway.config import parse, parse_priority, problems, read
from kratos_gateway.config.load import misread


def middleware(name: str, options: Message | None) -> pb.Middleware:
    made = pb.Middleware(name=name)
    if options is not None:
        made.options.Pack(options)
    return made


def breaker() -> CircuitBreaker:
    backup = pb.Endpoint(backends=[pb.Backend(target="127.0.0.1:8001")])
    return CircuitBreaker(
        success_ratio=SuccessRatio(success=0.6, request=1, bucket=10, window=Duration(seconds=3)),
        backup_service=BackupService(endpoint=backup),
        assert_condtions=[pb.Condition(by_status_code="200")],
    )


def test_sample_of_go_is_read_as_the_exact_message(sample: str) -> None:
    cors = Cors(
        allow_credentials=True,
        allow_origins=[".google.com"],
        allow_methods=["GET", "POST", "OPTIONS"],
    )
    plain = pb.Endpoint(
        path="/helloworld/*",
        protocol=pb.HTTP,
        host="localhost",
        timeout=Duration(seconds=1),
        backends=[pb.Backend(target="127.0.0.1:8000")],
        middlewares=[middleware("circuitbreaker", breaker()), middleware("rewrite", Rewrite())],
    )
    again = [
        pb.Condition(by_status_code="502-504"),
        pb.Condition(by_header=pb.Condition.header(name="Grpc-Status", value="14")),
    ]
    retry = pb.Retry(attempts=3, per_try_timeout=Duration(nanos=100_000_000), conditions=again)
    greeter = pb.Endpoint(
        path="/helloworld.v1.Greeter/*",
        method="POST",
        protocol=pb.GRPC,
        timeout=Duration(seconds=1),
        backends=[pb.Backend(target="127.0.0.1:9000")],
        retry=retry,
    )
    assert parse(sample) == pb.Gateway(
        name="helloworld",
        version="v1",
        middlewares=[
            middleware("tracing", Tracing(http_endpoint="localhost:4318")),
            middleware("logging", None),
            middleware("transcoder", None),
            middleware("cors", cors),
        ],
        endpoints=[plain, greeter],
    )


def test_a_deprecated_list_of_hosts_and_other_spellings_are_read_as_by_go() -> None:
    text = """
        name: helloworld
        hosts: [localhost, 127.0.0.1]
        middlewares:
          - name: tracing
            options:
              '@type': type.googleapis.com/gateway.middleware.tracing.v1.Tracing
              http_endpoint: localhost:4318
        endpoints:
          - path: /helloworld.Greeter/*
            method: POST
            protocol: GRPC
            timeout: 1s
            backends: [{target: '127.0.0.1:9000'}]
            retry:
              attempts: "3"
              perTryTimeout: 0.5s
              conditions:
                - byStatusCode: '502-504'
                - byHeader: {name: Grpc-Status, value: '14'}
    """
    again = [
        pb.Condition(by_status_code="502-504"),
        pb.Condition(by_header=pb.Condition.header(name="Grpc-Status", value="14")),
    ]
    endpoint = pb.Endpoint(
        path="/helloworld.Greeter/*",
        method="POST",
        protocol=pb.GRPC,
        timeout=Duration(seconds=1),
        backends=[pb.Backend(target="127.0.0.1:9000")],
        retry=pb.Retry(attempts=3, per_try_timeout=Duration(nanos=500_000_000), conditions=again),
    )
    assert parse(text) == pb.Gateway(
        name="helloworld",
        hosts=["localhost", "127.0.0.1"],
        middlewares=[middleware("tracing", Tracing(http_endpoint="localhost:4318"))],
        endpoints=[endpoint],
    )


def test_sample_of_go_has_nothing_that_is_left_out(sample: str) -> None:
    assert read(sample, pb.Gateway, name="sample.yaml").oddities == ()


def test_both_styles_of_names_are_read() -> None:
    camel = parse("endpoints: [{backends: [{target: 'a:1', tlsConfigName: x}]}]")
    snake = parse("endpoints: [{backends: [{target: 'a:1', tls_config_name: x}]}]")
    assert camel == snake
    assert camel.endpoints[0].backends[0].tls_config_name == "x"


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "null"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^gw.yaml: it is empty: write endpoints, or \{\} for"):
        parse(text, name="gw.yaml")
    with pytest.raises(ConfigError, match=r"^p.yaml: it is empty"):
        parse_priority(text, name="p.yaml")


@pytest.mark.parametrize("text", ["{}", "endpoints:\n", "endpoints: []"])
def test_a_configuration_of_nothing_may_be_written(text: str) -> None:
    assert parse(text) == pb.Gateway()
    assert parse_priority(text, name="p.yaml") == pb.PriorityConfig()


def test_json_is_read_too() -> None:
    assert parse('{"name": "shop", "endpoints": [{"path": "/"}]}').endpoints[0].path == "/"


def test_escapes_of_json_are_read_as_json_has_them() -> None:
    assert parse(r'{"name": "\ud83d\ude42"}').name == "\N{SLIGHTLY SMILING FACE}"


def test_braces_of_yaml_are_read_too() -> None:
    assert parse("{name: shop}  # no JSON").name == "shop"


def test_enums_are_read_by_name_and_by_number() -> None:
    found = parse("endpoints: [{protocol: GRPC}, {protocol: 2}]").endpoints
    assert [endpoint.protocol for endpoint in found] == [pb.GRPC, pb.GRPC]


def test_unknown_keys_are_left_out_and_told() -> None:
    text = "endpoints: [{path: /, retry: {attemps: 2}}]\nnonsense: 1"
    parsed = read(text, pb.Gateway, name="config.yaml")
    assert parsed.message == pb.Gateway(endpoints=[pb.Endpoint(path="/", retry=pb.Retry())])
    first, second = parsed.oddities
    assert first.place == "endpoints[0].retry.attemps"
    assert "did you mean 'attempts'?" in first.text
    assert second.place == "nonsense"


def test_unknown_keys_within_options_and_maps_are_told() -> None:
    text = """
tlsStore: {inner: {serverNam: x}}
middlewares:
  - name: cors
    options: {'@type': type.googleapis.com/gateway.middleware.cors.v1.Cors, maxAg: 1s}
"""
    places = [each.place for each in read(text, pb.Gateway, name="config.yaml").oddities]
    assert places == ["tlsStore.inner.serverNam", "middlewares[0].options.maxAg"]


def test_a_name_that_an_enum_has_not_is_told() -> None:
    (oddity,) = read("endpoints: [{protocol: GRCP}]", pb.Gateway, name="config.yaml").oddities
    assert oddity.place == "endpoints[0].protocol"
    assert "did you mean 'GRPC'?" in oddity.text


@pytest.mark.parametrize("word", ["grpc", "Grpc", "http"])
def test_a_name_of_an_enum_in_lower_case_is_told_how_it_is_written(word: str) -> None:
    (oddity,) = read(f"endpoints: [{{protocol: {word}}}]", pb.Gateway, name="x.yaml").oddities
    assert oddity.text.endswith(f"so it says nothing; did you mean '{word.upper()}'?")


def test_variables_of_the_environment_are_put_in() -> None:
    text = """
name: ${NAME}-gateway
endpoints:
  - path: ${PREFIX:/api}/*
    retry: {attempts: "${ATTEMPTS:3}"}
    backends: [{target: "${HOST:127.0.0.1}:${PORT}", tls: "${TLS:true}"}]
"""
    found = parse(text, environ={"NAME": "shop", "PORT": "80"})
    endpoint = found.endpoints[0]
    assert found.name == "shop-gateway"
    assert endpoint.path == "/api/*"
    assert endpoint.retry.attempts == 3
    assert endpoint.backends[0] == pb.Backend(target="127.0.0.1:80", tls=True)


def test_what_a_variable_holds_is_never_read_as_more_than_text() -> None:
    assert parse("name: ${X}", environ={"X": "a\nversion: b"}) == pb.Gateway(name="a\nversion: b")


def test_a_doubled_dollar_stands_for_one() -> None:
    assert parse("name: $${X} $5", environ={}).name == "${X} $5"


def test_a_missing_variable_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"^gw.yaml: endpoints\[0\]\.path: .* no PATH_OF_IT: set"):
        parse("endpoints: [{path: '${PATH_OF_IT}'}]", name="gw.yaml", environ={})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("endpoints: [{timeout: soon}]", r"gw.yaml: endpoints\[0\]\.timeout: "),
        ("endpoints: [{retry: {attempts: -1}}]", r"gw.yaml: endpoints\[0\]\.retry\.attempts: "),
        ("endpoints: [{tls: 1", r"gw.yaml: line 2, column "),
        ("- endpoints", "gw.yaml: it is a list"),
        ("endpoints", "gw.yaml: it is the single value 'endpoints'"),
        ("name: [a]", "gw.yaml: name: "),
        ("middlewares: [{options: {}}]", r"gw.yaml: middlewares\[0\]\.options: it lacks the type"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{told}"):
        parse(text, name="gw.yaml")


def test_options_of_a_type_that_nothing_brings_are_refused_with_their_place() -> None:
    options = "options: {'@type': type.googleapis.com/stranger.v1.Options}"
    with pytest.raises(ConfigError, match=r"middlewares\[0\]\.options: no message 'stranger.v1"):
        parse(f"middlewares: [{{name: x, {options}}}]")


def test_priority_configuration_is_read_likewise() -> None:
    found = parse_priority(
        "name: p\nendpoints: [{path: '${P}'}]", name="p.yaml", environ={"P": "/x"}
    )
    assert found == pb.PriorityConfig(name="p", endpoints=[pb.Endpoint(path="/x")])


NAMES = st.sampled_from(
    [
        "@type", "endpoints", "middlewares", "options", "tls_store", "retry", "conditions",
        "byHeader", "by_status_code", "backends", "timeout", "metadata", "required", "protocol",
        "weight", "value", "name", "successRatio", "backupService", "endpoint", "odd",
    ]
)  # fmt: skip
CORS = "type.googleapis.com/gateway.middleware.cors.v1.Cors"
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1s", "yes", "${X}", "${Y:1}", "$${", "GRPC", CORS, f"{CORS}s", "a/b"])
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)


def told(text: str) -> str:
    """Return why a text is refused, or what is wrong with what it says."""
    try:
        parsed = read(text, pb.Gateway, name="x.yaml", environ={"X": "text"})
    except ConfigError as error:
        return str(error)
    found = problems(parsed.message, oddities=parsed.oddities, middleware=["cors"])
    return "\n".join([f"x.yaml: {parsed.message.name}", *map(str, found)])


@pytest.mark.parametrize(
    "key", ["a", "a.b", "a]", 'a"b', "a[0].b", 'a"]["b', 'a"][0]', "x" * 300, ""]
)
def test_any_key_may_be_of_what_is_wrong(key: str) -> None:
    found = misread(json.dumps({"tlsStore": {key: {"key": 1}}, "hosts": [1]}), pb.Gateway)
    assert {each.text for each in found.faults} == {
        'expected a string, got 1: write it in quotes, "1"'
    }


@given(tree=st.dictionaries(NAMES, TREES, max_size=5))
def test_all_that_is_wrong_is_told_of_what_is_refused_and_nothing_else(
    tree: dict[str, Any],
) -> None:
    text, environ = json.dumps(tree), {"X": "text"}
    faults = [str(each.text) for each in misread(text, pb.Gateway, environ=environ).faults]
    refusal = ""
    try:
        read(text, pb.Gateway, name="x.yaml", environ=environ)
    except ConfigError as error:
        refusal = str(error)
    assert any(fault in refusal for fault in faults) == bool(refusal)


@given(tree=st.dictionaries(NAMES, TREES, max_size=5))
def test_whatever_is_written_is_read_and_checked_or_refused(tree: dict[str, Any]) -> None:
    assert told(json.dumps(tree)).startswith("x.yaml: ")


@given(text=st.text(max_size=40) | st.text("{}[]:,-&*!|>#'\"\n a", max_size=40))
def test_whatever_text_is_read_and_checked_or_refused(text: str) -> None:
    assert told(text).startswith("x.yaml: ")
