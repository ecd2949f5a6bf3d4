"""What is shown of a program, and what is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, cast

import pydantic
import pytest
from google.protobuf.descriptor_pb2 import (
    EnumValueOptions,
    FieldDescriptorProto,
    FieldOptions,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos.config import Snapshot
from kratos.redact import HIDDEN, is_secret, redacted, scrubbed

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "key",
    [
        *("password", "dbPassword", "DB_PASSWORD", "db-password", "postgres.password", "PASSWD"),
        *("secret", "client_secret", "secretKey", "api_key", "apiKey", "APIKey", "x-api-key"),
        *("token", "accessToken", "refresh_tokens", "authorization", "Set-Cookie", "jwt"),
        *("private_key", "signing-key", "AWS_SECRET_ACCESS_KEY", "credentials", "sentry_dsn"),
        *("passphrase", "session", "salt", "account_key", "tls.key.pem"),
        *("DB_PASS", "redisPass", "db_creds", "passcode", "privatekey", "AWS_ACCESSKEY"),
        *("secretkey", "ssh_key", "tls.key", "sslKey", "rsa_key", "AES_KEY"),
    ],
)
def test_key_of_a_secret_is_known(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        *("", "name", "host", "key", "keys", "primary_key", "routing_key", "monkey", "passenger"),
        *("token_ttl", "password_file", "session_timeout", "auth_type", "secret_path", "tokenizer"),
        *("pass_count", "bypass", "passThroughMode", "tls_key_file", "tls_cert", "ssl_mode"),
        *("author", "authority", "compass", "pinned", "spin", "cookiecutter"),
    ],
)
def test_other_key_is_not_taken_for_one(key: str) -> None:
    assert not is_secret(key)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://me:hunter2@db:5432/a", f"postgres://me:{HIDDEN}@db:5432/a"),
        ("redis://:hunter2@cache", f"redis://:{HIDDEN}@cache"),
        ("a://u:p@h, b://v:q@i", f"a://u:{HIDDEN}@h, b://v:{HIDDEN}@i"),
        ("mongodb://me:hunt@er2@db/a", f"mongodb://me:{HIDDEN}@db/a"),
        ("root:hunter2@tcp(db:3306)/a?b=c", f"root:{HIDDEN}@tcp(db:3306)/a?b=c"),
        ("root:hunter2@/a", f"root:{HIDDEN}@/a"),
        ("host=db password=hunter2 user=me", f"host=db password={HIDDEN} user=me"),
        ("password='hunter 2' host=db", f"password={HIDDEN} host=db"),
        ("Server=db;Password = hunter2;", f"Server=db;Password={HIDDEN};"),
        ("https://h/p?user=me&token=abc&x=1", f"https://h/p?user=me&token={HIDDEN}&x=1"),
        ("Bearer abcdefgh12345", f"Bearer {HIDDEN}"),
        ("eyJhbGciOiJIUzI1.eyJzdWIi.c2ln", HIDDEN),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", HIDDEN),
        ('{"password": "hunter\\"2", "a": 1}', f'{{"password": "{HIDDEN}", "a": 1}}'),
        ('{"pin":1234,"b":{"token":"t"}}', f'{{"pin":"{HIDDEN}","b":{{"token":"{HIDDEN}"}}}}'),
        ('{"a": "hunter2"}', '{"a": "hunter2"}'),
        ("http://host:8000/path?a=b", "http://host:8000/path?a=b"),
        ("me@shop.example", "me@shop.example"),
    ],
)
def test_secret_is_known_by_its_looks(text: str, shown: str) -> None:
    assert scrubbed(text) == shown


@pytest.mark.parametrize(
    "text",
    ["?", "?a", "a.", "eyJaaaaaaaa-", "a:", "a=' ", "a://b:", '"a":"', '"\\\\'],
)
def test_long_text_is_searched_in_one_go(text: str) -> None:
    # Patterns that look ahead to the end at every place would take hours.
    scrubbed(text * 100_000)


class Colour(Enum):
    RED = 1


@dataclass
class Database:
    host: str
    password: str
    pool: int = 5
    hint: str = field(default="quiet", repr=False)


class Model(pydantic.BaseModel):
    name: str
    phrase: pydantic.SecretStr
    nested: dict[str, Any]


class Opaque:
    def __repr__(self) -> str:
        return "hunter2"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": {"password": "x", "b": 1}}, {"a": {"password": HIDDEN, "b": 1}}),
        ({"tokens": {"a": "x", "b": ["y", 1]}}, {"tokens": {"a": HIDDEN, "b": [HIDDEN, HIDDEN]}}),
        (
            {"password": None, "token": "", "secret": False},
            {"password": None, "token": "", "secret": False},
        ),
        (Database("h", "x"), {"host": "h", "password": HIDDEN, "pool": 5, "hint": HIDDEN}),
        (
            Model(name="n", phrase=pydantic.SecretStr("x"), nested={"pwd": 3}),
            {"name": "n", "phrase": HIDDEN, "nested": {"pwd": HIDDEN}},
        ),
        (Snapshot({"db": {"password": "x"}}), {"db": {"password": HIDDEN}}),
        (StringValue(value="redis://:p@h"), {"value": f"redis://:{HIDDEN}@h"}),
        (b"bytes", "<5 bytes>"),
        ([Colour.RED, Path("/a"), timedelta(seconds=5)], ["RED", "/a", "0:00:05"]),
        (("a", {"b"}), ["a", ["b"]]),
    ],
)
def test_value_is_shown_without_its_secrets(value: object, shown: object) -> None:
    assert redacted(value) == shown


def test_object_of_unknown_type_is_named_only() -> None:
    assert "hunter2" not in redacted(Opaque())
    assert "Opaque" in redacted(Opaque())


def test_message_within_messages_is_shown() -> None:
    message = Struct()
    message.update({"password": "x", "list": [1.5]})
    assert redacted(message)["password"] == HIDDEN


def test_field_that_its_definition_marks_is_hidden_under_any_name() -> None:
    file = FileDescriptorProto(name="redact.proto", package="redact", syntax="proto3")
    grade = file.enum_type.add(name="Grade")
    grade.value.add(name="OPEN", number=0)
    grade.value.add(name="CLOSED", number=1, options=EnumValueOptions(debug_redact=True))
    person = file.message_type.add(name="Person")
    optional, repeated = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
    text, enum = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_ENUM
    options = FieldOptions(debug_redact=True)
    person.field.add(name="name", number=1, type=text, label=optional)
    person.field.add(name="born", number=2, type=text, label=optional, options=options)
    person.field.add(name="grade", number=3, type=enum, type_name=".redact.Grade", label=optional)
    person.field.add(name="grades", number=4, type=enum, type_name=".redact.Grade", label=repeated)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    kind: Any = GetMessageClass(pool.FindMessageTypeByName("redact.Person"))

    assert redacted(kind(name="Ann", born="1970", grade=1, grades=[0, 1])) == {
        "name": "Ann",
        "born": HIDDEN,
        "grade": HIDDEN,
        "grades": HIDDEN,
    }
    assert redacted(kind(grade=7, grades=[0, 7])) == {"grade": 7, "grades": [0, 7]}


def test_key_that_is_given_counts() -> None:
    assert redacted("x", key="password") == HIDDEN


def test_tree_that_holds_itself_ends() -> None:
    tree: dict[str, Any] = {}
    tree["self"] = tree
    assert "..." in str(redacted(tree))


@given(trees)
def test_nothing_under_a_secret_key_is_shown(tree: Any) -> None:
    def leaves(value: object) -> list[object]:
        if isinstance(value, dict):
            parts = list(cast("dict[str, object]", value).values())
        elif isinstance(value, list):
            parts = cast("list[object]", value)
        else:
            return [value]
        return [leaf for part in parts for leaf in leaves(part)]

    for leaf in leaves(redacted({"password": tree})):
        assert leaf is None or isinstance(leaf, bool) or leaf in ("", HIDDEN, "...")
