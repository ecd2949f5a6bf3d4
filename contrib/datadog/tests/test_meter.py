from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos import App, plugins
from kratos.errors import ConfigError
from kratos.log import Level
from kratos.middleware import metrics
from kratos.process import become_worker
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.log import MemoryLogger
from kratos.testing.service import serving
from kratos_datadog import DogStatsdMeter
from kratos_datadog._agent import Socket
from kratos_datadog.lines import packets, value_lines

Metering = Callable[..., DogStatsdMeter]


def lines(agent: Any) -> list[str]:
    agent.read()
    return sorted(line for packet in agent.packets for line in packet.decode().split("\n"))


class Wrong:
    """Behaves like a number until it is written."""

    def __radd__(self, other: object) -> Wrong:
        return self

    def __le__(self, other: object) -> bool:
        return True

    __ge__ = __lt__ = __gt__ = __le__

    def __float__(self) -> float:
        raise TypeError("no number")


class TestWire:
    def test_each_kind_has_its_line(self, agent: Any, metering: Metering) -> None:
        meter = metering(agent.address, namespace="shop", tags=["team:a,b"])
        meter.counter("orders_total", labels=("country", "kind")).labels("ch", "x|y").inc(3)
        meter.gauge("waiting").set(2.5)
        meter.histogram("seconds", unit="s").observe(0.25)
        meter.histogram("sizes", unit="By").observe(1e-7)
        assert meter.flush()
        assert lines(agent) == [
            "shop.orders_total:3|c|#country:ch,kind:x_y,team:a_b",
            "shop.seconds:250|ms|#team:a_b",
            "shop.sizes:1e-07|h|#team:a_b",
            "shop.waiting:2.5|g|#team:a_b",
        ]

    @pytest.mark.parametrize(("histograms", "kind"), [("distribution", "d"), ("histogram", "h")])
    def test_histograms_may_be_of_another_kind(
        self, agent: Any, metering: Metering, histograms: str, kind: str
    ) -> None:
        meter = metering(agent.address, histograms=histograms)
        seconds = meter.histogram("seconds", unit="s")
        for value in (0.25, 1, 0.5):
            seconds.observe(value)
        meter.flush()
        assert lines(agent) == [f"seconds:0.25:1:0.5|{kind}"]

    def test_what_was_counted_is_sent_once_and_gauges_again(
        self, agent: Any, metering: Metering
    ) -> None:
        meter = metering(agent.address)
        counter, gauge = meter.counter("a"), meter.gauge("b")
        for _ in range(1000):
            counter.inc()
        gauge.add(5)
        for _ in range(3):
            meter.flush()
        counter.inc(0)
        gauge.add(-2)
        meter.flush()
        assert lines(agent) == ["a:1000|c", "b:3|g", "b:5|g", "b:5|g", "b:5|g"]

    def test_numbers_that_datadog_has_not_are_left_out(
        self, agent: Any, metering: Metering
    ) -> None:
        meter = metering(agent.address)
        for value in (float("nan"), float("inf"), -float("inf")):
            meter.histogram("h").observe(value)
            meter.gauge("g").set(value)
            with pytest.raises(ValueError, match="only grows"):
                meter.counter("c").inc(value)
        meter.flush()
        assert lines(agent) == []

    def test_value_that_is_no_number_spoils_nothing_else(
        self, agent: Any, metering: Metering, log: MemoryLogger
    ) -> None:
        meter = metering(agent.address)
        wrong: Any = Wrong()
        meter.counter("a", labels=("b",)).labels("c").inc(wrong)
        meter.counter("d").inc()
        meter.flush()
        assert lines(agent) == ["d:1|c"]
        assert log.messages() == ["a metric cannot be sent"]
        assert meter.dropped == 1

    def test_part_of_the_values_is_sent_with_its_rate(self, agent: Any, metering: Metering) -> None:
        meter = metering(agent.address, sample_rate=0.25)
        for _ in range(4000):
            meter.histogram("h").observe(1)
        meter.flush()
        told = agent.read()
        assert {line.rate for line in told} == {0.25}
        assert 800 < sum(len(line.values) for line in told) < 1200

    @pytest.mark.parametrize("value", ["", "ünï", "a\nb:1|c", "x" * 10_000, "\ud800", "a#b,c"])
    def test_text_of_strangers_forges_no_line_and_no_tag(
        self, agent: Any, metering: Metering, value: str
    ) -> None:
        meter = metering(agent.address)
        meter.counter("a", labels=("reason", "kind")).labels(value, "x").inc()
        meter.flush()
        (line,) = agent.read()
        assert (line.name, line.values) == ("a", (1.0,))
        assert [tag.partition(":")[0] for tag in line.tags] == ["reason", "kind"]

    def test_further_values_of_labels_are_counted_together_and_that_is_told_once(
        self, agent: Any, metering: Metering, log: MemoryLogger
    ) -> None:
        meter = metering(agent.address, max_series=2)
        orders = meter.counter("orders_total", labels=("order", "kind"))
        for number in range(5):
            orders.labels(str(number), "a").inc()
        orders.labels("1", "a").inc()
        assert meter.flush()
        assert lines(agent) == [
            "orders_total:1|c|#order:0,kind:a",
            "orders_total:2|c|#order:1,kind:a",
            "orders_total:3|c|#order:other,kind:other",
        ]
        ((level, _, fields),) = log.records
        assert level is Level.WARN
        assert fields == {"metric": "orders_total", "most": 2, "first": "2,a"}

    def test_packets_keep_to_their_size(self, agent: Any, metering: Metering) -> None:
        meter = metering(agent.address)
        counter = meter.counter("a", labels=("number",))
        histogram = meter.histogram("h")
        for number in range(500):
            counter.labels(str(number)).inc()
            histogram.observe(number + 0.123456789)
        assert meter.flush()
        told = agent.read()
        assert sum(line.values[0] for line in told if line.kind == "c") == 500
        assert sorted(value for line in told if line.kind == "h" for value in line.values) == [
            number + 0.123456789 for number in range(500)
        ]
        assert max(map(len, agent.packets)) <= 1432
        assert len(agent.packets) < 20

    def test_line_that_no_agent_reads_is_dropped(self, agent: Any, metering: Metering) -> None:
        meter = metering(agent.address, namespace="n" * 9000)
        meter.counter("a").inc()
        assert meter.flush()
        assert meter.dropped == 1
        assert lines(agent) == []

    async def test_calls_are_counted_under_the_names_of_go_kratos(
        self, agent: Any, metering: Metering
    ) -> None:
        meter = metering(agent.address)
        async with serving(EchoService(), middleware=[metrics(meter)]) as caller:
            await caller.unary(ECHO, text("hello"))
        await asyncio.to_thread(meter.flush)
        count, seconds = sorted(agent.read(), key=lambda line: line.name)
        tags = ("kind:local", "operation:/kratos.testing.Echo/Echo", "code:200", "reason:")
        assert (count.name, count.kind, count.values) == ("server_requests_code_total", "c", (1,))
        assert count.tags == tags
        assert (seconds.name, seconds.kind) == ("server_requests_seconds", "ms")
        assert seconds.tags == tags[:2]


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    st.integers(min_value=64, max_value=9000),
)
def test_values_are_all_there_in_their_order_within_lines(values: list[float], most: int) -> None:
    told: list[float] = []
    for line in value_lines("name", values, "|h|#a:b", most):
        assert len(line) <= most
        head, _, tail = line.decode().partition("|")
        assert tail == "h|#a:b"
        told += map(float, head.split(":")[1:])
    assert told == values


