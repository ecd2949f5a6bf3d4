"""Lines on their way to a descriptor that takes them, or does not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kratos import App
from kratos.log import (
    Level,
    LineLogger,
    QueuedWriter,
    count_dropped,
    flush_all,
    include_writer,
    standard_error,
)
from kratos.metrics import MemoryMeter

LINE = b"x" * 1023 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for each in (read, write):
        try:
            os.close(each)
        except OSError:
            continue  # the test has closed it


@pytest.fixture
def writer(pipe: tuple[int, int]) -> Iterator[QueuedWriter]:
    """A writer to a pipe that is full, so that all it is given waits."""
    os.set_blocking(pipe[1], False)
    try:
        while True:
            os.write(pipe[1], LINE)
    except BlockingIOError:
        os.set_blocking(pipe[1], True)
    writer = QueuedWriter(pipe[1], limit=100, limit_bytes=10 * len(LINE), patience=0.01)
    yield writer
    writer.close()


def read_all(descriptor: int, writer: QueuedWriter) -> bytes:
    """Read all that is written, and what the writer adds to it."""
    parts: list[bytes] = []

    def read() -> None:
        while not b"".join(parts[-2:]).endswith(b"end\n"):
            parts.append(os.read(descriptor, 1 << 20))

    reading = threading.Thread(target=read)
    reading.start()
    assert writer.flush(20)
    writer.write(b"end\n")
    reading.join(20)
    return b"".join(parts)


def lines_of(data: bytes) -> Sequence[bytes]:
    return data.split(b"\n")[:-1]


def test_bytes_that_wait_are_bounded_however_few_lines_they_are(writer: QueuedWriter) -> None:
    for _ in range(25):
        writer.write(LINE)
    assert writer.waiting == 10 * len(LINE)
    assert writer.dropped == 15


def test_line_that_is_longer_than_all_that_may_wait_is_dropped(pipe: tuple[int, int]) -> None:
    writer = QueuedWriter(pipe[1], limit_bytes=10)
    writer.write(b"x" * 10 + b"\n")
    assert writer.dropped == 1
    writer.close()


def test_bytes_that_are_written_wait_no_longer(pipe: tuple[int, int]) -> None:
    writer = QueuedWriter(pipe[1])
    for _ in range(5):
        writer.write(LINE)
    assert writer.flush(10)
    assert writer.waiting == 0
    writer.close()


def test_line_tells_how_many_were_lost_when_they_get_through_again(
    writer: QueuedWriter, pipe: tuple[int, int]
) -> None:
    for _ in range(25):
        writer.write(LINE)
    told = [json.loads(line) for line in lines_of(read_all(pipe[0], writer)) if line[:1] == b"{"]
    assert [(line["level"], line["lines"]) for line in told] == [("WARN", 15)]


def test_loss_is_told_in_the_form_of_the_logger(
    writer: QueuedWriter, pipe: tuple[int, int]
) -> None:
    logger = LineLogger(writer, format="text", now=lambda: 0.0)
    for _ in range(15):
        logger.log(Level.INFO, "x" * 990)
    assert writer.dropped > 0
    expected = f"WARN  lines of the log were dropped lines={writer.dropped}"
    assert expected.encode() in read_all(pipe[0], writer)


def test_descriptor_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    # As when a program that shares the terminal has made it so.
    os.set_blocking(pipe[1], False)
    writer = QueuedWriter(pipe[1])
    for number in range(500):
        writer.write(b"%d " % number + LINE)
    numbers = [int(line.split()[0]) for line in lines_of(read_all(pipe[0], writer))[:500]]
    assert numbers == list(range(500))
    assert writer.dropped == 0
    writer.close()


def test_reader_that_is_gone_costs_each_line_and_no_other_harm(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = QueuedWriter(pipe[1])
    for _ in range(3):
        writer.write(b"x\n")
        assert writer.flush(10)
    assert writer.dropped == 3
    assert writer.waiting == 0
    writer.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_disk_that_is_full_costs_lines_until_there_is_room(pipe: tuple[int, int]) -> None:
    place = os.open("/dev/full", os.O_WRONLY)
    writer = QueuedWriter(place)
    for _ in range(3):
        writer.write(b"x\n")
    assert writer.flush(10)
    assert writer.dropped == 3
    os.dup2(pipe[1], place)  # now there is
    writer.write(b"y\n")
    assert writer.flush(10)
    first, loss = lines_of(os.read(pipe[0], 1000))
    assert first == b"y"
    assert json.loads(loss)["lines"] == 3
    writer.close()
    os.close(place)


def test_line_that_was_torn_off_runs_into_no_other(tmp_path: Path) -> None:
    program = """
import os, resource, signal, sys
from kratos.log import QueuedWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5, resource.RLIM_INFINITY))
place = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
writer = QueuedWriter(place)
writer.write(b"one\\n")
writer.write(b"two\\n")
assert writer.flush(10)
assert writer.dropped == 1, writer.dropped
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.write(b"three\\n")
assert writer.flush(10)
"""
    file = tmp_path / "log"
    if sys.platform == "win32":
        pytest.skip("no limits of files on this system")
    subprocess.run([sys.executable, "-c", program, str(file)], check=True)
    first, torn, third, loss = lines_of(file.read_bytes())
    assert (first, torn, third) == (b"one", b"t", b"three")
    assert json.loads(loss)["lines"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_lines_of_processes_on_one_pipe_stay_whole() -> None:
    program = """
