"""Certificates: what is wrong with them is said, and what changes is read again."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.testing.clock import FakeClock
from kratos.tls import (
    ClientTls,
    Material,
    PeerCertificate,
    Rotation,
    ServerTls,
    client_context,
    client_tls_of,
    server_context,
)
from kratos.url import Options, parse_url
from kratos.watch.directory import DirectoryWatches


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(epoch=datetime.now(UTC).timestamp())


def chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(each.bytes() for each in certificate.cert_chain_pems)


def key(certificate: trustme.LeafCert) -> bytes:
    return certificate.private_key_pem.bytes()


def itself(material: Material) -> Material:
    return material


class Files:
    """A certificate and its key in a folder."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self.tls = ServerTls(certificate=self.certificate, key=self.key)

    def write(self, certificate: trustme.LeafCert) -> None:
        self.certificate.write_bytes(chain(certificate))
        self.key.write_bytes(key(certificate))


@pytest.fixture
def files(tmp_path: Path, ca: trustme.CA) -> Files:
    made = Files(tmp_path)
    made.write(ca.issue_cert("a.example"))
    return made


def failure(tls: ServerTls | ClientTls) -> str:
    with pytest.raises(ConfigError) as caught:
        Rotation(tls, itself)
    return str(caught.value)


class TestWhatIsWrong:
    def test_file_that_is_missing_is_named(self, files: Files) -> None:
        files.key.unlink()
        problem = f"the key {files.key} cannot be read: No such file or directory"
        assert failure(files.tls) == problem

    def test_folder_in_place_of_a_file_is_named(self, files: Files, tmp_path: Path) -> None:
        assert "Is a directory" in failure(ServerTls(certificate=tmp_path, key=files.key))

    def test_key_of_another_certificate_is_told(self, files: Files, ca: trustme.CA) -> None:
        files.key.write_bytes(key(ca.issue_cert("a.example")))
        assert (
            failure(files.tls)
            == f"the certificate {files.certificate} and its key do not belong together"
        )

    def test_key_in_place_of_the_certificate_is_told(self, files: Files) -> None:
        swapped = ServerTls(certificate=files.key, key=files.certificate)
        assert failure(swapped) == f"the certificate {files.key} holds no certificate in PEM"

    def test_certificate_in_place_of_the_key_is_told(self, files: Files) -> None:
        twice = ServerTls(certificate=files.certificate, key=files.certificate)
        assert failure(twice) == f"the key {files.certificate} holds no private key in PEM"

    @pytest.mark.parametrize(
        "text",
        [
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n",
        ],
    )
    def test_encrypted_key_asks_nobody_for_its_passphrase(self, files: Files, text: bytes) -> None:
        files.key.write_bytes(text)
        assert "is encrypted" in failure(files.tls)

    def test_damaged_certificate_is_told(self, files: Files) -> None:
        files.certificate.write_bytes(
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        )
        assert "cannot be used" in failure(files.tls)

    def test_expired_certificate_is_told_with_its_date(self, ca: trustme.CA) -> None:
        end = datetime(2020, 5, 17, 12, 30, tzinfo=UTC)
        old = ca.issue_cert("a.example", not_before=end - timedelta(days=90), not_after=end)
        problem = failure(ServerTls(certificate=chain(old), key=key(old)))
        assert problem == "the certificate expired on 2020-05-17 12:30:00 UTC"

    def test_certificate_of_the_future_is_told(self, ca: trustme.CA) -> None:
        begin = datetime.now(UTC) + timedelta(days=2)
        early = ca.issue_cert("a.example", not_before=begin, not_after=begin + timedelta(days=1))
        assert "is not valid before" in failure(ServerTls(certificate=chain(early), key=key(early)))

    def test_expired_certificate_of_a_client_is_told(self, ca: trustme.CA) -> None:
        end = datetime(2020, 5, 17, tzinfo=UTC)
        old = ca.issue_cert("me", not_before=end - timedelta(days=90), not_after=end)
        assert "expired on 2020-05-17" in failure(ClientTls(certificate=chain(old), key=key(old)))

    def test_roots_without_a_certificate_are_told(self, files: Files, tmp_path: Path) -> None:
        roots = tmp_path / "ca.crt"
        roots.write_text("nothing")
        tls = ServerTls(certificate=files.certificate, key=files.key, client_ca=roots)
        assert failure(tls) == f"the client_ca {roots} holds no certificate in PEM"

    def test_file_without_an_end_is_not_read_to_its_end(self) -> None:
        assert "more than" in failure(ServerTls(certificate="/dev/zero", key=b""))

    def test_content_of_a_key_is_in_no_error(self, files: Files) -> None:
        secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
        tls = ServerTls(certificate=files.certificate, key=secret)
        assert "c2VjcmV0" not in failure(tls)

    def test_key_of_a_client_needs_its_certificate(self) -> None:
        with pytest.raises(ConfigError, match="certificate="):
            ClientTls(key="me.key")

    def test_certificate_of_a_client_may_hold_its_key(self, ca: trustme.CA) -> None:
        own = ca.issue_cert("me")
        both = key(own) + chain(own)
        assert Rotation(ClientTls(certificate=both), itself).value.key == both

    def test_certificate_of_a_client_needs_its_key_somewhere(self, ca: trustme.CA) -> None:
        certificate = chain(ca.issue_cert("me"))
        assert failure(ClientTls(certificate=certificate)) == (
            "the certificate holds no private key in PEM"
        )

    def test_password_is_not_shown(self) -> None:
        assert "secret" not in repr(ClientTls(certificate="a", key="b", password="secret"))


