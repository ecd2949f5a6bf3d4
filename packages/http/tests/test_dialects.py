"""The formats of bodies, from end to end: what peers of each kind may write, and are answered."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
import yaml
from google.protobuf import (
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    text_format,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from kratos import encoding
from kratos.errors import Error
from kratos.transport import Arity, HttpRule, Method, Mount, Service
from kratos_http import HttpServer
from kratos_http.testing import Answer, OpenPeer

_FIELDS = (
    ("item_id", "INT64", ""),
    ("color", "ENUM", ".test.dialects.Color"),
    ("made_at", "MESSAGE", ".google.protobuf.Timestamp"),
    ("lasts", "MESSAGE", ".google.protobuf.Duration"),
    ("update_mask", "MESSAGE", ".google.protobuf.FieldMask"),
    ("count", "MESSAGE", ".google.protobuf.Int64Value"),
    ("note", "MESSAGE", ".google.protobuf.StringValue"),
    ("raw", "BYTES", ""),
    ("big", "UINT64", ""),
    ("ratio", "DOUBLE", ""),
    ("flag", "BOOL", ""),
    ("tags", "STRING", ""),
)


def _item_type() -> Any:
    imported = (timestamp_pb2, duration_pb2, field_mask_pb2, wrappers_pb2)
    lines = ['name: "test/dialects.proto" package: "test.dialects" syntax: "proto3"']
    lines += [f'dependency: "{module.DESCRIPTOR.name}"' for module in imported]
    lines.append('enum_type { name: "Color" value { name: "RED" number: 0 }')
    lines.append('value { name: "BLUE" number: 1 } } message_type { name: "Item"')
    for number, (name, kind, type_name) in enumerate(_FIELDS, start=1):
        label = "LABEL_REPEATED" if name == "tags" else "LABEL_OPTIONAL"
        lines.append(f'field {{ name: "{name}" number: {number} type: TYPE_{kind} label: {label}')
        lines.append(f'type_name: "{type_name}" }}' if type_name else "}")
    lines.append("}")
    file = text_format.Parse("\n".join(lines), FileDescriptorProto())
    pool = descriptor_pool.Default()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("test.dialects.Item"))


Item = _item_type()

ITEM = Item(
    item_id=9007199254740993,
    color=1,
    made_at=timestamp_pb2.Timestamp(seconds=1, nanos=2),
    lasts=duration_pb2.Duration(seconds=90),
    update_mask=field_mask_pb2.FieldMask(paths=["item_id", "made_at.nanos"]),
    count=wrappers_pb2.Int64Value(value=3),
    note=wrappers_pb2.StringValue(value="n"),
    raw=b"\x01\xfe",
    big=18446744073709551615,
    ratio=0.5,
    flag=True,
    tags=["a", "b"],
)


class Items(Service):
    """Answers with what it was asked."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        Method(
            operation="/test.dialects.Items/Put",
            name="put",
            arity=Arity.UNARY,
            request=Item,
            reply=Item,
            http=(
                HttpRule(verb="POST", path="/items", body="*"),
                HttpRule(verb="GET", path="/items"),
                HttpRule(verb="GET", path="/masks/{update_mask}"),
            ),
        ),
    )

    async def put(self, request: Any, /) -> Any:
        """Answer with the request."""
        if request.note.value == "fail":
            raise Error(409, "TAKEN", "it is <taken>")
        return request


def server() -> HttpServer:
    made = HttpServer("127.0.0.1:0")
    made.mount(Mount(services=[Items()]))
    return made


def message_of(answer: Answer) -> Any:
    codec = encoding.find(answer.header("content-type"))
    assert codec is not None
    assert answer.status == 200, answer.body
    return codec.decode(answer.body, Item)


GO_V3_PLAIN = """{"item_id":9007199254740993,"color":1,"made_at":{"seconds":1,"nanos":2},
 "lasts":{"seconds":90},"update_mask":{"paths":["item_id","made_at.nanos"]},"count":{"value":3},
 "note":{"value":"n"},"raw":"Af4=","big":18446744073709551615,"ratio":0.5,"flag":true,
 "tags":["a","b"]}"""

PROTO_JSON = """{"itemId":"9007199254740993","color":"BLUE",
 "madeAt":"1970-01-01T00:00:01.000000002Z",
 "lasts":"90s","updateMask":"itemId,madeAt.nanos","count":"3","note":"n","raw":"Af4=",
 "big":"18446744073709551615","ratio":0.5,"flag":true,"tags":["a","b"]}"""