import os, sys
from kratos.log import QueuedWriter
writer = QueuedWriter()
children = [os.fork() for _ in range(2)] if len(sys.argv) == 1 else []
name = b"abc"[sum(1 for child in children if child == 0):][:1]
for _ in range(2000):
    writer.write(name * 99 + b"\\n")
ended = writer.flush(60)
if 0 in children:
    os._exit(not ended)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    lines = lines_of(ran.stderr)
    assert len(lines) == 8000  # the first child has a child, too
    assert {len(line) for line in lines} == {99}
    assert all(len(set(line)) == 1 for line in lines)


def test_signal_handler_may_log_while_its_thread_does() -> None:
    program = """
import signal
from kratos.log import Helper, LineLogger
log = Helper(LineLogger(format="json"))

def handle(*_):
    log.info("handler")
    # Not by an interval: on a busy machine one handler would begin within another, without end.
    signal.setitimer(signal.ITIMER_REAL, 0.0005)

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
for _ in range(30_000):
    log.info("program")
signal.signal(signal.SIGALRM, signal.SIG_IGN)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    )
    assert b"handler" in ran.stderr


def test_what_a_signal_ends_at_once_has_written_its_lines() -> None:
    program = """
import signal
from kratos.app._signals import end_process
from kratos.log import Helper, Level, LineLogger
log = Helper(LineLogger(format="json"))
for _ in range(1000):
    log.info("m")
end_process(signal.SIGTERM)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ran.returncode == -15
    assert ran.stderr.count(b"\n") == 1000


def test_all_writers_are_flushed_together(pipe: tuple[int, int]) -> None:
    writer = QueuedWriter(pipe[1])
    writer.write(b"x\n")
    flush_all(10)
    assert os.read(pipe[0], 10) == b"x\n"
    writer.close()


class Elsewhere:
    """A writer of another kind."""

    dropped = 3

    def __init__(self) -> None:
        self.flushed: list[float | None] = []

    def flush(self, timeout: float | None = None) -> bool:
        self.flushed.append(timeout)
        return True

    def restart(self) -> None:
        raise AssertionError("nothing was forked")


def test_writers_of_other_kinds_are_flushed_and_counted_while_they_are_there() -> None:
    meter = MemoryMeter()
    before = meter_value(meter)
    writer = Elsewhere()
    include_writer(writer)
    flush_all(10)
    (timeout,) = writer.flushed
    assert timeout is not None
    assert 0 < timeout <= 10
    assert meter_value(meter) - before == 3
    gone = weakref.ref(writer)
    del writer
    assert gone() is None


def test_standard_error_has_one_writer() -> None:
    assert standard_error() is standard_error()


@pytest.mark.parametrize("option", ["limit", "limit_bytes"])
def test_limits_must_let_something_through(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        QueuedWriter(**{option: 0})


def test_dropped_lines_are_counted_once_however_often_it_is_asked_for(
    writer: QueuedWriter,
) -> None:
    meter = MemoryMeter()
    before = meter_value(meter)
    for _ in range(25):
        writer.write(LINE)
    count_dropped(meter)
    assert meter_value(meter) - before == 15
    assert meter_value(meter) - before == 15


class Gone:
    """A writer that drops what it is told to have dropped."""

    dropped = 0

    def flush(self, timeout: float | None = None) -> bool:
        return True

    def restart(self) -> None:
        pass


def test_dropped_lines_are_counted_though_another_writer_is_gone() -> None:
    meter = MemoryMeter()
    gone, stays = Gone(), Gone()
    include_writer(gone)
    include_writer(stays)
    gone.dropped = 1000
    before = meter_value(meter)
    stays.dropped = 3
    del gone
    assert meter_value(meter) - before == 3


def meter_value(meter: MemoryMeter) -> float:
    count_dropped(meter)
    return meter.value("log_lines_dropped_total")


async def test_application_counts_dropped_lines_with_its_meter() -> None:
    meter = MemoryMeter()
    await App(metrics=meter, after_start=[App.stop], signals=()).run()
    assert meter.value("log_lines_dropped_total") >= 0


@pytest.mark.parametrize("end", ["flush", "close"])
def test_lines_that_come_close_together_are_written_at_once(end: str) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        writer = QueuedWriter(there.fileno(), patience=20, linger=3600)
        for number in range(3):
            writer.write(b"%d\n" % number)
        if end == "flush":
            assert writer.flush(20)
        else:
            writer.close()
        assert here.recv(100) == b"0\n1\n2\n"
        writer.close()


def test_writer_lingers_no_negative_time() -> None:
    with pytest.raises(ValueError, match="linger must not be negative"):
        QueuedWriter(linger=-1)