@given(st.lists(st.binary(min_size=1, max_size=100)), st.integers(min_value=1, max_value=300))
def test_lines_are_all_there_in_their_order_within_packets(lines: list[bytes], most: int) -> None:
    told: list[bytes] = []
    for packet in packets(lines, most):
        assert len(packet) == 1 or len(b"\n".join(packet)) <= most
        told += packet
    assert told == lines


class TestSending:
    def test_thread_sends_by_itself(self, agent: Any, metering: Metering) -> None:
        before = set(threading.enumerate())
        meter = metering(agent.address, interval=0.01)
        counter = meter.counter("a")
        assert set(threading.enumerate()) == before, "nothing is started before the first value"
        counter.inc()
        agent.wait()
        assert lines(agent) == ["a:1|c"]
        meter.close()
        assert "kratos-datadog" not in {each.name for each in set(threading.enumerate()) - before}

    def test_many_values_are_sent_ahead_of_time(self, agent: Any, metering: Metering) -> None:
        histogram = metering(agent.address).histogram("a")
        for _ in range(6000):
            histogram.observe(1)
        agent.wait()

    def test_unix_socket_takes_larger_packets(
        self, agents: Callable[..., Any], metering: Metering, tmp_path: Path
    ) -> None:
        agent = agents(tmp_path / "s")
        meter = metering(agent.address)
        counter = meter.counter("a", labels=("number",))
        for number in range(500):
            counter.labels(str(number)).inc()
        reading = threading.Thread(target=agent.wait)
        reading.start()
        assert meter.flush()
        reading.join()
        assert len(agent.read()) == 500
        assert 1432 < max(map(len, agent.packets)) <= 8192

    def test_counters_go_on_until_the_socket_is_there(
        self,
        agents: Callable[..., Any],
        metering: Metering,
        tmp_path: Path,
        log: MemoryLogger,
    ) -> None:
        path = tmp_path / "s"
        meter = metering(f"unix://{path}", limit=10)
        counter, histogram = meter.counter("a"), meter.histogram("h")
        for _ in range(3):
            counter.inc()
            for _ in range(5):
                histogram.observe(1)
            assert not meter.flush()
        assert log.messages() == ["Datadog's agent cannot be reached"]
        assert "FileNotFoundError" in str(log.records[0][2]["error"])
        assert meter.dropped == 5
        agent = agents(path)
        assert meter.flush()
        assert lines(agent) == ["a:3|c", "h:1:1:1:1:1:1:1:1:1:1|h"]
        histogram.observe(2)
        assert meter.flush()
        assert lines(agent)[-1] == "h:2|h"

    def test_agent_that_was_started_again_is_found(
        self, agents: Callable[..., Any], metering: Metering, tmp_path: Path
    ) -> None:
        path = tmp_path / "s"
        first = agents(path)
        meter = metering(first.address)
        meter.counter("a").inc()
        assert meter.flush()
        first.close()
        path.unlink()
        meter.counter("a").inc()
        assert not meter.flush()  # which is the one that is lost: nothing tells before
        assert meter.dropped == 1
        second = agents(path)
        meter.counter("a").inc(5)
        assert meter.flush()
        assert lines(second) == ["a:5|c"]

    def test_udp_without_anybody_to_listen_fails_nobody(
        self, metering: Metering, log: MemoryLogger
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        meter = metering(f"udp://127.0.0.1:{port}")
        for _ in range(10):
            meter.counter("a").inc()
            meter.flush()
        assert log.messages() == ["Datadog's agent cannot be reached"]
        assert meter.dropped > 0

    def test_name_that_nobody_knows_is_told(self, metering: Metering, log: MemoryLogger) -> None:
        meter = metering("udp://no-such-host.invalid")
        meter.counter("a").inc()
        assert not meter.flush()
        assert "gaierror" in str(log.records[0][2]["error"])

    def test_agent_that_reads_nothing_blocks_nobody(
        self, agents: Callable[..., Any], metering: Metering, tmp_path: Path
    ) -> None:
        agent = agents(tmp_path / "s")
        meter = metering(agent.address, interval=0.02, patience=0.1)
        counter = meter.counter("a", labels=("number",))
        began = time.perf_counter()
        for number in range(20_000):
            counter.labels(str(number)).inc()
        assert time.perf_counter() - began < 15
        while not meter.dropped:
            time.sleep(0.01)
        began = time.perf_counter()
        meter.close()
        assert time.perf_counter() - began < 15

    async def test_publishers_run_in_the_loop(self, agent: Any, metering: Metering) -> None:
        meter = metering(agent.address, interval=0.01)
        gauge = meter.gauge("g")
        published = asyncio.Event()
        threads: set[threading.Thread] = set()

        def publish() -> None:
            threads.add(threading.current_thread())
            gauge.set(7)
            published.set()

        meter.on_collect(publish)
        await asyncio.wait_for(published.wait(), 10)
        await asyncio.to_thread(agent.wait)
        assert threads == {threading.current_thread()}
        assert lines(agent)[0] == "g:7|g"

    def test_loop_that_stands_still_is_asked_for_nothing(
        self, agent: Any, metering: Metering
    ) -> None:
        meter = metering(agent.address)
        told: list[None] = []

        async def begin() -> None:
            meter.on_collect(lambda: told.append(None))

        with asyncio.Runner() as runner:
            runner.run(begin())
            for _ in range(3):
                meter.flush()
            runner.run(asyncio.sleep(0))
        assert told == []

    async def test_end_is_not_kept_by_a_loop_that_waits_for_it(
        self, agent: Any, metering: Metering
    ) -> None:
        meter = metering(agent.address, patience=60)
        meter.on_collect(lambda: None)
        meter.counter("a").inc()
        began = time.perf_counter()
        meter.close()
        assert time.perf_counter() - began < 15
        assert lines(agent) == ["a:1|c"]

    def test_gauges_of_a_worker_are_told_apart(
        self, agent: Any, metering: Metering, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from kratos import process

        monkeypatch.setattr(process, "_slots", [])
        become_worker(3)
        meter = metering(agent.address)
        meter.gauge("g", labels=("a",), across="sum").labels("b").set(1)
        meter.counter("c").inc()
        meter.flush()
        assert lines(agent) == ["c:1|c", "g:1|g|#a:b,worker:3"]


PROGRAM = """
import os
from kratos.metrics import default_meter
meter = default_meter()
counter = meter.counter("orders_total")
gauge = meter.gauge("waiting")
gauge.set(4)
counter.inc(2)
child = os.fork()
if not child:
    counter.inc(5)
    raise SystemExit(0)
os.waitpid(child, 0)
"""


def test_installed_it_is_the_meter_of_a_process_and_sends_to_its_end(agent: Any) -> None:
    environment = {
        **os.environ,
        "KRATOS_PLUGINS_DISABLED": others("kratos.metrics", "datadog"),
        "DD_AGENT_HOST": "127.0.0.1",
        "DD_DOGSTATSD_PORT": str(agent.port),
        "DD_ENV": "prod",
        "DD_SERVICE": "shop",
        "DD_TAGS": "team:a b:c",
    }
    done = subprocess.run(
        # Newer versions of Python warn of forks of processes with threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    tags = "#team:a,b:c,env:prod,service:shop"
    assert lines(agent) == [
        f"orders_total:2|c|{tags}",
        f"orders_total:5|c|{tags}",
        f"waiting:4|g|{tags}",
    ]


FORKED_WHILE_IT_SENDS = """
import os, sys, threading
from kratos_datadog import DogStatsdMeter
from kratos_datadog._agent import Socket
sending, go_on = threading.Event(), threading.Event()
send = Socket.send
def slow(self, packet):
    sending.set()
    go_on.wait()
    send(self, packet)
Socket.send = slow
meter = DogStatsdMeter(sys.argv[1], interval=0.01, max_packet=64)
counters = [meter.counter(f"{name}_{'x' * 40}") for name in "abc"]
with meter._sender.lock:
    for counter in counters:
        counter.inc()
sending.wait()  # the last of them is not taken yet
child = os.fork()
if not child:
    Socket.send = send
    counters[2].inc(5)
    raise SystemExit(0)
go_on.set()
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_process_that_was_forked_while_it_sent_counts_on(agent: Any) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED_WHILE_IT_SENDS]
    done = subprocess.run([*command, agent.address], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    x = "x" * 40
    assert lines(agent) == [f"a_{x}:1|c", f"b_{x}:1|c", f"c_{x}:1|c", f"c_{x}:5|c"]


def no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("more", [0, 2])
def test_what_is_counted_while_no_thread_can_be_had_is_sent_later(
    agent: Any, metering: Metering, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    meter = metering(agent.address, patience=30)
    counters = meter.counter("c", labels=("a",))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        counters.labels("b").inc()
    if more:
        counters.labels("d").inc(more)
    meter.close()
    assert lines(agent) == ["c:1|c|#a:b", "c:2|c|#a:d"][: 2 if more else 1]


def test_what_is_counted_while_it_sends_is_sent_when_it_is_closed(
    agent: Any, metering: Metering, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending, closed = threading.Event(), threading.Event()
    send = Socket.send

    def slow(self: Socket, packet: bytes) -> None:
        sending.set()
        closed.wait()
        send(self, packet)

    monkeypatch.setattr(Socket, "send", slow)
    meter = metering(agent.address, interval=0.001, patience=30)
    counter = meter.counter("c")
    counter.inc()
    sending.wait()
    counter.inc(2)
    untyped: Any = meter
    wake: threading.Event = untyped._sender._wake
    wake_up = wake.set

    def tell() -> None:
        wake_up()
        closed.set()

    monkeypatch.setattr(wake, "set", tell)
    meter.close()
    assert lines(agent) == ["c:1|c", "c:2|c"]


def others(group: str, name: str) -> str:
    """Return what leaves one plug-in of a group."""
    found = {plugin.name for plugin in plugins.find(group)} | set(NAMES)
    return ",".join(f"{group}:{each}" for each in sorted(found - {name}))


NAMES = ("otel", "prometheus")  # which the tests of all members leave out


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(plugins.DISABLED, others("kratos.metrics", "datadog"))
    plugins.clear()
    yield
    monkeypatch.undo()
    plugins.clear()


@pytest.mark.usefixtures("installed")
def test_application_takes_it_once_it_is_installed() -> None:
    taken = App(name="orders").options.metrics
    assert isinstance(taken, DogStatsdMeter)
    assert App(name="others").options.metrics is taken


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "udp://127.0.0.1:8125"),
        ({"DD_AGENT_HOST": "agent"}, "udp://agent:8125"),
        ({"DD_AGENT_HOST": "fe80::1", "DD_DOGSTATSD_PORT": "9"}, "udp://[fe80::1]:9"),
        ({"DD_DOGSTATSD_SOCKET": "/run/dsd"}, "unix:///run/dsd"),
        ({"DD_DOGSTATSD_URL": "unix:///a", "DD_AGENT_HOST": "b"}, "unix:///a"),
    ],
)
def test_environment_names_the_agent_as_for_datadogs_own_clients(
    metering: Metering,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    address: str,
) -> None:
    from kratos_datadog._agent import agent_of

    assert agent_of(None, environment).address == address


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "tcp://h:1"}, "address: tcp://h:1: write udp://host:port or unix:///path"),
        ({"address": "udp://"}, "give one host"),
        ({"address": "udp://u:hunter2@h"}, "give one host"),
        ({"address": "unix://h/p"}, "give one host"),
        ({"address": "h:1"}, "it must look like"),
        ({"namespace": "a b"}, "namespace"),
        ({"tags": "a:b"}, "tags is a list"),
        ({"histograms": "summary"}, "histograms are timing, distribution or histogram"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 2}, "sample_rate is at most 1"),
        ({"interval": 0}, "interval"),
        ({"max_packet": 10}, "max_packet"),
        ({"max_packet": 100_000}, "max_packet is at most 65507"),
        ({"limit": 0}, "limit"),
        ({"patience": -1}, "patience"),
        ({"log": 7}, "log"),
    ],
)
def test_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        DogStatsdMeter(**options)
    assert "hunter2" not in str(refused.value)


def test_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_DOGSTATSD_PORT", "many")
    with pytest.raises(ConfigError, match=r"DD_AGENT_HOST and DD_DOGSTATSD_PORT: .*many"):
        DogStatsdMeter()


@pytest.mark.parametrize(("name", "labels"), [("a b", ()), ("", ()), ("1a", ()), ("a", ("b-c",))])
def test_names_are_those_of_every_meter(
    metering: Metering, name: str, labels: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        metering("udp://h").counter(name, labels=labels)
