"""Tokens, of servers that are made up."""

from __future__ import annotations

import asyncio
import json
import ssl
import traceback

import pytest
import trustme

from kratos.testing.clock import FakeClock
from kratos.tls import ClientTls
from kratos_nacos import NacosClient, NacosUnavailable

LIFE = 2000  # seconds of a token


async def test_token_is_renewed_before_it_is_too_old() -> None:
    given: list[str] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"username=u&password=p")
        given.append(f"token {len(given)}")
        body = json.dumps({"accessToken": given[-1], "tokenTtl": LIFE})
        writer.write(f"HTTP/1.1 200 OK\r\n\r\n{body}".encode())
        writer.close()

    clock = FakeClock()
    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = NacosClient([at], username="u", password="p", grpc_offset=1, clock=clock)
        assert client.tokens is not None
        assert set(await asyncio.gather(*(client.tokens.get() for _ in range(5)))) == {"token 0"}
        await clock.advance(LIFE * 0.85)
        assert await client.tokens.get() == "token 0"
        await clock.advance(LIFE * 0.1)
        assert await client.tokens.get() == "token 1"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"220 mail.example ESMTP\r\n", "does not answer .login.: that is not HTTP"),
        (b"", "does not answer .login.: it closed the connection"),
        (b"HTTP/1.1 404 Not Found\r\n\r\nnothing", "lets nobody log in: 404 'nothing'"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "answers a login with no token of Nacos: '<html>'"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"accessToken": "hunter2"}', "of Nacos: one without tokenTtl"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 50_000, "answers a login with no token of Nacos"),
    ],
)
async def test_login_at_what_is_no_nacos_is_told(answer: bytes, message: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with NacosClient([at], username="u", password="p", grpc_offset=1) as client:
            assert client.tokens is not None
            with pytest.raises(NacosUnavailable, match=message) as refused:
                await client.tokens.get()
            assert "hunter2" not in "".join(traceback.format_exception(refused.value))


async def test_login_goes_over_tls_to_a_server_that_is_trusted() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"username=u&password=p")
        body = json.dumps({"accessToken": "token", "tokenTtl": LIFE})
        writer.write(f"HTTP/1.1 200 OK\r\n\r\n{body}".encode())
        writer.close()

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    async with await asyncio.start_server(speak, "127.0.0.1", 0, ssl=context) as server:
        at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        def client(ca: trustme.CA) -> NacosClient:
            tls = ClientTls(ca=ca.cert_pem.bytes())
            return NacosClient([at], username="u", password="p", grpc_offset=1, tls=tls)

        trusting, other = client(authority).tokens, client(trustme.CA()).tokens
        assert trusting is not None
        assert other is not None
        assert await trusting.get() == "token"
        with pytest.raises(NacosUnavailable, match=r"does not answer \(login\): .*certificate"):
            await other.get()


async def test_name_of_the_server_is_verified_at_the_login_too() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"username=u&password=p")
        body = json.dumps({"accessToken": "t", "tokenTtl": LIFE})
        writer.write(f"HTTP/1.1 200 OK\r\n\r\n{body}".encode())
        writer.close()

    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = ca.issue_cert("nacos.example")
    with made.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    async with await asyncio.start_server(speak, "127.0.0.1", 0, ssl=context) as server:
        at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for name, answer in (("nacos.example", "t"), ("other.example", None), (None, None)):
            tls = ClientTls(ca=ca.cert_pem.bytes(), server_name=name)
            client = NacosClient([at], username="u", password="p", grpc_offset=1, tls=tls)
            assert client.tokens is not None
            if answer is None:
                with pytest.raises(NacosUnavailable, match="certificate verify failed"):
                    await client.tokens.get()
            else:
                assert await client.tokens.get() == answer
