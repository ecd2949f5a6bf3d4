"""The table of codecs, the choice by header, and the small codecs."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from kratos import encoding, plugins
from kratos.encoding import (
    DEFAULT,
    Codec,
    CodecError,
    Codecs,
    content_subtype,
    content_type,
)
from kratos.encoding._codec import M
from kratos.encoding._text_cache import TextCache
from kratos.encoding.http_body import from_raw, is_http_body, raw
from kratos.encoding.json import JsonCodec, JsonOptions
from kratos.encoding.proto import ProtoCodec
from kratos.errors import ConfigError, PluginLoadError
from kratos_protojson.descriptors import PlanCache

BUILT_IN = ["json", "protojson", "proto", "xml", "yaml", "x-www-form-urlencoded"]


class NamedCodec:
    """A codec that only has a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, message: Message, /) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        raise NotImplementedError


# The table


@pytest.mark.parametrize("name", BUILT_IN)
def test_codec_is_built_in(name: str) -> None:
    codec = encoding.get(name)
    assert codec is not None
    assert codec.name == name
    assert encoding.get(name) is codec


def test_codec_is_registered_under_its_lower_cased_name() -> None:
    codecs = Codecs()
    codec: Codec = NamedCodec("XyZ")
    codecs.register(codec)
    assert codecs.get("xyz") is codec
    assert codecs.get("XyZ") is None


def test_later_registration_replaces_also_what_was_looked_up_before() -> None:
    codecs = Codecs()
    assert codecs.find("application/json") is codecs.get("json")
    assert codecs.select(["application/json"]).codec is codecs.get("json")
    mine = JsonCodec(options=JsonOptions(emit_unset=False))
    codecs.register(mine)
    assert codecs.find("application/json") is mine
    assert codecs.select(["application/json"]).codec is mine


@pytest.mark.parametrize("codec", [None, NamedCodec("")])
def test_codec_without_a_name_is_refused(codec: Any) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        Codecs().register(codec)


def test_copy_of_a_table_is_changed_by_itself() -> None:
    codecs = DEFAULT.copy()
    codecs.register(NamedCodec("mine"))
    assert codecs.get("mine") is not None
    assert encoding.get("mine") is None
    assert codecs.copy().get("mine") is codecs.get("mine")


def test_importing_the_table_imports_no_codec() -> None:
    program = "import sys, kratos.encoding; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert "kratos.encoding" in loaded
    assert not loaded & {"yaml", "google.protobuf.json_format", "xml.parsers.expat", "pyexpat"}
    assert not loaded & {"kratos.encoding.json", "kratos.encoding.form", "kratos.encoding.proto"}


# Plug-ins

PLUGIN = """
class Codec:
    name = {name!r}
    def encode(self, message): return b""
    def decode(self, data, message_type): return message_type()
CODEC = Codec()
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with a codec on the path, as an installer would."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)

    def install(name: str, code: str) -> None:
        info = tmp_path / f"kratos_{name}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: kratos-{name}\nVersion: 1.2.3\n")
        entry = f"[kratos.encoding]\n{name} = codec_of_{name}:CODEC\n"
        (info / "entry_points.txt").write_text(entry)
        (tmp_path / f"codec_of_{name}.py").write_text(code)
        importlib.invalidate_caches()
        plugins.clear()

    yield install
    plugins.clear()
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_codec_of_a_plugin_is_found_by_name_and_by_header(install: Install) -> None:
    install("msgpack", PLUGIN.format(name="msgpack"))
    codecs = Codecs()
    codec = codecs.get("msgpack")
    assert codec is not None
    assert codec is codecs.find("application/msgpack; charset=utf-8")
    assert codec is codecs.select(["application/msgpack"]).codec


def test_codec_of_a_plugin_is_not_imported_before_it_is_asked_for(install: Install) -> None:
    install("msgpack", PLUGIN.format(name="msgpack"))
    assert Codecs().get("cbor") is None
    assert "codec_of_msgpack" not in sys.modules


def test_registered_codec_comes_before_the_plugin_of_its_name(install: Install) -> None:
    install("msgpack", "raise RuntimeError")
    codecs = Codecs()
    mine: Codec = NamedCodec("msgpack")
    codecs.register(mine)
    assert codecs.get("msgpack") is mine


def test_plugin_that_is_no_codec_of_its_name_is_refused(install: Install) -> None:
    install("msgpack", PLUGIN.format(name="cbor"))
    with pytest.raises(ConfigError, match="no codec 'msgpack'"):
        Codecs().get("msgpack")


def test_plugin_that_cannot_be_imported_is_named(install: Install) -> None:
    install("msgpack", "raise RuntimeError")
    with pytest.raises(PluginLoadError, match=r"kratos-msgpack 1\.2\.3"):
        Codecs().find("application/msgpack")


def test_built_in_codec_is_found_without_a_look_at_what_is_installed() -> None:
    program = """
