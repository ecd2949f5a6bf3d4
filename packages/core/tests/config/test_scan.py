from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FieldOptions
from google.protobuf.duration_pb2 import Duration
from google.protobuf.type_pb2 import Field, Type
from pydantic import BaseModel, create_model
from pydantic import Field as ModelField

from kratos.config import Config, EnvSource, MemorySource, Secret, Snapshot
from kratos.config.scan import scan
from kratos.errors import ConfigError


class Mode(Enum):
    FAST = "fast"
    SAFE = 2


@dataclass(frozen=True, kw_only=True)
class Http:
    addr: str
    timeout: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Everything:
    on: bool
    port: int
    rate: float
    name: str
    password: Secret
    root: Path
    key: bytes
    day: date
    at: datetime
    clock: time
    mode: Mode
    level: Literal["low", "high", 3]
    http: Http
    hosts: list[str]
    pair: tuple[str, int]
    more: tuple[int, ...]
    tags: frozenset[str]
    sequence: Sequence[int]
    limits: dict[str, float]
    named: Mapping[str, Http]
    maybe: int | None
    either: int | str
    noted: Annotated[int, "a note"]
    anything: Any
    classes: list[Http] = field(metadata={"key": "class"})
    rest: str = "default"


TREE: dict[str, Any] = {
    "on": "true",
    "port": "8080",
    "rate": 1,
    "name": 7,
    "password": "hunter2",
    "root": "/srv",
    "key": "text",
    "day": "2026-01-31",
    "at": "2026-01-31T12:00:00Z",
    "clock": "12:30:00",
    "mode": "fast",
    "level": "3",
    "http": {"addr": ":80", "timeout": "1m30s"},
    "hosts": ["a", "b"],
    "pair": ["a", "1"],
    "more": ["1", 2],
    "tags": ["x", "x"],
    "sequence": [1],
    "limits": {"a": "0.5"},
    "named": {"x": {"addr": "x", "timeout": 2}},
    "maybe": None,
    "either": "text",
    "noted": 5,
    "anything": {"a": [1, {"b": None}]},
    "class": [{"addr": "c"}],
    "unknown": 1,
}


def test_dataclass_is_read_with_all_types_of_fields() -> None:
    assert scan(Snapshot(TREE), Everything) == Everything(
        on=True,
        port=8080,
        rate=1.0,
        name="7",
        password=Secret("hunter2"),
        root=Path("/srv"),
        key=b"text",
        day=date(2026, 1, 31),
        at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        clock=time(12, 30),
        mode=Mode.FAST,
        level=3,
        http=Http(addr=":80", timeout=timedelta(seconds=90)),
        hosts=["a", "b"],
        pair=("a", 1),
        more=(1, 2),
        tags=frozenset({"x"}),
        sequence=(1,),
        limits={"a": 0.5},
        named={"x": Http(addr="x", timeout=timedelta(seconds=2))},
        maybe=None,
        either="text",
        noted=5,
        anything={"a": [1, {"b": None}]},
        classes=[Http(addr="c")],
    )


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("on", "yes", "'on' must be a boolean; this text is not"),
        ("port", 1.5, "'port' must be a whole number; this number is not"),
        ("port", True, "'port' must be a whole number; this boolean is not"),
        ("port", None, "'port' must be a whole number; null is not"),
        ("name", ["x"], "'name' must be a text; this list is not"),
        ("password", {}, "'password' must be a text; this mapping is not"),
        ("day", "31.1.2026", "'day' must be a date such as 2026-01-31; this text is not"),
        ("mode", "slow", "'mode' must be one of FAST, SAFE"),
        ("level", "mid", "'level' must be one of low, high, 3"),
        ("http", ":80", "'http' must be a mapping; this text is not"),
        ("http", {}, "'http.addr' is missing; Http needs it"),
        ("http", {"addr": "", "timeout": "90"}, ""),
        ("http", {"addr": "", "timeout": "soon"}, "'http.timeout' must be a duration such as"),
        ("http", {"addr": "", "timeout": float("nan")}, "'http.timeout' must be a duration of"),
        ("hosts", "a", "'hosts' must be a list; this text is not"),
        ("more", [1, "x"], r"'more\[1\]' must be a whole number; this text is not"),
        ("pair", ["a"], "'pair' must have 2 items, and has 1"),
        ("limits", {"a": "x"}, "'limits.a' must be a number; this text is not"),
        ("named", {"x": {}}, r"'named\.x\.addr' is missing"),
        ("maybe", "x", "'maybe' must be a whole number; this text is not"),
        ("either", [], "'either' must be a int | str; this list is not"),
        ("class", [{"addr": "c"}, 5], r"'class\[1\]' must be a mapping; this number is not"),
    ],
)
def test_value_that_does_not_fit_is_named_with_what_is_expected(
    key: str, value: object, problem: str
) -> None:
    snapshot = Snapshot({**TREE, key: value})
    if not problem:
        assert scan(snapshot, Everything).http.timeout == timedelta(seconds=90)
        return
    with pytest.raises(ConfigError) as caught:
        scan(snapshot, Everything)
    assert problem.replace("\\", "") in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_error_names_the_document_that_the_value_came_from() -> None:
    sources = (
        MemorySource.of({"http": {"addr": "a"}}, name="low"),
        MemorySource.of({"http": {"timeout": "soon"}}, name="high"),
    )
    async with Config(*sources) as config:
        with pytest.raises(ConfigError, match=r"'http\.timeout' \(from high\) must be a duration"):
            config.scan(Http, key="http")


