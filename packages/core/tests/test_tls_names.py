"""Several certificates of one server: each client gets the one for the name that it asks for."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.testing.clock import FakeClock
from kratos.tls import (
    CertificatePair,
    ClientTls,
    Material,
    Rotation,
    ServerTls,
    client_context,
    server_context,
)
from kratos.tls._names import ServerNames
from kratos.watch.directory import DirectoryWatches


def itself(material: Material) -> Material:
    return material


class Files(NamedTuple):
    """Where a certificate and its key are."""

    certificate: Path
    key: Path

    @property
    def pair(self) -> CertificatePair:
        return CertificatePair(certificate=self.certificate, key=self.key)


class Site:
    """Certificates in files, of one root.

    Attributes:
        ca: Signs them.
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder

    def issue(self, name: str, *names: str, **options: Any) -> Files:
        """Write a certificate and its key."""
        issued = self.ca.issue_cert(*names, **options)
        files = self.files(name)
        files.key.write_bytes(issued.private_key_pem.bytes())
        files.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return files

    def files(self, name: str) -> Files:
        return Files(self.folder / f"{name}.crt", self.folder / f"{name}.key")

    def tls(self, main: Files, *others: Files | CertificatePair, mutual: bool = False) -> ServerTls:
        return ServerTls(
            certificate=main.certificate,
            key=main.key,
            client_ca=self.ca.cert_pem.bytes() if mutual else None,
            others=[each.pair if isinstance(each, Files) else each for each in others],
        )

    def client(self, own: Files | None = None) -> ssl.SSLContext:
        """Return the context of a client that takes any name, so that tests see which came."""
        tls = ClientTls(ca=self.ca.cert_pem.bytes())
        if own is not None:
            tls = ClientTls(ca=tls.ca, certificate=own.certificate, key=own.key)
        context = Rotation(tls, client_context).value
        context.check_hostname = False
        return context


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def three(site: Site) -> ServerTls:
    """Three certificates; the first has no wildcard, and the others a name of the same domain."""
    return site.tls(
        site.issue("main", "main.example", "exact.wild.example"),
        site.issue("second", "second.example"),
        site.issue("third", "*.wild.example", "third.example"),
    )


def step(end: ssl.SSLObject) -> None:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        pass


