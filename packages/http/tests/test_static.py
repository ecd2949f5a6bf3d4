"""Files of a folder, on both engines."""

from __future__ import annotations

import os
import re
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos.transport import Call, Handler, Header, Mount
from kratos_http import Compression, HttpServer
from kratos_http._conditions import may_range, seconds_of, verdict
from kratos_http._files import Folder
from kratos_http._ranges import parse_ranges
from kratos_http.testing import OpenPeer

LONG = bytes(range(256)) * 2000
MODIFIED = 1_700_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of files beside a secret one."""
    root = tmp_path / "public"
    (root / "docs" / "empty").mkdir(parents=True)
    (root / "long.bin").write_bytes(LONG)
    (root / "a b.txt").write_text("ä", encoding="utf-8")
    (root / "docs" / "index.html").write_text("<p>", encoding="utf-8")
    (root / "page.json").write_text('{"a":1}' * 1000, encoding="utf-8")
    (root / "old.tar.gz").write_bytes(b"gz")
    (root / ".env").write_text("hidden", encoding="utf-8")
    (root / "nothing").write_bytes(b"")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "in.txt").symlink_to("a b.txt")
    (root / "loop").symlink_to("loop")
    os.utime(root / "long.bin", (MODIFIED, MODIFIED))
    return root


def serving(folder: Path, path: str = "/assets", **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0")
    server.group().static(path, folder, **options)
    server.mount(Mount(services=()))
    return server


async def test_file_is_sent_with_its_type_and_its_validators(
    open_peer: OpenPeer, folder: Path
) -> None:
    async with open_peer(serving(folder, max_age=60)) as peer:
        answer = await peer.request("GET", "/assets/long.bin")
        head = await peer.request("HEAD", "/assets/long.bin")
        text = await peer.request("GET", "/assets/a%20b.txt")
        empty = await peer.request("GET", "/assets/nothing")
    assert (answer.status, answer.body) == (200, LONG)
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("last-modified") == formatdate(MODIFIED, usegmt=True)
    assert answer.header("etag").startswith('"')
    assert answer.header("accept-ranges") == "bytes"
    assert answer.header("cache-control") == "max-age=60"
    assert answer.header("x-content-type-options") == "nosniff"
    assert (head.body, head.header("content-length")) == (b"", str(len(LONG)))
    assert (text.body, text.header("content-type")) == ("ä".encode(), "text/plain; charset=utf-8")
    assert (empty.status, empty.body) == (200, b"")


@pytest.mark.parametrize(
    "target",
    [
        "missing",
        "docs/empty",
        "docs/empty/",
        ".env",
        "docs/../.env",
        "out.txt",
        "up/secret.txt",
        "loop",
        "long.bin/",
        "long.bin/x",
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "%2e%2e%2fsecret.txt",
        "..%5csecret.txt",
        "docs/%2e%2e/%2e%2e/secret.txt",
        "/etc/passwd",
        "%2fetc/passwd",
        "//etc/passwd",
        "long.bin%00",
        "%00",
        "C:/secret.txt",
        "long.bin%0a",
        "%ff",
        "a" * 300,
        "a" * 5000,
        "a/" * 1000,
    ],
)
async def test_what_is_no_file_of_the_folder_is_not_served(
    open_peer: OpenPeer, folder: Path, target: str
) -> None:
    async with open_peer(serving(folder)) as peer:
        answer = await peer.request("GET", f"/assets/{target}")
    assert answer.status in (301, 400, 404)
    assert b"secret" not in answer.body.replace(b"secret.txt", b"")
    if answer.status == 301:  # to the clean path, where there is nothing either
        assert not answer.header("location").startswith("//")


@given(st.lists(st.sampled_from(["..", ".", "", "up", "docs", "secret.txt", "public", "\\"])))
def test_no_path_leads_out_of_the_folder(names: list[str]) -> None:
    root = Path(__file__).parent
    for path in ("/".join(names), "/" + "/".join(names)):
        assert Folder(root).open(f"{path}/../../pyproject.toml") is None


def test_link_that_appears_after_the_path_was_judged_is_not_followed(folder: Path) -> None:
    with pytest.raises(OSError, match=r"symbolic|[Ll]ink|directory"):
        Folder(folder).open_real(("out.txt",))
    with pytest.raises(OSError, match=r"symbolic|[Ll]ink|directory"):
        Folder(folder).open_real(("up", "secret.txt"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert Folder(folder).open("pipe") is None


async def test_links_within_the_folder_and_hidden_files_are_served_on_request(
    open_peer: OpenPeer, folder: Path
) -> None:
    async with open_peer(serving(folder, hidden=True)) as peer:
        assert (await peer.request("GET", "/assets/in.txt")).body == "ä".encode()
        assert (await peer.request("GET", "/assets/.env")).body == b"hidden"


async def test_index_stands_for_its_folder(open_peer: OpenPeer, folder: Path) -> None:
    async with open_peer(serving(folder)) as peer:
        page = await peer.request("GET", "/assets/docs/")
        moved = await peer.request("GET", "/assets/docs?a=1")
    assert (page.body, page.header("content-type")) == (b"<p>", "text/html; charset=utf-8")
    assert (moved.status, moved.header("location")) == (308, "./docs/?a=1")
    async with open_peer(serving(folder / "docs", "/")) as peer:
        assert (await peer.request("GET", "/")).body == b"<p>"
    async with open_peer(serving(folder, index="")) as peer:
        assert (await peer.request("GET", "/assets/docs/")).status == 404


async def test_archive_is_sent_as_it_is(open_peer: OpenPeer, folder: Path) -> None:
    async with open_peer(serving(folder)) as peer:
        answer = await peer.request("GET", "/assets/old.tar.gz")
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("content-encoding") == ""


async def test_known_file_is_not_sent_again(open_peer: OpenPeer, folder: Path) -> None:
    async with open_peer(serving(folder)) as peer:
        first = await peer.request("GET", "/assets/long.bin")
        tag, date = first.header("etag"), first.header("last-modified")
        for status, name, value in (
            (304, "If-None-Match", tag),
            (304, "If-None-Match", f'"other", W/{tag}'),
            (304, "If-None-Match", "*"),
            (200, "If-None-Match", '"other"'),
            (304, "If-Modified-Since", date),
            (200, "If-Modified-Since", formatdate(MODIFIED - 1, usegmt=True)),
            (200, "If-Modified-Since", "yesterday"),
            (200, "If-Match", tag),
            (412, "If-Match", f"W/{tag}"),
            (412, "If-Match", '"other"'),
            (412, "If-Unmodified-Since", formatdate(MODIFIED - 1, usegmt=True)),
            (200, "If-Unmodified-Since", date),
        ):
            answer = await peer.request("GET", "/assets/long.bin", headers=[(name, value)])
            assert (name, value, answer.status) == (name, value, status)
            assert answer.header("etag") == tag
            assert answer.body == (LONG if status == 200 else b"")


def test_tags_go_before_dates() -> None:
    old = formatdate(0, usegmt=True)
    headers = Header.of([("if-none-match", '"b"'), ("if-modified-since", formatdate(99))])
    assert verdict(headers, '"a"', 50) == 200
    assert verdict(Header.of([("if-match", '"a"'), ("if-unmodified-since", old)]), '"a"', 50) == 200


def test_weak_tag_is_known_but_has_no_parts() -> None:
    assert verdict(Header.of([("if-none-match", '"a"')]), 'W/"a"', None) == 304
    assert verdict(Header.of([("if-match", 'W/"a"')]), 'W/"a"', None) == 412
    assert not may_range(Header.of([("if-range", 'W/"a"')]), 'W/"a"', None)


def test_unknown_date_fulfils_and_breaks_no_condition() -> None:
    for name in ("if-modified-since", "if-unmodified-since"):
        assert verdict(Header.of([(name, formatdate(0, usegmt=True))]), '"a"', None) == 200
    assert not may_range(Header.of([("if-range", "never")]), '"a"', None)


@given(st.text())
def test_any_date_is_judged(text: str) -> None:
    headers = Header(((b"if-modified-since", text.encode("utf-8", "replace")),))
    assert verdict(headers, '"a"', MODIFIED) in (200, 304)


@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 2000 00:00:00 +99999999999999999", f"Mon, 01 Jan {9**20} 00:00:00 GMT"],
)
def test_date_of_numbers_beyond_all_dates_is_none(date: str) -> None:
    assert seconds_of(date) is None


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=511999-", 511_999, 512_000),
        ("bytes=-5", 511_995, 512_000),
        ("bytes=-9999999", 0, 512_000),
        ("bytes=100-9999999", 100, 512_000),
        ("Bytes=0-199999", 0, 200_000),
    ],
)
async def test_part_is_sent(
    open_peer: OpenPeer, folder: Path, asked: str, start: int, stop: int
) -> None:
    async with open_peer(serving(folder)) as peer:
        answer = await peer.request("GET", "/assets/long.bin", headers=[("Range", asked)])
        head = await peer.request("HEAD", "/assets/long.bin", headers=[("Range", asked)])
    assert (answer.status, answer.body) == (206, LONG[start:stop])
    assert answer.header("content-range") == f"bytes {start}-{stop - 1}/512000"
    assert (head.status, head.header("content-length")) == (200, "512000")


@pytest.mark.parametrize("asked", ["bytes=512000-", "bytes=-0", "bytes=600000-700000"])
async def test_part_that_does_not_exist_is_refused(
    open_peer: OpenPeer, folder: Path, asked: str
) -> None:
    async with open_peer(serving(folder)) as peer:
        answer = await peer.request("GET", "/assets/long.bin", headers=[("Range", asked)])
    assert (answer.status, answer.header("content-range")) == (416, "bytes */512000")


@pytest.mark.parametrize(
    "asked",
    [
        "lines=0-1",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=2-1",
        "bytes=0-,0-",
        "bytes=" + ",".join(["0-0"] * 17),
        "bytes=0-" + "9" * 5000,
        "0-1",
    ],
    ids=str,
)
async def test_range_that_makes_no_sense_is_ignored(
    open_peer: OpenPeer, folder: Path, asked: str
) -> None:
    async with open_peer(serving(folder)) as peer:
        answer = await peer.request("GET", "/assets/long.bin", headers=[("Range", asked)])
    assert (answer.status, len(answer.body)) == (200, len(LONG))


async def test_several_parts_are_sent_in_one_answer(open_peer: OpenPeer, folder: Path) -> None:
    async with open_peer(serving(folder)) as peer:
        asked = [("Range", "bytes=0-1, 300000-450000 ,-2,900000-")]
        answer = await peer.request("GET", "/assets/long.bin", headers=asked)
    assert answer.status == 206
    assert answer.header("content-range") == ""
    found = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", answer.header("content-type"))
    assert found is not None
    parts = answer.body.split(b"--" + found[1].encode())
    assert (parts[0], parts[-1]) == (b"", b"--\r\n")
    bodies = [part.partition(b"\r\n\r\n")[2][:-2] for part in parts[1:-1]]
    assert bodies == [LONG[:2], LONG[300_000:450_001], LONG[-2:]]
    assert b"content-range: bytes 300000-450000/512000" in parts[2]


async def test_part_of_a_file_that_changed_is_not_sent(open_peer: OpenPeer, folder: Path) -> None:
    async with open_peer(serving(folder)) as peer:
        first = await peer.request("HEAD", "/assets/long.bin")
        tag = first.header("etag")
        for status, condition in (
            (206, tag),
            (206, first.header("last-modified")),
            (200, f"W/{tag}"),
            (200, '"other"'),
            (200, formatdate(MODIFIED + 1, usegmt=True)),
            (200, "nonsense"),
        ):
            headers = [("Range", "bytes=0-0"), ("If-Range", condition)]
            answer = await peer.request("GET", "/assets/long.bin", headers=headers)
            assert (condition, answer.status) == (condition, status)


@given(st.text(alphabet="bytes=0123456789-, "), st.integers(0, 100))
def test_parts_are_within_the_whole(text: str, size: int) -> None:
    parts = parse_ranges(f"bytes={text}", size)
    assert parts is None or all(part and 0 <= part.start < part.stop <= size for part in parts)
    assert parts is None or sum(map(len, parts)) <= size


async def test_other_methods_are_refused(open_peer: OpenPeer, folder: Path) -> None:
    async with open_peer(serving(folder)) as peer:
        assert (await peer.request("POST", "/assets/long.bin")).status == 405


async def test_file_that_shrinks_meanwhile_is_broken_off(folder: Path) -> None:
    file = Folder(folder).open("long.bin")
    assert file is not None
    os.truncate(folder / "long.bin", 10)
    with pytest.raises(EOFError):
        assert [len(piece) async for piece in file.pieces(range(file.size))] == []
    file.close()
    file.close()


async def test_middleware_guards_files(open_peer: OpenPeer, folder: Path) -> None:
    async def refuse(call: Call, request: Any, next: Handler) -> Any:
        raise Error(401, "UNAUTHORIZED", call.method.operation)

    async with open_peer(serving(folder, middleware=[refuse])) as peer:
        answer = await peer.request("GET", "/assets/long.bin")
    assert (answer.status, answer.json()["message"]) == (401, "/assets/{path=**}")


async def test_file_is_compressed_on_its_way(open_peer: OpenPeer, folder: Path) -> None:
    server = HttpServer("127.0.0.1:0", filters=[Compression()])
    server.group().static("/assets", folder)
    server.mount(Mount(services=()))
    async with open_peer(server) as peer:
        headers = [("Accept-Encoding", "gzip")]
        answer = await peer.request("GET", "/assets/page.json", headers=headers)
        tag = answer.header("etag")
        again = await peer.request(
            "GET", "/assets/page.json", headers=[*headers, ("If-None-Match", tag)]
        )
    assert answer.header("content-encoding") == "gzip"
    assert tag.startswith('W/"')
    assert (again.status, again.header("etag")) == (304, tag)


def test_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        HttpServer().group().static("/assets", tmp_path / "missing")
