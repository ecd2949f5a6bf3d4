"""Forms with files, as our clients send them and Go reads them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from interop.files.v1.files_kratos import FilesClient
from interop.files.v1.files_pb2 import Picture

from kratos import Client
from kratos_http import HttpClient

pytestmark = [pytest.mark.go, pytest.mark.slow]

TITLE = "Dune ü & sand"
PICTURE = hashlib.shake_256(b"cover").digest(1 << 20)
TOLD = f"{TITLE} cover.png {len(PICTURE)} {hashlib.sha256(PICTURE).hexdigest()}"


@pytest_asyncio.fixture
async def caller(go_server: dict[str, str]) -> AsyncIterator[Client]:
    async with Client(f"http://{go_server['http']}", timeout=60.0) as caller:
        yield caller


async def test_generated_client_sends_a_file_that_go_reads(caller: Client) -> None:
    picture = Picture(title=TITLE, cover=PICTURE, file_name="cover.png")
    reply: Any = await FilesClient(caller).send(picture)
    assert reply.data.decode() == TOLD


async def test_generated_client_sends_a_file_in_pieces_that_go_reads(caller: Client) -> None:
    sent: list[int] = []

    async def pieces() -> AsyncIterator[Picture]:
        yield Picture(title=TITLE, file_name="cover.png")
        for start in range(0, len(PICTURE), 100_000):
            piece = PICTURE[start : start + 100_000]
            sent.append(len(piece))
            yield Picture(cover=piece)

    reply: Any = await FilesClient(caller).stream(pieces())
    assert reply.data.decode() == TOLD
    assert len(sent) == 11


async def test_file_of_any_request_is_read_by_go(caller: Client) -> None:
    boundary = b"between-the-parts"
    part = b"\r\n--%b\r\ncontent-disposition: form-data; name=" % boundary
    body = b"".join(
        (
            part.lstrip() + b'"title"\r\n\r\n' + TITLE.encode(),
            part + b'"cover"; filename="cover.png"\r\ncontent-type: image/png\r\n\r\n' + PICTURE,
            b"\r\n--%b--\r\n" % boundary,
        )
    )
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    reply = await HttpClient(caller).request("POST", "/interop/files", body=body, content_type=kind)
    assert (reply.status, reply.body.decode()) == (200, TOLD)