FORM = (
    "itemId=9007199254740993&color=BLUE&madeAt=1970-01-01T00%3A00%3A01.000000002Z&lasts=1m30s"
    "&updateMask=itemId%2CmadeAt.nanos&count=3&note=n&raw=Af4%3D&big=18446744073709551615"
    "&ratio=0.5&flag=true&tags=a&tags=b"
)

XML = """<?xml version="1.0"?><Item><ItemId>9007199254740993</ItemId><Color>1</Color>
 <MadeAt>1970-01-01T00:00:01.000000002Z</MadeAt><Lasts>90s</Lasts>
 <UpdateMask>itemId,madeAt.nanos</UpdateMask><Count>3</Count><Note>n</Note><Raw>Af4=</Raw>
 <Big>18446744073709551615</Big><Ratio>0.5</Ratio><Flag>true</Flag><Tags>a</Tags><Tags>b</Tags>
 </Item>"""

GO_XML = """<Item><ItemId>9007199254740993</ItemId><Color>1</Color>
 <MadeAt><Seconds>1</Seconds><Nanos>2</Nanos></MadeAt><Lasts><Seconds>90</Seconds></Lasts>
 <UpdateMask><Paths>item_id</Paths><Paths>made_at.nanos</Paths></UpdateMask>
 <Count><Value>3</Value></Count><Note><Value>n</Value></Note><Raw>Af4=</Raw>
 <Big>18446744073709551615</Big><Ratio>0.5</Ratio><Flag>true</Flag><Tags>a</Tags><Tags>b</Tags>
 </Item>"""

YAML = """
itemId: "9007199254740993"
color: BLUE
made_at: 1970-01-01T00:00:01.000000002Z
lasts: {seconds: 90}
updateMask: {paths: [item_id, made_at.nanos]}
count: 3
note: n
raw: Af4=
big: 18446744073709551615
ratio: 0.5
flag: true
tags:
- a
- b
"""

JSON_LABELS = (
    "application/json",
    "application/json; charset=utf-8",
    "text/json",
    "APPLICATION/JSON;charset=UTF-8",
    "application/vnd.shop.v1+json",
    "application/protojson",
)

WRITTEN = (
    *((kind, GO_V3_PLAIN) for kind in JSON_LABELS),
    *((kind, PROTO_JSON) for kind in JSON_LABELS),
    ("application/x-www-form-urlencoded", FORM),
    ("application/x-www-form-urlencoded; charset=utf-8", FORM),
    ("application/xml", XML),
    ("application/xml", GO_XML),
    ("text/xml; charset=utf-8", XML),
    ("application/atom+xml", XML),
    ("application/yaml", YAML),
    ("text/yaml", YAML),
    ("application/proto", ITEM.SerializeToString()),
)


@pytest.mark.parametrize(("kind", "body"), WRITTEN)
async def test_body_is_read_in_every_dialect(
    open_peer: OpenPeer, kind: str, body: str | bytes
) -> None:
    raw = body.encode() if isinstance(body, str) else body
    headers = [("Content-Type", kind), ("Accept", "application/proto")]
    async with open_peer(server()) as peer:
        assert message_of(await peer.request("POST", "/items", headers=headers, body=raw)) == ITEM


@pytest.mark.parametrize("spelling", [FORM, FORM.replace("itemId=", "item_id=")])
async def test_query_is_read_as_a_form(open_peer: OpenPeer, spelling: str) -> None:
    async with open_peer(server()) as peer:
        assert message_of(await peer.request("GET", f"/items?{spelling}")) == ITEM


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/protojson",
        "application/xml",
        "application/yaml",
        "application/x-www-form-urlencoded",
        "application/proto",
    ],
)
async def test_reply_in_every_format_says_the_same(open_peer: OpenPeer, accept: str) -> None:
    headers = [("Content-Type", "application/json"), ("Accept", accept)]
    async with open_peer(server()) as peer:
        answer = await peer.request("POST", "/items", headers=headers, body=PROTO_JSON.encode())
    assert answer.header("content-type") == accept
    assert message_of(answer) == ITEM


