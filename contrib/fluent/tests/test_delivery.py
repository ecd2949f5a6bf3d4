"""What becomes of records while servers come and go. The server is a strict fake of Fluentd."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from kratos.errors import ConfigError
from kratos.log import Helper, Level, LogSettings, RootLogger, count_dropped, flush_all, with_
from kratos.metrics import MemoryMeter
from kratos.testing.log import MemoryLogger
from kratos.tls import ClientTls
from kratos.url import parse_url
from kratos_fluent import FluentLogger, _frames, _writer
from kratos_fluent._address import arguments_of

Fake = Callable[..., Any]
Writing = Callable[..., FluentLogger]


def reversed_(digest: str) -> str:
    return digest[::-1]


def foreign(_digest: str) -> str:
    return "\u00e4"


MODES = ("packed", "forward", "message")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def told(server: Any) -> list[str]:
    return [record["msg"] for _, _, record in server.records]


class TestWire:
    @pytest.mark.parametrize("mode", MODES)
    def test_records_are_as_go_kratos_sends_them(
        self, fluentd: Fake, writing: Writing, mode: str
    ) -> None:
        server = fluentd()
        logger = writing(f"tcp://{server.address}", tag_prefix="shop", mode=mode, now=lambda: 7.25)
        fields = {"order": 4711, "paid": True, "none": None, "x": [1, {"a": 2}]}
        logger.log(Level.WARN, "late", fields)
        server.wait_for(lambda: server.records)
        assert server.records == [
            (
                "shop.WARN",
                7.25,
                {
                    "msg": "late",
                    "order": "4711",
                    "paid": "true",
                    "none": "",
                    "x": '[1, {"a": 2}]',
                },
            )
        ]

    def test_values_keep_their_types_if_that_is_asked_for(
        self, fluentd: Fake, writing: Writing
    ) -> None:
        server = fluentd()
        fields = {"order": 4711, "paid": True, "none": None, "x": [1, {"a": 2.5}], "big": 1 << 70}
        writing(f"tcp://{server.address}", typed=True).log(Level.INFO, "m", fields)
        server.wait_for(lambda: server.records)
        _, _, record = server.records[0]
        assert record == {"msg": "m", **fields, "big": hex(1 << 70)}

    def test_name_of_the_message_may_be_another(self, fluentd: Fake, writing: Writing) -> None:
        server = fluentd()
        logger = writing(f"tcp://{server.address}", message_key="message")
        logger.log(Level.INFO, "m", {"message": "mine", "stack": "mine", "msg": "mine"})
        server.wait_for(lambda: server.records)
        assert server.records[0][2] == {
            "message": "m",
            "message_": "mine",
            "stack_": "mine",
            "msg": "mine",
        }

    @pytest.mark.parametrize("compress", [False, True])
    def test_many_records_go_in_few_messages(
        self, fluentd: Fake, writing: Writing, compress: bool
    ) -> None:
        server = fluentd()
        logger = writing(f"tcp://{server.address}", linger=0.2, compress=compress)
        for number in range(1000):
            logger.log(Level.INFO, "m", {"number": number})
        assert logger.flush(10)
        server.wait_for(lambda: len(server.records) == 1000)
        assert [record["number"] for _, _, record in server.records] == list(map(str, range(1000)))
        assert len(server.messages) < 20

    def test_long_record_goes_alone(self, fluentd: Fake, writing: Writing) -> None:
        server = fluentd()
        logger = writing(f"tcp://{server.address}", linger=0.2)
        for _ in range(3):
            logger.log(Level.INFO, "x" * (1 << 20))
        server.wait_for(lambda: len(server.records) == 3)
        assert len(server.messages) >= 3

    def test_unix_socket(self, fluentd: Fake, writing: Writing, tmp_path: Path) -> None:
        server = fluentd(path=tmp_path / "s")
        writing(f"unix://{tmp_path / 's'}").log(Level.INFO, "m")
        server.wait_for(lambda: told(server) == ["m"])


class TestAway:
    def test_records_wait_until_the_server_is_there(
        self, fluentd: Fake, writing: Writing, log: MemoryLogger
    ) -> None:
        port = free_port()
        logger = writing(f"tcp://127.0.0.1:{port}")
        logger.log(Level.INFO, "early")
        while not log.records:  # told by the thread
            time.sleep(0.01)
        assert not logger.flush(0.05)
        server = fluentd(port=port)
        server.wait_for(lambda: told(server) == ["early"])
        assert logger.flush(10)
        assert logger.waiting == 0
        assert log.messages() == [
            "Fluentd cannot be reached, records wait",
            "Fluentd takes records again",
        ]
        fields = log.records[0][2]
        assert fields["address"] == f"tcp://127.0.0.1:{port}"
        assert "ConnectionRefusedError" in str(fields["error"])

    def test_server_that_was_started_again_is_found_without_loss(
        self, fluentd: Fake, writing: Writing
    ) -> None:
        first = fluentd()
        logger = writing(f"tcp://{first.address}")
        logger.log(Level.INFO, "one")
        first.wait_for(lambda: told(first) == ["one"])
        first.stop()
        second = fluentd(port=first.port)
        logger.log(Level.INFO, "two")
        second.wait_for(lambda: told(second) == ["two"])

    @pytest.mark.parametrize("mode", MODES)
    def test_records_that_are_not_acknowledged_are_sent_again(
        self, fluentd: Fake, writing: Writing, mode: str
    ) -> None:
        server = fluentd()
        refused: list[str] = []

        def acknowledge(chunk: str) -> Any:
            refused.append(chunk)
            if len(refused) > 1:
                return {"ack": chunk}
            server.cut()
            return None

        server.acknowledge = acknowledge
        logger = writing(f"tcp://{server.address}", ack=True, mode=mode)
        logger.log(Level.INFO, "m")
        assert logger.flush(10)
        assert told(server) == ["m", "m"]
        assert refused[0] == refused[1]
        assert len(refused[0]) == 24  # base64 of 128 bits

    @pytest.mark.parametrize("mode", MODES)
    def test_threads_lose_nothing_however_often_the_connection_breaks(
        self, fluentd: Fake, writing: Writing, mode: str
    ) -> None:
        server = fluentd()
        answered = 0

        def acknowledge(chunk: str) -> Any:
            nonlocal answered
            answered += 1
            if answered % 5 == 1:
                server.cut()  # before it is acknowledged, or while others are on their way
            return {"ack": chunk}

        server.acknowledge = acknowledge
        logger = writing(f"tcp://{server.address}", ack=True, mode=mode, max_retry_wait=0.01)

        names = [[f"{thread} {number}" for number in range(25)] for thread in range(4)]

        def write(thread: int) -> None:
            for number in range(25):
                logger.log(Level.INFO, names[thread][number])
                time.sleep(0.001)  # so that they go in several messages

        threads = [threading.Thread(target=write, args=(each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert logger.flush(15)
        assert set(told(server)) == {name for each in names for name in each}
        assert (logger.dropped, logger.waiting) == (0, 0)
        assert server.connections > 1

    @pytest.mark.parametrize("answer", [{"ack": "another"}, ["PONG"], "x", 7])
    def test_wrong_acknowledgement_is_none(
        self, fluentd: Fake, writing: Writing, log: MemoryLogger, answer: Any
    ) -> None:
        server = fluentd()
        answers = [answer]

        def acknowledge(chunk: str) -> Any:
            return answers.pop() if answers else {"ack": chunk}

        server.acknowledge = acknowledge
        logger = writing(f"tcp://{server.address}", ack=True)
        logger.log(Level.INFO, "m")
        assert logger.flush(10)
        assert told(server) == ["m", "m"]
        assert "acknowledged something else" in str(log.records[0][2]["error"])

    def test_server_that_does_not_acknowledge_is_given_up_for_a_message(
        self, fluentd: Fake, writing: Writing, log: MemoryLogger
    ) -> None:
        server = fluentd()

        def ignore(_chunk: str) -> None:
            """Do not acknowledge."""

        server.acknowledge = ignore
        logger = writing(f"tcp://{server.address}", ack=True, ack_timeout=0.02, max_retry=2)
        logger.log(Level.INFO, "poison")
        assert logger.flush(10)
        assert told(server) == ["poison"] * 3
        assert logger.dropped == 1
        assert logger.waiting == 0
        level, message, fields = log.records[-1]
        assert (level, message) == (Level.ERROR, "records that Fluentd does not take are dropped")
        assert fields["records"] == 1
        assert "did not answer within 0.02 s" in str(fields["error"])

    def test_failure_that_nobody_foresaw_costs_a_message_and_not_the_others(
        self,
        fluentd: Fake,
        writing: Writing,
        log: MemoryLogger,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        server = fluentd()
        failures = [MemoryError("too large")]
        make = _frames.message

        def failing(*words: Any, **options: Any) -> bytes:
            if failures:
                raise failures.pop()
            return make(*words, **options)

        monkeypatch.setattr(_writer, "message", failing)
        logger = writing(f"tcp://{server.address}")
        for number in range(2):
            logger.log(Level.INFO, str(number))
            assert logger.flush(10)
        server.wait_for(lambda: "1" in told(server))
        assert logger.dropped == 1
        assert "MemoryError" in str(log.records[0][2]["error"])

    def test_what_was_dropped_is_counted_and_told_once(
        self, fluentd: Fake, writing: Writing, log: MemoryLogger
    ) -> None:
        port = free_port()
        logger = writing(f"tcp://127.0.0.1:{port}", limit_bytes=1000, linger=0.1)
        meter = MemoryMeter()
        count_dropped(meter)
        before = meter.value("log_lines_dropped_total")
        for _ in range(100):
            logger.log(Level.INFO, "m")
        dropped = logger.dropped
        assert 80 < dropped < 100
        assert logger.waiting <= 1000
        assert meter.value("log_lines_dropped_total") - before == dropped
        server = fluentd(port=port)
        server.wait_for(lambda: len(server.records) == 100 - dropped + 1)
        tag, _, record = server.records[-1]
        assert (tag, record) == (
            "WARN",
            {"msg": "records of the log were dropped", "records": str(dropped)},
        )
        logger.log(Level.INFO, "after")
        assert logger.flush(10)
        server.wait_for(lambda: told(server)[-1] == "after")
        assert told(server).count("records of the log were dropped") == 1

    def test_record_beyond_all_limits_is_dropped_alone(
        self, fluentd: Fake, writing: Writing
    ) -> None:
        server = fluentd()
        logger = writing(f"tcp://{server.address}", limit_bytes=1000)
        logger.log(Level.INFO, "x" * 2000)
        logger.log(Level.INFO, "m")
        server.wait_for(lambda: len(server.records) == 2)
        assert told(server) == ["m", "records of the log were dropped"]

    def test_server_that_reads_nothing_blocks_nobody(
        self, writing: Writing, log: MemoryLogger
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            logger = writing(
                f"tcp://127.0.0.1:{port}", limit_bytes=8 << 20, write_timeout=60, patience=0.1
            )
            began = time.perf_counter()
            for _ in range(2000):
                logger.log(Level.INFO, "x" * 10_000)
            assert time.perf_counter() - began < 15
            assert logger.dropped > 0
            assert logger.waiting <= 8 << 20
            began = time.perf_counter()
            logger.close()
            assert time.perf_counter() - began < 15
        level, message, fields = log.records[-1]
        assert (level, message) == (Level.WARN, "records for Fluentd were lost")
        # What is in the buffers of the system counts as written, without acknowledgement.
        records = fields["records"]
        assert isinstance(records, int)
        assert 1000 < records <= 2000

    def test_server_that_says_nothing_is_told_of_at_the_end(
        self, writing: Writing, log: MemoryLogger
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            logger = writing(f"tcp://127.0.0.1:{port}", shared_key="k", patience=0.1)
            logger.log(Level.INFO, "m")
            logger.close()
        (record,) = log.records
        assert record[1:] == (
            "records for Fluentd were lost",
            {
                "address": f"tcp://127.0.0.1:{port}",
                "records": 1,
                "error": "they were not taken within 0.1 s",
            },
        )

    def test_what_waits_is_delivered_at_the_end(self, fluentd: Fake, writing: Writing) -> None:
        server = fluentd()
        logger = writing(f"tcp://{server.address}", linger=3600)
        for number in range(3):
            logger.log(Level.INFO, str(number))
        logger.close()
        server.wait_for(lambda: told(server) == ["0", "1", "2"])
        logger.log(Level.INFO, "after the end")
        logger.close()
        assert logger.flush(1)
        assert logger.dropped == 1

    def test_end_waits_for_a_server_that_comes_back(self, fluentd: Fake, writing: Writing) -> None:
        port = free_port()
        logger = writing(f"tcp://127.0.0.1:{port}", retry_wait=60)
        logger.log(Level.INFO, "m")
        closing = threading.Thread(target=logger.close)
        closing.start()
        server = fluentd(port=port)
        server.wait_for(lambda: told(server) == ["m"])
        closing.join(10)
        assert not closing.is_alive()

    @pytest.mark.parametrize("taken", [False, True])
    def test_who_waits_for_all_records_is_let_go_at_the_end(
        self, writing: Writing, monkeypatch: pytest.MonkeyPatch, taken: bool
    ) -> None:
        logger = writing(f"tcp://127.0.0.1:{free_port()}", linger=3600, patience=0)
        untyped: Any = logger
        asked, ended = threading.Event(), threading.Event()
        wait_for, hurry = untyped._writer._hurry.wait, untyped._writer._hurry.set

        def hurry_up() -> None:
            asked.set()
            hurry()

        def wait(seconds: float) -> bool:
            return bool(wait_for(seconds) and (taken or ended.wait()))

        monkeypatch.setattr(untyped._writer._hurry, "set", hurry_up)
        monkeypatch.setattr(untyped._writer._hurry, "wait", wait)
        logger.log(Level.INFO, "m")
        found: list[bool] = []
        waiting = threading.Thread(target=lambda: found.append(logger.flush()), daemon=True)
        waiting.start()
        asked.wait()
        logger.close()
        ended.set()
        waiting.join(10)
        assert found == [False]

    def test_process_that_ends_without_ceremony_flushes_it_too(
        self, fluentd: Fake, writing: Writing
    ) -> None:
        server = fluentd()
        writing(f"tcp://{server.address}", ack=True, linger=3600).log(Level.INFO, "m")
        flush_all(10)
        assert told(server) == ["m"]


class TestHandshake:
    KEY = "a shared key"

    def test_both_know_the_key(self, fluentd: Fake, writing: Writing) -> None:
        server = fluentd(shared_key=self.KEY)
        logger = writing(f"tcp://{server.address}", shared_key=self.KEY, ack=True)
        logger.log(Level.INFO, "m")
        assert logger.flush(10)
        assert told(server) == ["m"]
        assert server.connections == 1

    def test_user_has_the_password(self, fluentd: Fake, writing: Writing) -> None:
        server = fluentd(shared_key=self.KEY, users={"ada": "secret"})
        who = {"username": "ada", "password": "secret"}
        writing(f"tcp://{server.address}", shared_key=self.KEY, **who).log(Level.INFO, "m")
        server.wait_for(lambda: told(server) == ["m"])

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"shared_key": "another"}, "the server refuses: shared_key mismatch"),
            (
                {"shared_key": KEY, "username": "ada", "password": "wrong"},
                "the server refuses: username/password mismatch",
            ),
        ],
    )
    def test_who_is_refused_is_told_why_and_sends_nothing(
        self, fluentd: Fake, writing: Writing, log: MemoryLogger, options: Any, why: str
    ) -> None:
        server = fluentd(shared_key=self.KEY, users={"ada": "secret"})
        logger = writing(f"tcp://{server.address}", patience=0, **options)
        logger.log(Level.INFO, "hunter2")
        while not log.records:
            time.sleep(0.01)
        assert why in str(log.records[0][2]["error"])
        assert server.records == []

    def test_who_has_no_key_is_told_to_have_one(
        self, fluentd: Fake, writing: Writing, log: MemoryLogger
    ) -> None:
        server = fluentd(shared_key=self.KEY)
        logger = writing(f"tcp://{server.address}", patience=0)
        while "the server asks for a shared key: pass shared_key" not in str(log.records):
            logger.log(Level.INFO, "m")
            time.sleep(0.01)
        assert server.records == []

    @pytest.mark.parametrize("forged", [reversed_, foreign])
    def test_server_that_does_not_know_the_key_gets_nothing(
        self, fluentd: Fake, writing: Writing, log: MemoryLogger, forged: Callable[[str], str]
    ) -> None:
        server = fluentd(shared_key=self.KEY)
        server.proof = forged
        logger = writing(f"tcp://{server.address}", shared_key=self.KEY, patience=0)
        logger.log(Level.INFO, "m")
        while not log.records:
            time.sleep(0.01)
        assert "the server does not know the shared key" in str(log.records[0][2]["error"])
        assert server.records == []

    @pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x91" * 50_000])
    def test_server_that_begins_otherwise_is_not_talked_to(
        self, writing: Writing, log: MemoryLogger, said: bytes
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            logger = writing(f"tcp://127.0.0.1:{port}", shared_key=self.KEY, patience=0)
            logger.log(Level.INFO, "m")
            connection, _ = other.accept()
            with connection:
                connection.sendall(said)
                while not log.records:
                    time.sleep(0.01)
            logger.close()
        assert "Refused" in str(log.records[0][2]["error"])

    def test_connection_that_is_not_to_be_kept_is_closed(
        self, fluentd: Fake, writing: Writing
    ) -> None:
        server = fluentd(shared_key=self.KEY, keepalive=False)
        logger = writing(f"tcp://{server.address}", shared_key=self.KEY, ack=True)
        for _ in range(3):
            logger.log(Level.INFO, "m")
            assert logger.flush(10)
        assert server.connections == 3
        assert told(server) == ["m"] * 3


class TestTls:
    @pytest.fixture
    def ca(self) -> trustme.CA:
        return trustme.CA()

    def context(self, ca: trustme.CA, name: str = "127.0.0.1") -> Any:
        context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate: Any = ca.issue_cert(name)
        certificate.configure_cert(context)
        return context

    def test_records_are_encrypted(self, fluentd: Fake, writing: Writing, ca: trustme.CA) -> None:
        server = fluentd(context=self.context(ca), shared_key="k")
        tls = ClientTls(ca=ca.cert_pem.bytes())
        logger = writing(f"tls://{server.address}", tls=tls, shared_key="k", ack=True)
        for number in range(3):
            logger.log(Level.INFO, str(number))
            assert logger.flush(10)
        assert told(server) == ["0", "1", "2"]
        assert server.connections == 1

    def test_server_of_another_root_gets_nothing(
        self, fluentd: Fake, writing: Writing, ca: trustme.CA, log: MemoryLogger
    ) -> None:
        server = fluentd(context=self.context(trustme.CA()))
        tls = ClientTls(ca=ca.cert_pem.bytes())
        writing(f"tls://{server.address}", tls=tls, patience=0).log(Level.INFO, "m")
        while not log.records:
            time.sleep(0.01)
        assert "CERTIFICATE_VERIFY_FAILED" in str(log.records[0][2]["error"])
        assert server.records == []

    def test_server_of_another_name_gets_nothing_unless_it_is_named(
        self, fluentd: Fake, writing: Writing, ca: trustme.CA, log: MemoryLogger
    ) -> None:
        server = fluentd(context=self.context(ca, "fluentd.test"))
        roots = ca.cert_pem.bytes()
        writing(f"tls://{server.address}", tls=ClientTls(ca=roots), patience=0).log(Level.INFO, "m")
        while not log.records:
            time.sleep(0.01)
        assert server.records == []
        tls = ClientTls(ca=roots, server_name="fluentd.test")
        writing(f"tls://{server.address}", tls=tls).log(Level.INFO, "m")
        server.wait_for(lambda: told(server) == ["m"])

    def test_roots_that_change_are_read_again(
        self, fluentd: Fake, writing: Writing, tmp_path: Path, ca: trustme.CA
    ) -> None:
        file = tmp_path / "ca.pem"
        trustme.CA().cert_pem.write_to_path(str(file))
        server = fluentd(context=self.context(ca))
        logger = writing(f"tls://{server.address}", tls=ClientTls(ca=str(file)))
        logger.log(Level.INFO, "m")
        server.wait_for(lambda: server.connections)
        ca.cert_pem.write_to_path(str(file))
        os.utime(file, (1, 1))
        server.wait_for(lambda: told(server) == ["m"])


PROGRAM = """
import os, sys
from kratos.log import Helper, setup
log = Helper(setup(logger=sys.argv[1], fields={"team": "shop"}))
log.info("before")
if "fork" in sys.argv:
    child = os.fork()
    if not child:
        log.info("of the child")
        sys.exit(0)
    os.waitpid(child, 0)
