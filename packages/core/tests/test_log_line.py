from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kratos.config import Secret
from kratos.log import Level, LineLogger, QueuedWriter, context_fields, setup
from kratos.log import _json as module
from kratos.log.line import Format


class Lines:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, line: bytes, /) -> None:
        self.written.append(line)


@pytest.fixture(params=["orjson", "json"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name: str = request.param
    if name == "json":
        monkeypatch.setitem(sys.modules, "orjson", None)
    module.dumper.cache_clear()
    yield name
    module.dumper.cache_clear()


def no_number(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def logged(level: Level, message: str, /, **fields: object) -> Any:
    lines = Lines()
    LineLogger(lines, format="json", now=lambda: 1_700_000_000.25).log(level, message, fields)
    (line,) = lines.written
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return json.loads(line, parse_constant=no_number)


@dataclass
class Point:
    x: int
    secret: str = "hunter2"


@pytest.mark.usefixtures("codec")
def test_json_has_the_keys_of_slog_and_the_fields() -> None:
    assert logged(Level.INFO, "listening", port=80, tags=["a"], nested={"b": None}) == {
        "time": "2023-11-14T22:13:20.250000Z",
        "level": "INFO",
        "msg": "listening",
        "port": 80,
        "tags": ["a"],
        "nested": {"b": None},
    }


@pytest.mark.usefixtures("codec")
def test_field_of_a_name_that_is_taken_forges_nothing() -> None:
    line = logged(Level.INFO, "m", level="ERROR", time="never", stack="none")
    assert (line["level"], line["level_"], line["time_"], line["stack_"]) == (
        *("INFO", "ERROR", "never", "none"),
    )


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("line\nbreak", "line\nbreak"),
        ("\ud800", "\ud800"),
        (ValueError("no"), "ValueError: no"),
        (KeyError(), "KeyError"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("/a"), "/a"),
        (b"x", "b'x'"),
        ((1, 2), [1, 2]),
        (frozenset([1]), [1]),
        ({1: "a"}, {"1": "a"}),
        (Level.WARN, 30),
        (Secret("hunter2"), "***"),
        (1 << 70, 1 << 70),
        (float("inf"), None),
        ([1.5, {"a": float("nan")}], [1.5, {"a": None}]),
    ],
)
def test_values_of_all_types_are_written(value: object, shown: object) -> None:
    found = logged(Level.INFO, "m", v=value)["v"]
    assert found in (shown, str(shown), "\\ud800")


@pytest.mark.usefixtures("codec")
def test_number_that_json_has_not_beside_one_beyond_64_bits_is_null() -> None:
    line = logged(Level.INFO, "m", big=1 << 70, ratio=float("nan"), port=80)
    assert (line["big"], line["ratio"], line["port"]) == (1 << 70, None, 80)


@pytest.mark.usefixtures("codec")
def test_value_that_fails_or_holds_itself_costs_no_record() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    circle: list[object] = []
    circle.append(circle)
    assert "whose text fails: RuntimeError" in logged(Level.INFO, "m", v=Broken())["v"]
    assert logged(Level.INFO, "m", v=circle)["msg"] == "m"


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


@pytest.mark.parametrize("format", ["json", "text", "color"])
@pytest.mark.usefixtures("codec")
def test_whatever_is_logged_the_caller_goes_on(format: Format) -> None:  # noqa: A002
    deep: object = 1
    for _ in range(5000):
        deep = {"a": deep}
    lines = Lines()
    logger = LineLogger(lines, format=format)
    error = Speechless()
    logger.log(Level.ERROR, "m", {"error": error, "deep": deep, "both": [deep, error]})
    (line,) = lines.written
    assert b"Speechless, whose text fails: RuntimeError" in line


@pytest.mark.usefixtures("codec")
def test_number_that_json_lacks_makes_no_line_that_readers_drop() -> None:
    line = logged(Level.INFO, "m", ratio=float("nan"), latency=0.5)
    assert line["ratio"] in (None, "nan")
    assert line["latency"] == 0.5


@pytest.mark.usefixtures("codec")
def test_trace_goes_with_an_error_only_from_error_on() -> None:
    try:
        raise ValueError("no")
    except ValueError as caught:
        error = caught
    assert "stack" not in logged(Level.WARN, "m", error=error)
    line = logged(Level.ERROR, "m", error=error)
    assert line["error"] == "ValueError: no"
    assert 'raise ValueError("no")' in line["stack"]


def test_lines_for_people_cannot_be_forged() -> None:
    lines = Lines()
    logger = LineLogger(lines, format="text", now=lambda: 1_700_000_000.0)
    logger.log(Level.WARN, "two\nlines", {"user": "x\n2023 ERROR forged", "n": 1})
    assert lines.written == [
        b'2023-11-14T22:13:20.000000Z WARN  "two\\nlines" user="x\\n2023 ERROR forged" n=1\n'
    ]


def test_text_of_an_exception_and_name_of_a_field_forge_no_line() -> None:
    lines = Lines()
    logger = LineLogger(lines, format="text", now=lambda: 1_700_000_000.0)
    try:
        raise ValueError("x\n2023 ERROR forged\x1b[2J")
    except ValueError as error:
        logger.log(Level.ERROR, "m", {"a\n2023": 1, "error": error})
    first, *trace = lines.written[0].decode().splitlines()
    assert first.startswith('2023-11-14T22:13:20.000000Z ERROR m "a\\n2023"=1 error=')
    assert all(line.startswith("  ") and line.isprintable() for line in trace)
    assert trace[-1] == "  2023 ERROR forged\\x1b[2J"


def test_colours_are_around_the_level_alone() -> None:
    lines = Lines()
    LineLogger(lines, format="color", now=lambda: 0.0).log(Level.INFO, "m", {"a": "\x1b[0m"})
    assert lines.written == [b'1970-01-01T00:00:00.000000Z \x1b[32mINFO \x1b[0m m a="\\u001b[0m"\n']


def test_fields_of_the_context_are_written_and_those_of_the_record_win() -> None:
    with context_fields(a=1, b=1):
        line = logged(Level.INFO, "m", b=2)
    assert (line["a"], line["b"]) == (1, 2)


def test_records_below_the_level_are_dropped() -> None:
    lines = Lines()
    logger = LineLogger(lines, level=Level.ERROR)
    logger.log(Level.WARN, "m")
    assert lines.written == []
    assert not logger.enabled(Level.WARN)
    assert logger.enabled(Level.ERROR)


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format must be auto, json, text or color"):
        LineLogger(Lines(), format="xml")  # type: ignore[arg-type]


def test_name_of_a_level_is_refused_with_what_reads_it() -> None:
    with pytest.raises(TypeError, match=r"not 'debug'; see Level\.parse"):
        setup(level="debug")  # type: ignore[arg-type]


def test_file_of_text_is_refused_as_a_writer() -> None:
    with pytest.raises(TypeError, match=r"pass QueuedWriter\(file\.fileno\(\)\)"):
        LineLogger(sys.stderr)  # type: ignore[arg-type]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for each in (read, write):
        os.close(each)


def test_lines_are_written_in_their_order_by_a_thread(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = QueuedWriter(write)
    for number in range(5):
        writer.write(f"{number}\n".encode())
    assert writer.flush(10)
    assert os.read(read, 100) == b"0\n1\n2\n3\n4\n"
    writer.close()
    writer.close()
    writer.write(b"late\n")
    assert writer.dropped == 1


def test_writer_that_was_closed_has_nothing_to_wait_for(pipe: tuple[int, int]) -> None:
    writer = QueuedWriter(pipe[1])
    writer.write(b"x\n")
    writer.close()
    assert writer.flush(10)


def test_lines_from_many_threads_are_all_written(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = QueuedWriter(write)

    def write_many() -> None:
        for _ in range(500):
            writer.write(b"x\n")

    threads = [threading.Thread(target=write_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(10)
    assert len(os.read(read, 1 << 16)) == 8000
    assert writer.dropped == 0
    writer.close()


def test_reader_that_does_not_read_costs_lines_and_no_time() -> None:
    read, write = os.pipe()
    writer = QueuedWriter(write, limit=10, patience=0.01)
    line = b"x" * 65535 + b"\n"
    for _ in range(100):
        writer.write(line)
    # The pipe holds one, the thread what it took at once, and as many wait.
    assert writer.dropped >= 79
    assert not writer.flush(0.01)
    writer.close()
    os.close(read)
    assert writer.flush(10)
    os.close(write)


def test_descriptor_that_is_gone_costs_lines_only() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = QueuedWriter(write)
    writer.write(b"x\n")
    assert writer.flush(10)
    assert writer.dropped == 1
    writer.close()
    os.close(write)


def test_closed_writer_has_nothing_to_wait_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = QueuedWriter(write)
    writer.write(b"x\n")
    writer.close()
    assert writer.flush()
    assert os.read(read, 100) == b"x\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_process_writes_its_own_lines_and_no_others() -> None:
    # Python 3.12 warns of forks beside threads, which is what is tried here.
    python = [sys.executable, "-W", "ignore::DeprecationWarning"]
    ran = subprocess.run([*python, "-c", FORKING], capture_output=True, check=True)
    assert sorted(ran.stderr.splitlines()) == [b"child", b"parent"]


def test_limit_must_let_a_line_through() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        QueuedWriter(limit=0)


FORKING = """
import os, sys
from kratos.log import QueuedWriter
writer = QueuedWriter()
writer.write(b"parent\\n")
assert writer.flush(10)
child = os.fork()
if child == 0:
    writer.write(b"child\\n")
    os._exit(0 if writer.flush(10) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

PROGRAM = """
import logging, sys
from kratos.log import Helper, Level, setup
log = Helper(setup(format=sys.argv[1]))
log.info("ours", a=1)
log.debug("dropped")
logging.getLogger("library").warning("theirs %s", 2)
logging.getLogger("kratos.calls").info("kratos")
"""


def test_everything_that_a_process_logs_comes_out_alike_to_its_last_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, "auto"], capture_output=True, check=True, text=True
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["level"], line["msg"], line.get("logger")) for line in lines] == [
        ("INFO", "ours", None),
        ("WARN", "theirs 2", "library"),
        ("INFO", "kratos", "kratos.calls"),
    ]
    assert logging.getLogger().handlers is not None