@pytest.mark.parametrize("accept", ["application/json", "application/protojson"])
async def test_json_of_replies_is_that_of_protobuf_for_peers_of_both_versions(
    open_peer: OpenPeer, accept: str
) -> None:
    headers = [("Content-Type", "application/json"), ("Accept", accept)]
    async with open_peer(server()) as peer:
        answer = await peer.request("POST", "/items", headers=headers, body=GO_V3_PLAIN.encode())
        empty = await peer.request("POST", "/items", headers=headers, body=b"{}")
    assert answer.json() == json.loads(PROTO_JSON)
    assert empty.json()["itemId"] == "0"
    assert empty.json()["madeAt"] is None


async def test_yaml_of_replies_has_the_members_of_json(open_peer: OpenPeer) -> None:
    async with open_peer(server()) as peer:
        headers = [("Accept", "application/yaml")]
        answer = await peer.request("GET", f"/items?{FORM}", headers=headers)
    assert yaml.safe_load(answer.body)["itemId"] == "9007199254740993"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/xml;q=0.9, application/yaml;q=0.95", "yaml"),
        ("application/json;q=0, */*", "protojson"),
        ("image/png", "json"),
        ("application/json;q=0", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
    ],
)
async def test_reply_and_error_are_what_the_peer_prefers_and_never_406(
    open_peer: OpenPeer, accept: str, kind: str
) -> None:
    async with open_peer(server()) as peer:
        headers = [("Accept", accept)]
        reply = await peer.request("GET", "/items?note=a", headers=headers)
        error = await peer.request("GET", "/items?note=fail", headers=headers)
    assert (reply.status, error.status) == (200, 409)
    for answer in (reply, error):
        assert answer.header("content-type") == f"application/{kind}"


async def test_several_accept_headers_are_one(open_peer: OpenPeer) -> None:
    async with open_peer(server()) as peer:
        headers = [("Accept", "application/xml;q=0.1"), ("Accept", "application/yaml")]
        answer = await peer.request("GET", "/items", headers=headers)
    assert answer.header("content-type") == "application/yaml"


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/nothing+json5", "json"])
async def test_body_of_an_unknown_type_is_400_as_in_go(open_peer: OpenPeer, kind: str) -> None:
    async with open_peer(server()) as peer:
        answer = await peer.request("POST", "/items", headers=[("Content-Type", kind)], body=b"x")
    assert (answer.status, answer.json()["reason"]) == (400, "CODEC")
    assert answer.json()["message"] == f"unregister Content-Type: {kind}"


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16"])
async def test_text_that_is_no_utf8_is_refused_whatever_its_label(
    open_peer: OpenPeer, charset: str
) -> None:
    body = '{"note":"\u00e4"}'.encode(charset)
    headers = [("Content-Type", f"application/json; charset={charset}")]
    async with open_peer(server()) as peer:
        answer = await peer.request("POST", "/items", headers=headers, body=body)
    assert (answer.status, answer.json()["reason"]) == (400, "CODEC")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", '{"itemId":"x"}'),
        ("application/json", '{"itemId":1,"item_id":2}'),
        ("application/json", '{"madeAt":{"seconds":"x"}}'),
        ("application/json", '{"count":{"value":[]}}'),
        ("application/xml", "<Item><ItemId>x</ItemId></Item>"),
        ("application/xml", '<!DOCTYPE a [<!ENTITY b "c">]><Item/>'),
        ("application/yaml", "itemId: [1"),
        ("application/yaml", "a: &a 1\nb: *a"),
        ("application/x-www-form-urlencoded", "itemId=x"),
        ("application/x-www-form-urlencoded", "color=GREEN"),
        ("application/proto", "\x08"),
    ],
)
async def test_malformed_body_is_400_in_every_dialect(
    open_peer: OpenPeer, kind: str, body: str
) -> None:
    async with open_peer(server()) as peer:
        headers = [("Content-Type", kind)]
        answer = await peer.request("POST", "/items", headers=headers, body=body.encode())
    assert (answer.status, answer.json()["reason"]) == (400, "CODEC")


@pytest.mark.parametrize("accept", ["json", "protojson", "yaml", "xml", "x-www-form-urlencoded"])
@pytest.mark.parametrize("target", ["/items?updateMask=a_1,b", "/masks/a_1,b"])
async def test_mask_that_protobuf_json_cannot_express_is_echoed(
    open_peer: OpenPeer, target: str, accept: str
) -> None:
    async with open_peer(server()) as peer:
        answer = await peer.request("GET", target, headers=[("Accept", f"application/{accept}")])
    assert list(message_of(answer).update_mask.paths) == ["a_1", "b"]