log.info("after")
if "die" in sys.argv:
    raise SystemExit(3)
"""


def ran(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # Newer versions of Python warn of forks of processes with threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )


def test_chosen_by_a_url_it_takes_all_that_a_process_logs_to_its_end(fluentd: Fake) -> None:
    server = fluentd()
    done = ran(f"fluent://{server.address}?tag_prefix=shop&linger=60s&ack=true", "die")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert [(tag, record) for tag, _, record in server.records] == [
        ("shop.INFO", {"msg": "before", "team": "shop"}),
        ("shop.INFO", {"msg": "after", "team": "shop"}),
    ]


def test_child_of_a_fork_has_a_connection_of_its_own(fluentd: Fake) -> None:
    server = fluentd()
    done = ran(f"fluent://{server.address}?ack=true", "fork")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(told(server)) == ["after", "before", "of the child"]
    assert server.connections == 2


def test_what_is_lost_at_the_end_is_told_on_standard_error() -> None:
    done = ran(f"fluent://127.0.0.1:{free_port()}?patience=1s")
    assert done.returncode == 0
    # That it cannot be reached is told before, if the process lasts for as long as that takes.
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["msg"], last["records"]) == ("records for Fluentd were lost", 2)
    assert "ConnectionRefusedError" in last["error"]


def test_layers_of_kratos_stand_before_it_as_before_any(fluentd: Fake, writing: Writing) -> None:
    server = fluentd()
    logger = writing(f"tcp://{server.address}", level=Level.INFO)
    assert [logger.enabled(level) for level in Level] == [False, True, True, True, True]
    root = RootLogger(LogSettings(level=Level.DEBUG, logger=""), logger)
    Helper(with_(root, a=1)).debug("not wanted")
    Helper(with_(root, a=1)).error("%d of them", 3, b=2)
    server.wait_for(lambda: server.records)
    assert server.records[0][2] == {"msg": "3 of them", "a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("address", "options", "message"),
    [
        ("udp://h:1", {}, "unknown network: udp"),
        ("h:1", {}, "it must look like"),
        ("tcp://", {}, "give one host, or the path"),
        ("tcp://a,b", {}, "give one host and its port"),
        ("tcp://h/p", {}, "give one host, or the path"),
        ("unix://h/p", {}, "give one host, or the path"),
        ("tcp://u:hunter2@h", {}, "give one host and its port, and nothing else"),
        ("tcp://h", {"tls": ClientTls()}, "write tls:// for TLS"),
        ("tcp://h", {"username": "u"}, "go with a shared_key"),
        ("tcp://h", {"mode": "gzip"}, "mode is packed, forward or message"),
        ("tcp://h", {"mode": "forward", "compress": True}, "compress is for the mode packed"),
        ("tcp://h", {"message_key": "stack"}, "message_key cannot be 'stack'"),
        ("tcp://h", {"limit_bytes": 0}, "limit_bytes"),
        ("tcp://h", {"max_retry": -1}, "max_retry"),
        ("tcp://h", {"timeout": 0}, "timeout"),
        ("tcp://h", {"linger": -1}, "linger"),
        ("tcp://h", {"patience": float("inf")}, "patience"),
        ("tcp://h", {"log": 7}, "log"),
        ("tcp://h", {"log": FluentLogger()}, "round in circles"),
    ],
)
def test_wrong_option_is_named(address: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        FluentLogger(address, **options)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("fluent://h", {"address": "tcp://h:24224"}),
        ("fluent://h/", {"address": "tcp://h:24224"}),
        ("fluent://[::1]:9", {"address": "tcp://[::1]:9"}),
        ("fluent:///run/fluent.sock", {"address": "unix:///run/fluent.sock"}),
        (
            "fluents://ada:p%40ss@h?ca=/ca.pem&shared_key=k&hostname=here",
            {
                "address": "tls://h:24224",
                "tls": ClientTls(ca="/ca.pem"),
                "username": "ada",
                "password": "p@ss",
                "shared_key": "k",
                "hostname": "here",
            },
        ),
        (
            "fluent://h?mode=message&ack=true&typed=false&max_retry=0&linger=20ms&patience=1m30s",
            {
                "address": "tcp://h:24224",
                "mode": "message",
                "ack": True,
                "typed": False,
                "max_retry": 0,
                "linger": 0.02,
                "patience": 90.0,
            },
        ),
    ],
)
def test_url_says_what_the_constructor_takes(url: str, arguments: dict[str, Any]) -> None:
    assert arguments_of(parse_url(url)) == arguments


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("fluent://h?tga=x", "unknown option 'tga'.*known: ack, "),
        ("fluent://a,b", "give one host"),
        ("fluent://", "give a host, or the path"),
        ("fluent:///", "give a host, or the path"),
        ("fluent://h:1/shop", "a host has no path; a Unix socket is fluent:///path"),
        ("fluents:///run/fluent.sock", "a Unix socket has no TLS"),
        ("fluent://h?ca=x", "write fluents:// for TLS"),
        ("fluent://h?ack=yes", "must be true or false"),
        ("fluents://h?ca=/no/such/file", "/no/such/file"),
        ("fluent://h?mode=x", "mode is packed"),
    ],
)
def test_wrong_url_is_refused_with_what_is_wrong(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FluentLogger.from_url(url)


def test_thread_is_gone_when_the_logger_is_closed(fluentd: Fake, writing: Writing) -> None:
    server = fluentd()
    before = set(threading.enumerate())
    logger = writing(f"tcp://{server.address}")
    assert set(threading.enumerate()) == before, "nothing is started before the first record"
    logger.log(Level.INFO, "m")
    server.wait_for(lambda: server.records)
    logger.close()
    assert [t for t in set(threading.enumerate()) - before if "fluent" in t.name] == []


def test_connection_that_is_not_used_is_given_up_and_made_again(
    fluentd: Fake, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writer, "_IDLE", 0.02)
    server = fluentd()
    before = set(threading.enumerate())
    logger = writing(f"tcp://{server.address}", ack=True)
    for number in range(3):
        logger.log(Level.INFO, str(number))
        server.wait_for(lambda: len(server.records) == number + 1)  # noqa: B023 - waited for here
        while any(each.name == "kratos-log-fluent" for each in set(threading.enumerate()) - before):
            time.sleep(0.01)
    assert told(server) == ["0", "1", "2"]
    assert server.connections == 3
    assert logger.flush(1)
    logger.close()
    assert logger.dropped == 0


def no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("then", ["log", "flush", "close"])
def test_record_waits_while_no_thread_can_be_had(
    fluentd: Fake, writing: Writing, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    server = fluentd()
    logger = writing(f"tcp://{server.address}")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        logger.log(Level.INFO, "m")
        assert not logger.flush(0)
    if then == "log":
        logger.log(Level.INFO, "n")
    else:
        getattr(logger, then)()
    server.wait_for(lambda: told(server) == (["m", "n"] if then == "log" else ["m"]))
    assert logger.dropped == 0


def test_record_that_comes_as_the_thread_ends_is_delivered_at_the_end_of_the_process(
    fluentd: Fake, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fluentd()
    logger = writing(f"tcp://{server.address}")
    ends: list[Any] = []
    over = threading.Event()

    class Ends:
        register = staticmethod(ends.append)

        @staticmethod
        def unregister(end: Any) -> None:
            if not over.is_set():
                monkeypatch.setattr(_writer, "_IDLE", 3600)
                other = threading.Thread(target=logger.log, args=(Level.INFO, "just then"))
                other.start()
                other.join(0.5)  # which may have to wait until this is done
            ends[:] = [each for each in ends if each != end]
            over.set()

    monkeypatch.setattr(_writer, "atexit", Ends)
    monkeypatch.setattr(_writer, "_IDLE", 0.02)
    logger.log(Level.INFO, "m")
    assert over.wait(10)
    server.wait_for(lambda: told(server) == ["m", "just then"])
    assert len(ends) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there are no such signals")
def test_handler_of_a_signal_may_log_while_its_thread_does(fluentd: Fake, writing: Writing) -> None:
    server = fluentd()
    logger = writing(f"tcp://{server.address}", linger=0.05)
    done = threading.Event()

    def handle(*_: Any) -> None:
        logger.log(Level.INFO, "handler")
        if not done.is_set():
            signal.setitimer(signal.ITIMER_REAL, 0.0005)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        for _ in range(5000):
            logger.log(Level.INFO, "main")
        done.set()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert logger.flush(10)
    server.wait_for(lambda: told(server).count("main") == 5000)