def meet(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends of a handshake, the client having heard that it is taken."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepting = server.wrap_bio(there, back, server_side=True)
    connecting = client.wrap_bio(back, there, server_hostname=name)
    for _ in range(4):
        step(connecting)
        step(accepting)
    accepting.write(b"!")
    assert connecting.read(1) == b"!"
    return accepting, connecting


def names_in(connecting: ssl.SSLObject) -> list[str]:
    found: Any = connecting.getpeercert()
    return [name for _, name in found["subjectAltName"]]


def presented(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> str:
    """Return the first name of the certificate that a client is shown."""
    return names_in(meet(server, client, name)[1])[0]


def hello(name: bytes) -> bytes:
    """Return what a client of TLS 1.2 sends first, with a name that ``ssl`` would not send."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    stand_in = "x" * len(name)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    step(context.wrap_bio(back, there, server_hostname=stand_in))
    return there.read().replace(stand_in.encode(), name)


def answer_to(server: ssl.SSLContext, said: bytes) -> bytes:
    """Return what a server sends first, up to TLS 1.2 with its certificate in the clear."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    there.write(said)
    step(server.wrap_bio(there, back, server_side=True))
    return back.read()


class TestWhichOneIsShown:
    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("main.example", "main.example"),
            ("second.example", "second.example"),
            ("third.example", "*.wild.example"),
            ("a.wild.example", "*.wild.example"),
            ("exact.wild.example", "main.example"),
            ("a.b.wild.example", "main.example"),
            ("wild.example", "main.example"),
            ("SECOND.Example", "second.example"),
            ("second.example.", "second.example"),
            ("unknown.example", "main.example"),
            ("127.0.0.1", "main.example"),
            (None, "main.example"),
        ],
    )
    @pytest.mark.parametrize(
        "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
    )
    def test_certificate_is_that_of_the_name(
        self,
        site: Site,
        three: ServerTls,
        asked: str | None,
        expected: str,
        version: ssl.TLSVersion,
    ) -> None:
        server, client = Rotation(three, server_context).value, site.client()
        client.maximum_version = version
        assert presented(server, client, asked) == expected

    def test_very_name_goes_before_a_wildcard_that_was_declared_earlier(self, site: Site) -> None:
        tls = site.tls(site.issue("main", "*.a.example"), site.issue("other", "b.a.example"))
        server = Rotation(tls, server_context).value
        assert presented(server, site.client(), "b.a.example") == "b.a.example"

    def test_first_certificate_with_a_name_has_it(self, site: Site) -> None:
        tls = site.tls(
            site.issue("main", "main.example"),
            site.issue("first", "first.example", "both.example"),
            site.issue("second", "second.example", "both.example"),
        )
        server = Rotation(tls, server_context).value
        assert presented(server, site.client(), "both.example") == "first.example"

    def test_main_certificate_needs_no_name(self, site: Site) -> None:
        tls = site.tls(site.issue("main", "127.0.0.1"), site.issue("other", "b.example"))
        server = Rotation(tls, server_context).value
        assert presented(server, site.client(), "b.example") == "b.example"
        assert presented(server, site.client(), None) == "127.0.0.1"

    @pytest.mark.parametrize("name", ["main.example", "second.example", "a.wild.example"])
    def test_protocol_is_agreed_upon_for_each_name(
        self, site: Site, three: ServerTls, name: str
    ) -> None:
        server = Rotation(three, lambda material: server_context(material, alpn=("h2",))).value
        client = site.client()
        client.set_alpn_protocols(["http/1.1", "h2"])
        _, connecting = meet(server, client, name)
        assert connecting.selected_alpn_protocol() == "h2"

    @pytest.mark.parametrize("name", ["main.example", "second.example", "a.wild.example"])
    def test_old_versions_are_refused_for_each_name(
        self, site: Site, three: ServerTls, name: str
    ) -> None:
        server, client = Rotation(three, server_context).value, site.client()
        client.set_ciphers("ALL:@SECLEVEL=0")
        client.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            client.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError, match=r"(?i)unsupported.protocol"):
            meet(server, client, name)

    @pytest.mark.parametrize("name", ["main.example", "second.example", "a.wild.example"])
    def test_clients_have_to_have_a_certificate_for_each_name(
        self, site: Site, three: ServerTls, name: str
    ) -> None:
        tls = site.tls(site.files("main"), site.files("second"), site.files("third"), mutual=True)
        server = Rotation(tls, server_context).value
        accepting, _ = meet(server, site.client(site.issue("me", "me.example")), name)
        assert names_in(accepting) == ["me.example"]
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
            meet(server, site.client(), name)
        stranger = Site(site.folder).issue("stranger", "me.example")
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
            meet(server, site.client(stranger), name)