import sys
from kratos import encoding, plugins
assert encoding.find("application/json") is not None
print(*sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "importlib.metadata" not in ran.stdout.split()


def test_what_is_installed_is_looked_at_once_however_many_names_peers_make_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []

    def find(group: str) -> tuple[plugins.Plugin, ...]:
        looks.append(group)
        return ()

    monkeypatch.setattr(plugins, "find", find)
    codecs = Codecs()
    assert [codecs.find(f"application/x{number}") for number in range(1000)] == [None] * 1000
    assert looks == ["kratos.encoding"]


# Content types


@pytest.mark.parametrize(
    ("text", "subtype"),
    [
        ("text/html; charset=utf-8", "html"),
        ("multipart/form-data; boundary=something", "form-data"),
        ("application/json", "json"),
        ("text/xml", "xml"),
        ("text/xml;charset", "xml"),
        ("application", ""),
        ("", ""),
        ("; charset=utf-8", ""),
        (";text/xml", ""),
        ("application/PROTOJSON", "PROTOJSON"),
        ("text/html, application/xml", "html, application/xml"),
    ],
)
def test_subtype_is_taken_as_go_takes_it(text: str, subtype: str) -> None:
    assert content_subtype(text) == subtype


@pytest.mark.parametrize("subtype", ["kratos", "json"])
def test_content_type_of_a_subtype(subtype: str) -> None:
    assert content_type(subtype) == f"application/{subtype}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("application/json", "json"),
        ("application/json; charset=utf-8", "json"),
        ("text/json", "json"),
        ("application/protojson", "protojson"),
        ("application/x-www-form-urlencoded", "x-www-form-urlencoded"),
        ("Application/JSON ; charset=utf-8", "json"),
        ("application/problem+json", "json"),
        ("application/vnd.acme.v1+proto", "proto"),
    ],
)
def test_codec_is_found_by_content_type(text: str, name: str) -> None:
    codec = encoding.find(text)
    assert codec is not None
    assert codec.name == name


@pytest.mark.parametrize(
    "text", ["", "text/plain", "json", "application/", "a/b+c", "application/+"]
)
def test_content_type_without_a_codec_finds_none(text: str) -> None:
    assert encoding.find(text) is None


def test_exact_name_beats_its_tidy_spellings() -> None:
    codecs = Codecs()
    special = NamedCodec("problem+json")
    codecs.register(special)
    assert codecs.find("application/problem+json") is special


# Accept


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ([], "json"),
        ([""], "json"),
        (["*/*"], "json"),
        (["application/*"], "json"),
        (["text/plain"], "json"),
        (["application/proto"], "proto"),
        (["text/html, application/xml"], "xml"),
        (["application/xml;q=0.9, application/json"], "json"),
        (["application/xml;q=0.9, application/yaml;q=0.95"], "yaml"),
        (["application/xml;q=0.5, */*"], "json"),
        (["application/xml, */*;q=0.1"], "xml"),
        (["application/proto;q=0"], "json"),
        (["application/proto;q=0, application/yaml;q=0.1"], "yaml"),
        (["text/event-stream", "application/protojson"], "protojson"),
        (["application/yaml", "application/proto"], "yaml"),
        (["application/PROTO; v=1; Q=0.3"], "proto"),
        (["application/proto;q=high"], "proto"),
        (['application/proto; p="a,b;q=0"; q=0.9, application/yaml;q=0.8'], "proto"),
        (['application/proto; p="never closed, application/yaml'], "proto"),
        # Wildcards do not bring back what is refused or wanted less by name.
        (["application/json;q=0, */*"], "protojson"),
        (["application/json;q=0.1, */*;q=0.5"], "protojson"),
        (["application/json;q=0, application/protojson;q=0, */*"], "yaml"),
        (["application/json, */*;q=0"], "json"),
        (["application/xml;q=0.2, */*;q=0"], "xml"),
        # The narrower wildcard counts for what both take.
        (["application/*;q=0.1, */*;q=0.9, application/xml;q=0.5"], "xml"),
        (["*/*;q=0.9, application/*;q=0.1, application/xml;q=0.5"], "xml"),
        (["APPLICATION/*;q=0.9, application/xml;q=0.5"], "json"),
        # Nothing acceptable is answered in JSON, as in Go.
        (["application/json;q=0"], "json"),
        (["*/*;q=0"], "json"),
        (["image/png"], "json"),
        # Of equal ones the first, and of one that is named twice the more wanted one.
        (["application/yaml, application/xml"], "yaml"),
        (["*/*, application/xml"], "json"),
        (["application/xml;q=0.1, application/yaml;q=0.5, application/xml;q=0.9"], "xml"),
        # What browsers send when somebody types an address: JSON, as in Go.
        (["text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"], "json"),
        (["text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"], "json"),
        (["application/vnd.shop.v1+json, application/xml;q=0.9"], "json"),
        (["image/svg+xml, application/yaml;q=0.9"], "yaml"),
        (["a/b," * 64 + "application/xml"], "json"),
    ],
)
def test_reply_codec_is_the_most_wanted_one(accept: list[str], name: str) -> None:
    selection = encoding.select(accept)
    assert selection.codec.name == name
    assert selection.content_type == f"application/{name}"