def test_missing_part_is_an_empty_one() -> None:
    @dataclass
    class Optional:
        a: int = 5

    assert scan(Snapshot(), Optional, key="x.y") == Optional()


def test_unknown_keys_are_refused_where_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"'http\.adr' is not known; did you mean 'addr'\?"):
        scan(Snapshot({"http": {"adr": "", "addr": ""}}), Http, key="http", strict=True)


def test_own_checks_of_a_dataclass_are_told_with_their_place() -> None:
    @dataclass
    class Range:
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    with pytest.raises(ConfigError, match="'a' is no Range: low is above high"):
        scan(Snapshot({"a": {"low": 2, "high": 1}}), Range, key="a")


def test_field_of_a_type_that_no_document_holds_is_a_mistake_of_the_program() -> None:
    @dataclass
    class Wrong:
        a: complex

    with pytest.raises(TypeError, match=r"^Wrong\.\w+: values of type .*complex.* cannot be read"):
        scan(Snapshot(), Wrong)
    with pytest.raises(TypeError, match="is no dataclass"):
        scan(Snapshot(), int)


class Database(BaseModel):
    dsn: str
    pool: int = ModelField(default=5, ge=1, alias="pool_size")


class Settings(BaseModel):
    database: Database
    hosts: list[str] = []


def test_pydantic_model_is_read_by_its_own_rules() -> None:
    tree = {"database": {"dsn": "x", "pool_size": "7"}, "hosts": ["a"]}
    settings = scan(Snapshot(tree), Settings)
    assert settings == Settings(database=Database(dsn="x", pool_size=7), hosts=["a"])


def test_refusal_of_a_pydantic_model_names_the_key_and_not_the_value() -> None:
    tree = {"database": {"dsn": "x", "pool_size": "hunter2"}, "hosts": "a"}
    with pytest.raises(ConfigError) as caught:
        scan(Snapshot(tree), Settings)
    assert "'database.pool_size' is refused: Input should be a valid integer" in str(caught.value)
    assert "(and 1 more)" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_unknown_keys_of_a_pydantic_model_are_refused_where_asked_for() -> None:
    tree = {"database": {"dsn": "x", "pool_sise": 7}}
    with pytest.raises(ConfigError, match="did you mean 'pool_size'"):
        scan(Snapshot(tree), Database, key="database", strict=True)


