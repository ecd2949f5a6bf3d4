"""Names that clients of TLS ask for and that are no text: nobody fills the log with them."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from kratos.tls import CertificatePair, Rotation, ServerTls, server_context
from kratos_gateway.assembly import assemble
from kratos_gateway.settings import Settings
from kratos_gateway.unreadable import unreadable_names

NAME = b"\xff\xfe\xc3.example"
PROGRAM = "from kratos_gateway.command import main; main()"
CONFIG = "endpoints: [{path: /*, protocol: HTTP, backends: [{target: '127.0.0.1:1'}]}]"


def hello(name: bytes) -> bytes:
    """Return what a client of TLS sends first, with a name that ``ssl`` would not send."""
    stand_in = "x" * len(name)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLWantReadError):
        client.wrap_bio(back, there, server_hostname=stand_in).do_handshake()
    return there.read().replace(stand_in.encode(), name)


@pytest.fixture
def tls(tmp_path: Path) -> ServerTls:
    """Certificates for two names."""
    ca, pairs = trustme.CA(), list[CertificatePair]()
    for name in ("shop.example", "api.example"):
        issued = ca.issue_cert(name)
        certificate, key = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        pairs.append(CertificatePair(certificate=str(certificate), key=str(key)))
    return ServerTls(certificate=pairs[0].certificate, key=pairs[0].key, others=pairs[1:])


@pytest.fixture
def given_on(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the hook that was there before gets."""
    given: list[object] = []

    def keep(told: object) -> None:
        given.append(getattr(told, "exc_value", None))

    monkeypatch.setattr(sys, "unraisablehook", keep)
    return given


def ask(tls: ServerTls) -> None:
    """Have a server asked for the name."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    there.write(hello(NAME))
    server = Rotation(tls, server_context).value
    with pytest.raises(ssl.SSLError):
        server.wrap_bio(there, back, server_side=True).do_handshake()


async def test_name_that_is_no_text_is_told_to_who_looks_for_faults_alone(
    tls: ServerTls, given_on: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kratos.gateway")
    async with unreadable_names():
        ask(tls)
    assert given_on == []
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("DEBUG", None)
    assert record.getMessage() == f"a client of TLS asks for {NAME!r}, which is no name"


class Failing:
    """Fails where nobody can be told, by an error of the same kind."""

    def __del__(self) -> None:
        NAME.decode("ascii")


async def test_all_else_that_nobody_can_be_told_goes_to_the_hook_before(
    given_on: list[object],
) -> None:
    async with unreadable_names():
        Failing()
    (error,) = given_on
    assert isinstance(error, UnicodeDecodeError)


async def test_hook_before_is_there_again_afterwards(given_on: list[object]) -> None:
    before = sys.unraisablehook
    async with unreadable_names():
        assert sys.unraisablehook is not before
    assert sys.unraisablehook is before
    assert given_on == []


async def test_hook_that_somebody_has_set_meanwhile_stays(
    given_on: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def theirs(_told: object) -> None:
        given_on.append("theirs")

    async with unreadable_names():
        monkeypatch.setattr(sys, "unraisablehook", theirs)
    assert sys.unraisablehook is theirs


@pytest.mark.parametrize("own", [True, False])
async def test_only_a_process_of_its_own_has_its_hook_changed(tls: ServerTls, *, own: bool) -> None:
    before = sys.unraisablehook
    settings = Settings(tls=tls, own_process=own, workers=2)  # which has no signal handled
    changed: list[bool] = []
    for resource in assemble(settings, environ={}).resources:
        async with resource:
            changed.append(sys.unraisablehook is not before)
    assert any(changed) is own


async def test_nothing_is_written_by_the_command_where_a_name_is_no_text(
    tls: ServerTls, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    flags = ["-addr", "127.0.0.1:0", "-conf", str(path)]
    for pair in (CertificatePair(certificate=tls.certificate, key=tls.key), *tls.others):
        flags += ["-tls.cert", str(pair.certificate), "-tls.key", str(pair.key)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, *flags),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            port = ""
            async for line in process.stderr:
                found = re.search(r"serving HTTP on https://127\.0\.0\.1:(\d+)", line.decode())
                port = found[1] if found else port
                if b"application started" in line:
                    break
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(hello(NAME))
            await reader.read()  # the alert, and the end
            writer.close()
            process.send_signal(signal.SIGTERM)
            told = (await process.stderr.read()).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert "application stopped" in told
    assert "UnicodeDecodeError" not in told
    assert "Traceback" not in told