def test_fallback_can_be_chosen() -> None:
    assert encoding.select([], fallback="protojson").codec.name == "protojson"


def test_unknown_fallback_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'nope'"):
        Codecs().select([], fallback="nope")


def test_repeated_choice_is_remembered() -> None:
    codecs = Codecs()
    assert codecs.select(["application/proto"]) is codecs.select(["application/proto"])


def test_memory_for_texts_of_clients_is_bounded() -> None:
    cache = TextCache(len, limit=10)
    assert [cache[str(number)] for number in range(95)][:11] == [1] * 10 + [2]
    assert len(cache) == 5
    assert cache["x" * 1000] == 1000
    assert len(cache) == 5


@given(st.lists(st.text(alphabet=st.sampled_from("a/;,q=0.1*+json ")) | st.text(), max_size=3))
def test_any_header_chooses_some_codec(accept: list[str]) -> None:
    assert encoding.select(accept).codec.name in BUILT_IN


# The binary codec


def test_binary_form_round_trips(proto: Any) -> None:
    codec = ProtoCodec()
    message = proto.TestModel(id=1, name="x", hobby=["a"], attrs={"k": "v"})
    assert codec.decode(codec.encode(message), proto.TestModel) == message
    assert codec.decode(b"", proto.TestModel) == proto.TestModel()


def test_malformed_binary_form_is_refused_by_type(proto: Any) -> None:
    with pytest.raises(CodecError, match=r"3 bytes are no kratos\.tests\.three\.TestModel"):
        ProtoCodec().decode(b"\xff\xff\xff", proto.TestModel)


def test_plans_are_made_once_per_type_within_bounds(proto: Any) -> None:
    made: list[str] = []

    def make(descriptor: Descriptor) -> str:
        made.append(descriptor.name)
        return descriptor.name

    cache = PlanCache(make, limit=2)
    names = [cache(kind.DESCRIPTOR) for kind in (proto.Simple, proto.Simple, proto.Sub)]
    assert names == ["Simple", "Simple", "Sub"]
    assert made == ["Simple", "Sub"]
    cache(proto.Complex.DESCRIPTOR)
    assert len(cache) == 1


# Every codec


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_codec_carries_text_numbers_and_maps(proto: Any, name: str) -> None:
    codec = encoding.get(name)
    assert codec is not None
    message = proto.TestModel(id=400, name="R é", hobby=["m"], attrs={"foo": "bar", "a b": "<&>"})
    assert codec.decode(codec.encode(message), proto.TestModel) == message


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_codec_makes_an_empty_message_of_no_data(proto: Any, name: str) -> None:
    codec = encoding.get(name)
    assert codec is not None
    assert codec.decode(b"", proto.TestModel) == proto.TestModel()


def test_codec_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CodecError("a.b: wrong", "a.b")))
    assert (str(error), error.field) == ("a.b: wrong", "a.b")


# HttpBody


def test_http_body_is_recognised_by_its_type(proto: Any) -> None:
    assert is_http_body(proto.HttpBody.DESCRIPTOR)
    assert not is_http_body(proto.Complex.DESCRIPTOR)
    assert not is_http_body(None)


def test_http_body_holds_raw_bytes_and_their_type(proto: Any) -> None:
    body = from_raw(proto.HttpBody, "image/png", b"\x89PNG")
    assert raw(body) == ("image/png", b"\x89PNG")
    assert raw(proto.HttpBody(data=b"x")) == ("application/octet-stream", b"x")