def test_message_is_read_by_names_of_the_proto_and_of_json() -> None:
    tree = {
        "name": "t",
        "fields": [
            {"kind": "type_string", "cardinality": 1, "number": "5", "packed": "true"},
            {"jsonName": "x", "type_url": "u"},
        ],
        "unknown": 1,
    }
    message = scan(Snapshot(tree), Type)
    assert message.name == "t"
    assert message.fields[0] == Field(
        kind=Field.TYPE_STRING, cardinality=Field.CARDINALITY_OPTIONAL, number=5, packed=True
    )
    assert message.fields[1] == Field(json_name="x", type_url="u")


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"number": 1 << 31}, "'number' must be from -2147483648 to 2147483647"),
        ({"number": "x"}, "'number' must be a whole number; this text is not"),
        ({"label": "LABEL_NONE"}, "'label' must be one of LABEL_OPTIONAL"),
        ({"label": "--1"}, "'label' must be one of LABEL_OPTIONAL"),
        ({"label": "1" * 5000}, "'label' must be one of LABEL_OPTIONAL"),
        ({"label": True}, "'label' must be one of LABEL_OPTIONAL"),
        ({"options": 5}, "'options' must be a mapping; this number is not"),
        ({"options": {"packed": "yes"}}, "'options.packed' must be a boolean"),
        ({"options": {"targets": "x"}}, "'options.targets' must be a list"),
        ({"options": {"targets": ["x"]}}, "'options.targets[0]' must be one of TARGET_TYPE_UNK"),
    ],
)
def test_message_that_does_not_fit_is_named(tree: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scan(Snapshot(tree), FieldDescriptorProto)
    assert problem in str(caught.value)


def test_unknown_keys_of_a_message_are_refused_where_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"'a\.packd' is not known; did you mean 'packed'"):
        scan(Snapshot({"a": {"packd": True}}), FieldOptions, key="a", strict=True)


def test_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", f"{[secret]}"):
        assert "hunter2" not in shown
    assert secret == Secret("hunter2")
    assert secret != Secret("other")
    assert secret != "hunter2"
    assert len({secret, Secret("hunter2")}) == 1
    assert secret
    assert not Secret("")


def test_secret_is_not_written_down() -> None:
    import copy
    import json
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter2"))
    with pytest.raises(TypeError):
        json.dumps(Secret("hunter2"))
    assert copy.deepcopy(Secret("hunter2")) == Secret("hunter2")


def test_secret_is_hidden_in_dumps() -> None:
    from kratos.redact import redacted

    assert redacted({"x": Secret("hunter2")}) == {"x": "***"}


def test_duration_of_a_message_is_a_text_as_go_writes_it_or_seconds() -> None:
    assert Duration(seconds=90) == _duration("1m30s") == _duration(90) == _duration("90")
    assert _duration("250ms") == Duration(nanos=250_000_000)


def _duration(value: object) -> Duration:
    retry_info: Any = import_module("google.rpc.error_details_pb2").RetryInfo  # has no types
    found = scan(Snapshot({"retryDelay": value}), retry_info).retry_delay
    assert isinstance(found, Duration)
    return found


def test_key_that_is_like_one_that_is_there_is_told_with_it() -> None:
    snapshot = Snapshot({"server": {"http": {"addr": ":80"}}})
    with pytest.raises(ConfigError, match=r"no 'server\.htp'; did you mean 'server\.http'\?$"):
        scan(snapshot, Http, key="server.htp")
    with pytest.raises(ConfigError, match=r"'elsewhere\.addr' is missing; Http needs it$"):
        scan(snapshot, Http, key="elsewhere")


def test_missing_value_is_told_with_the_sources_that_it_was_looked_for_in() -> None:
    sources = MemorySource.of({"port": 1}), EnvSource("APP_", environ={})
    with pytest.raises(ConfigError, match=r"'addr' is missing; Http .*: no value in memory, envir"):
        Config(*sources).read(Http)
    with pytest.raises(ConfigError, match=r"'addr' is refused: Field required: no value in memory"):
        Config(*sources).read(create_model("Model", addr=str))


def test_value_that_hides_a_section_is_not_told_as_the_place_of_what_it_hides() -> None:
    config = Config(
        MemorySource.of({"http": {"addr": "a"}}),
        MemorySource.of({"http": 5}),
        MemorySource.of({"http": {"timeout": 1}}),
    )
    with pytest.raises(ConfigError, match=r"^configuration value 'http\.addr' is missing"):
        config.read(Http, key="http")