class TestOddNames:
    @pytest.mark.parametrize(
        "name",
        [b"*", b"*.", b".", b"..", b".second.example", b"second.example..", b"a b", b"%\x01\x7f"],
        ids=repr,
    )
    def test_odd_name_gets_the_main_certificate(
        self, site: Site, three: ServerTls, name: bytes
    ) -> None:
        main = site.files("main").certificate.read_text()
        leaf = main[: main.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        answer = answer_to(Rotation(three, server_context).value, hello(name))
        assert ssl.PEM_cert_to_DER_cert(leaf) in answer

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_name_that_is_no_text_ends_its_own_handshake_alone(
        self, site: Site, three: ServerTls
    ) -> None:
        server = Rotation(three, server_context).value
        with pytest.raises(ssl.SSLError):
            answer_to(server, hello(b"\xff\xfe\xc3.example"))
        assert presented(server, site.client(), "second.example") == "second.example"


class TestWhatIsRefused:
    def failure(self, tls: ServerTls) -> str:
        with pytest.raises(ConfigError) as caught:
            Rotation(tls, server_context)
        return str(caught.value)

    def test_key_of_another_certificate_is_told_with_its_file(self, site: Site) -> None:
        main, other = site.issue("main", "a.example"), site.issue("other", "b.example")
        swapped = CertificatePair(certificate=other.certificate, key=main.key)
        assert self.failure(site.tls(main, swapped)) == (
            f"the certificate {other.certificate} and its key do not belong together"
        )

    def test_expired_certificate_is_told_with_its_file(self, site: Site) -> None:
        end = datetime(2020, 5, 17, tzinfo=UTC)
        main = site.issue("main", "a.example")
        old = site.issue("old", "b.example", not_before=end - timedelta(days=9), not_after=end)
        problem = f"the certificate {old.certificate} expired on 2020-05-17 00:00:00 UTC"
        assert self.failure(site.tls(main, old)) == problem

    def test_file_that_is_missing_is_named(self, site: Site) -> None:
        main, other = site.issue("main", "a.example"), site.files("other")
        problem = f"the certificate {other.certificate} cannot be read: No such file or directory"
        assert self.failure(site.tls(main, other)) == problem

    @pytest.mark.parametrize("name", ["10.0.0.7", "me@a.example"])
    def test_certificate_that_no_name_leads_to_is_refused(self, site: Site, name: str) -> None:
        main, other = site.issue("main", "a.example"), site.issue("other", name)
        assert self.failure(site.tls(main, other)) == (
            f"the certificate {other.certificate} has no DNS name among its subject alternative "
            "names, so no client would get it"
        )

    def test_certificate_whose_names_are_all_taken_is_refused(self, site: Site) -> None:
        main = site.issue("main", "a.example")
        second, third = site.issue("b", "b.example"), site.issue("c", "A.example", "b.example")
        assert self.failure(site.tls(main, second, third)) == (
            f"the certificate {third.certificate} has only names of certificates before it, such "
            f"as the certificate {main.certificate}, so no client would get it: leave it out"
        )

    def test_bytes_are_told_apart_by_their_place(self, site: Site) -> None:
        main = site.issue("main", "a.example")
        tls = site.tls(main, CertificatePair(certificate=b"", key=b""))
        assert self.failure(tls) == "the certificate of others[0] holds no certificate in PEM"

    @pytest.mark.parametrize(
        "others", [CertificatePair(certificate=b"", key=b""), [("a.crt", "a.key")], "a.crt"]
    )
    def test_anything_but_pairs_is_refused(self, others: Any) -> None:
        with pytest.raises(ConfigError, match="others is a sequence of CertificatePair"):
            ServerTls(certificate=b"", key=b"", others=others)

    def test_name_that_is_no_text_is_refused(self, site: Site) -> None:
        main = site.issue("main", "a.example")
        assert "one of its names is no text" in self.failure(site.tls(main, odd_pair()))


def odd_pair() -> CertificatePair:
    """Return a certificate with a name that is not ASCII, as the standard forbids."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])
    raw = b"\xff\xfe.example"
    names = bytes((0x30, len(raw) + 2, 0x82, len(raw))) + raw  # a sequence of one DNS name
    kind = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    ).add_extension(x509.UnrecognizedExtension(kind, names), critical=False)
    pem = serialization.Encoding.PEM
    return CertificatePair(
        certificate=builder.sign(key, hashes.SHA256()).public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


class TestWhatChanges:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock(epoch=datetime.now(UTC).timestamp())

    def test_second_certificate_is_renewed_alone(
        self, site: Site, three: ServerTls, caplog: pytest.LogCaptureFixture
    ) -> None:
        rotation = Rotation(three, server_context)
        site.issue("second", "second.example", "renewed.example")
        with caplog.at_level(logging.INFO, "kratos.tls"):
            server = rotation.refresh()
        _, connecting = meet(server, site.client(), "renewed.example")
        assert names_in(connecting) == ["second.example", "renewed.example"]
        assert presented(server, site.client(), "main.example") == "main.example"
        second = site.files("second")
        changed = f"the certificate {second.certificate} and the key {second.key}"
        assert caplog.messages == [f"read again: {changed}"]

    def test_bad_second_certificate_leaves_all_as_they_were(
        self, site: Site, three: ServerTls, caplog: pytest.LogCaptureFixture
    ) -> None:
        rotation = Rotation(three, server_context)
        good = rotation.value
        site.issue("main", "main.example", "renewed.example")
        second = site.issue("second", "second.example")
        second.key.write_bytes(site.files("third").key.read_bytes())
        assert rotation.refresh() is good
        assert rotation.refresh() is good
        problem = f"the certificate {second.certificate} and its key do not belong together"
        assert caplog.messages == [f"the last good certificate stays in use: {problem}"]
        site.issue("second", "second.example")
        assert presented(rotation.refresh(), site.client(), "renewed.example") == "main.example"

    def test_renewed_certificate_that_no_name_leads_to_is_not_taken(
        self, site: Site, three: ServerTls
    ) -> None:
        rotation = Rotation(three, server_context)
        good = rotation.value
        site.issue("second", "main.example")
        assert rotation.refresh() is good

    async def test_one_that_has_expired_in_use_keeps_no_other_from_renewal(
        self, site: Site, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        soon = datetime.now(UTC) + timedelta(days=1)
        main = site.issue("main", "a.example")
        old = site.issue("old", "b.example", not_after=soon)
        rotation = Rotation(site.tls(main, old), itself, clock=clock)
        await clock.advance(timedelta(days=2).total_seconds())
        site.issue("main", "a.example", "renewed.example")
        assert rotation.refresh().names == ("a.example", "renewed.example")
        assert f"the certificate {old.certificate} has expired, and stays in use" in caplog.messages

    def test_first_end_of_all_is_the_end(self, site: Site) -> None:
        soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        main = site.issue("main", "a.example", not_after=soon + timedelta(days=1))
        other = site.issue("other", "b.example", not_after=soon)
        assert Rotation(site.tls(main, other), itself).expires == soon.timestamp()

    async def test_change_in_another_folder_is_noticed_by_itself(
        self, site: Site, clock: FakeClock
    ) -> None:
        main = site.issue("main", "a.example")
        (site.folder / "api").mkdir()
        tls = site.tls(main, site.issue("api/tls", "b.example"))
        watches = DirectoryWatches(clock=clock, poll=10.0)
        rotation = Rotation(tls, itself, clock=clock, watches=watches)
        watching = asyncio.create_task(rotation.watch())
        await clock.settle()
        site.issue("api/tls", "b.example", "renewed.example")
        for _ in range(30):
            await clock.advance(1.0)
        await cancel_and_wait(watching)
        assert rotation.value.others[0].names == ("b.example", "renewed.example")

    async def test_many_connections_do_not_look_each(
        self, site: Site, three: ServerTls, clock: FakeClock
    ) -> None:
        rotation = Rotation(three, itself, clock=clock)
        good = rotation.value
        site.issue("second", "second.example", "renewed.example")
        assert rotation.current() is good
        await clock.advance(0.3)
        assert rotation.current().others[0].names == ("second.example", "renewed.example")


def test_keys_of_others_are_not_shown() -> None:
    pair = CertificatePair(certificate=b"hunter2", key=b"hunter2")
    shown = repr(ServerTls(certificate="a.crt", key="a.key", others=[pair]))
    assert "hunter2" not in shown
    assert "others=[CertificatePair(" in shown


LABELS = st.sampled_from(["a", "B", "k", "\N{KELVIN SIGN}", "xn--a", "*", "", "a*"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


def fit(held: str, asked: str) -> int:
    """Tell how a certificate's name fits: 2 for the very name, 1 by its asterisk, 0 not at all."""
    if not held.isascii():  # names that look alike in lower case are others
        return 0
    held, asked = held.lower().removesuffix("."), asked.lower().removesuffix(".")
    host = held.removeprefix("*.")
    if not host or "*" in host:
        return 0
    label, _, rest = asked.partition(".")
    by_asterisk = held.startswith("*.") and label != "" and rest == host
    return 2 if held == asked else int(by_asterisk)


def plainly(certificates: Sequence[Sequence[str]], asked: str) -> int:
    """Choose by a look at each name of each certificate."""
    fits = [max((fit(name, asked) for name in names), default=0) for names in certificates]
    return fits.index(max(fits)) if max(fits) else 0


@given(st.lists(st.lists(NAMES, max_size=4), min_size=1, max_size=5), NAMES.filter(str.isascii))
def test_choice_is_that_of_a_look_at_each(certificates: list[list[str]], asked: str) -> None:
    assert ServerNames(certificates).position(asked) == plainly(certificates, asked)