class TestWhatChanges:
    def test_pair_that_was_renewed_is_read_again(self, files: Files, ca: trustme.CA) -> None:
        rotation = Rotation(files.tls, itself)
        renewed = ca.issue_cert("b.example")
        files.write(renewed)
        assert rotation.refresh().certificate == chain(renewed)
        assert rotation.revision == 1

    def test_nothing_is_made_anew_while_nothing_changes(self, files: Files) -> None:
        rotation = Rotation(files.tls, itself)
        first = rotation.value
        assert rotation.refresh() is first

    def test_broken_pair_leaves_the_last_good_one_and_says_why_once(
        self, files: Files, ca: trustme.CA, caplog: pytest.LogCaptureFixture
    ) -> None:
        rotation = Rotation(files.tls, itself)
        good = rotation.value
        files.key.write_bytes(key(ca.issue_cert("b.example")))
        with caplog.at_level(logging.WARNING, "kratos.tls"):
            assert rotation.refresh() is good
            assert rotation.refresh() is good
        (record,) = caplog.records
        assert record.message == (
            "the last good certificate stays in use: "
            f"the certificate {files.certificate} and its key do not belong together"
        )

    def test_pair_that_is_mended_is_taken(self, files: Files, ca: trustme.CA) -> None:
        rotation = Rotation(files.tls, itself)
        renewed = ca.issue_cert("b.example")
        files.key.write_bytes(key(renewed))
        rotation.refresh()
        files.certificate.write_bytes(chain(renewed))
        assert rotation.refresh().key == key(renewed)

    def test_file_that_is_gone_leaves_the_last_good_pair(self, files: Files) -> None:
        rotation = Rotation(files.tls, itself)
        good = rotation.value
        files.certificate.unlink()
        assert rotation.refresh() is good

    def test_expired_pair_does_not_replace_a_good_one(self, files: Files, ca: trustme.CA) -> None:
        rotation = Rotation(files.tls, itself)
        good = rotation.value
        end = datetime.now(UTC) - timedelta(days=1)
        files.write(ca.issue_cert("b", not_before=end - timedelta(days=1), not_after=end))
        assert rotation.refresh() is good

    def test_value_that_cannot_be_made_leaves_the_last_one(
        self, files: Files, ca: trustme.CA
    ) -> None:
        made: list[Material] = []

        def make(material: Material) -> int:
            if made:
                raise ConfigError("too weak")
            made.append(material)
            return 1

        rotation = Rotation(files.tls, make)
        files.write(ca.issue_cert("b.example"))
        assert (rotation.refresh(), rotation.revision) == (1, 0)

    def test_files_are_not_read_again_if_not_wanted(self, files: Files, ca: trustme.CA) -> None:
        tls = ServerTls(certificate=files.certificate, key=files.key, watch=False)
        rotation = Rotation(tls, itself)
        good = rotation.value
        files.write(ca.issue_cert("b.example"))
        assert rotation.refresh() is good

    @pytest.mark.parametrize("told", [True, False], ids=["told", "polled"])
    async def test_change_is_noticed_by_itself(
        self, files: Files, ca: trustme.CA, clock: FakeClock, *, told: bool
    ) -> None:
        watches = DirectoryWatches(clock=clock, poll=10.0, always_poll=not told)
        rotation = Rotation(files.tls, itself, clock=clock, watches=watches)
        watching = asyncio.create_task(rotation.watch())
        await clock.settle()
        files.write(ca.issue_cert("b.example"))
        for _ in range(30):
            await clock.advance(1.0)
        await cancel_and_wait(watching)
        assert rotation.revision == 1

    async def test_folder_that_comes_back_is_heard_again(
        self, files: Files, ca: trustme.CA, clock: FakeClock
    ) -> None:
        rotation = Rotation(files.tls, itself, clock=clock)
        watching = asyncio.create_task(rotation.watch())
        await clock.settle()
        folder = files.key.parent
        away = folder.rename(f"{folder}-away")
        await clock.advance(15.0)
        away.rename(folder)
        files.write(ca.issue_cert("b.example"))
        for _ in range(30):
            await clock.advance(1.0)
        await cancel_and_wait(watching)
        assert rotation.revision == 1

    async def test_bytes_are_not_watched(self, ca: trustme.CA) -> None:
        certificate = ca.issue_cert("a.example")
        tls = ServerTls(certificate=chain(certificate), key=key(certificate))
        await asyncio.wait_for(Rotation(tls, itself).watch(), timeout=5)

    def test_end_of_the_certificate_is_known(self, ca: trustme.CA) -> None:
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        certificate = ca.issue_cert("a.example", not_after=end)
        tls = ServerTls(certificate=chain(certificate), key=key(certificate))
        assert Rotation(tls, itself).expires == end.timestamp()


def meet(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends of a handshake."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepting = server.wrap_bio(there, back, server_side=True)
    connecting = client.wrap_bio(back, there, server_hostname="a.example")
    for _ in range(4):
        for end in (connecting, accepting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return accepting, connecting


class TestContexts:
    def test_both_ends_agree(self, ca: trustme.CA, files: Files) -> None:
        server = Rotation(files.tls, lambda m: server_context(m, alpn=("http/1.1",))).value
        roots = ClientTls(ca=ca.cert_pem.bytes())
        client = Rotation(roots, lambda m: client_context(m, alpn=("h2", "http/1.1"))).value
        accepting, _ = meet(server, client)
        assert accepting.selected_alpn_protocol() == "http/1.1"

    def test_old_versions_of_tls_are_refused(self, files: Files) -> None:
        server = Rotation(files.tls, server_context).value
        assert server.minimum_version is ssl.TLSVersion.TLSv1_2

    def test_client_is_known_by_its_certificate(self, ca: trustme.CA, files: Files) -> None:
        roots = ca.cert_pem.bytes()
        tls = ServerTls(certificate=files.certificate, key=files.key, client_ca=roots)
        own = ca.issue_cert("orders.shop", "me@shop.example", "10.0.0.7", common_name="orders")
        mine = ClientTls(ca=roots, certificate=chain(own), key=key(own))
        server, client = Rotation(tls, server_context).value, Rotation(mine, client_context).value
        accepting, _ = meet(server, client)
        der = accepting.getpeercert(binary_form=True)
        found = accepting.getpeercert()
        assert der is not None
        assert found is not None
        peer = PeerCertificate.of(found, der)
        assert (peer.common_name, peer.dns_names) == ("orders", ("orders.shop",))
        assert (peer.emails, peer.addresses) == (("me@shop.example",), ("10.0.0.7",))
        assert len(peer.fingerprint) == 64

    def test_client_without_a_certificate_is_kept_out(self, ca: trustme.CA, files: Files) -> None:
        roots = ca.cert_pem.bytes()
        tls = ServerTls(certificate=files.certificate, key=files.key, client_ca=roots)
        server = Rotation(tls, server_context).value
        client = Rotation(ClientTls(ca=roots), client_context).value
        with pytest.raises(ssl.SSLError, match="CERTIFICATE"):
            meet(server, client)

    def test_unknown_root_is_not_trusted(self, files: Files) -> None:
        server = Rotation(files.tls, server_context).value
        stranger = ClientTls(ca=trustme.CA().cert_pem.bytes())
        with pytest.raises(ssl.SSLCertVerificationError):
            meet(server, Rotation(stranger, client_context).value)

    def test_keys_are_loaded_where_memory_cannot_be_a_file(
        self, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "memfd_create")
        Rotation(files.tls, server_context)


class TestPeer:
    def test_spiffe_id_is_the_one_uri(self) -> None:
        found = {"subjectAltName": (("URI", "spiffe://shop/orders"),)}
        assert PeerCertificate.of(found, b"").spiffe_id == "spiffe://shop/orders"

    @pytest.mark.parametrize(
        "uris", [(), ("https://shop",), ("spiffe://shop/a", "spiffe://shop/b")]
    )
    def test_anything_else_is_no_spiffe_id(self, uris: tuple[str, ...]) -> None:
        assert PeerCertificate(uris=uris).spiffe_id == ""

    def test_fingerprint_is_unknown_without_the_certificate(self) -> None:
        assert PeerCertificate().fingerprint == ""


class TestUrl:
    def tls(self, text: str) -> ClientTls | None:
        url = parse_url(text)
        options = Options(url)
        found = client_tls_of(url, options, scheme="stores")
        options.finish()
        return found

    def test_scheme_and_files_make_tls(self) -> None:
        assert self.tls("stores://a?ca=ca.pem&certificate=a.pem&key=a-key.pem") == ClientTls(
            ca="ca.pem", certificate="a.pem", key="a-key.pem"
        )
        assert self.tls("stores://a") == ClientTls()
        assert self.tls("store://a") is None

    def test_files_without_the_scheme_are_an_error(self) -> None:
        with pytest.raises(ConfigError, match=r"store://a\?.*: write stores:// for TLS"):
            self.tls("store://a?ca=ca.pem")

    def test_key_without_its_certificate_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="needs its certificate"):
            self.tls("stores://a?key=a-key.pem")


SECRET = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"


def test_keys_are_not_shown() -> None:
    content = SECRET.encode()
    for tls in (
        ServerTls(certificate=content, key=content, client_ca=content),
        ServerTls(certificate="/tls.crt", key=SECRET),
        ClientTls(ca=content, certificate=content, password="hunter2"),
        ClientTls(certificate="/tls.crt", key=content),
    ):
        assert "hunter2" not in repr(tls)
    assert "/tls.key" in repr(ClientTls(certificate="/tls.crt", key="/tls.key"))


def test_key_that_is_passed_as_text_is_refused_without_being_told() -> None:
    tls = ClientTls(certificate=SECRET.encode(), key=SECRET)
    with pytest.raises(ConfigError, match="the key is PEM itself, in text: pass bytes") as refused:
        Rotation(tls, itself)

    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
