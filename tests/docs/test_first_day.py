"""The page "First day in production", done as it says, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "first-day.md").read_text(encoding="utf-8")
# Where everything is installed; .ci/run names an environment of built wheels.
PROGRAMS = Path(os.environ.get("KRATOS_TEST_INSTALLED") or sys.prefix) / "bin"
LISTENING = re.compile(r"serving (?:HTTP|gRPC) on \w+://([\d.]+:\d+)")


def blocks() -> dict[str, str]:
    """Return what the page gives names to: files, and what is typed."""
    return dict(re.findall(r"```\w+ title=(\S+)\n(.*?)```", PAGE, re.DOTALL))


class Day:
    """The service in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocks = blocks()
        for name, text in self.blocks.items():
            if "." in name:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(text)
        self.environment = {
            **os.environ,
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "ORDERS_LOGIN__SECRET": secrets.token_urlsafe(32),
            **{f"ORDERS_{name}": "127.0.0.1:0" for name in ("HTTP", "GRPC", "DEBUG")},
        }
        self.run("kratos", "proto", "shop")
        self.process = subprocess.Popen(
            ["kratos", "run", "service:build"],
            cwd=folder,
            env=self.environment,
            executable=PROGRAMS / "kratos",
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.log: IO[str] = self.process.stderr
        self.records: list[dict[str, Any]] = []
        self.debug, self.http, grpc = (self.address_in(self.until(msg=LISTENING)) for _ in range(3))
        self.until(msg="application started")
        self.environment["ORDERS_GRPC"] = grpc

    def run(self, *command: str) -> str:
        """Return what a program says."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            executable=PROGRAMS / command[0] if (PROGRAMS / command[0]).exists() else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def typed(self, name: str) -> str:
        """Return the answer to what the page types, at the ports that we have."""
        text = self.blocks[name].replace("127.0.0.1:8000", self.http)
        return self.run("bash", "-euc", text.replace("127.0.0.1:9100", self.debug))

    def until(self, **fields: str | re.Pattern[str]) -> dict[str, Any]:
        """Return the next record of the log that has these fields."""
        for line in self.log:
            record: dict[str, Any] = json.loads(line)
            self.records.append(record)
            if all(re.search(wanted, str(record.get(key))) for key, wanted in fields.items()):
                return record
        raise AssertionError(f"the log ends without {fields}: {self.records}")

    @staticmethod
    def address_in(record: dict[str, Any]) -> str:
        """Return the address that a record tells."""
        found = LISTENING.search(record["msg"])
        assert found is not None
        return found[1]

    def set(self, before: str, after: str) -> None:
        """Edit the configuration."""
        file = self.folder / "configs" / "service.yaml"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    the_day = Day(tmp_path)
    try:
        yield the_day
    finally:
        if the_day.process.poll() is None:
            the_day.process.kill()
        the_day.process.wait()
        the_day.log.close()


@pytest.mark.slow
def test_day_goes_as_the_page_says(day: Day) -> None:
    order = json.loads(day.typed("call"))
    assert (order["item"], order["count"]) == ("chair", 4)
    taken = day.until(msg="^order taken$")
    assert (taken["by"], taken["request_id"], taken["team"]) == ("ada", "first", "shop")
    logged = day.until(msg="^server request$")
    assert (logged["request_id"], logged["code"]) == ("first", 200)

    told = day.run("python", "client.py")
    assert 'item: "table"' in told
    assert "400 VALIDATOR an order needs an item and a count of at least 1" in told

    seen = day.typed("look")
    assert '"ok":true' in seen
    assert re.search(r'requests_code_total{kind="http".*CreateOrder",code="200",.*} 1', seen)
    assert day.environment["ORDERS_LOGIN__SECRET"] not in seen
    assert '"audience": "orders"' in seen

    day.set("largest_order: 100", "largest_order: 3")
    day.until(msg="^the configuration has changed$")
    assert json.loads(day.typed("call"))["reason"] == "ORDER_TOO_LARGE"

    day.set("largest_order: 3", "largest_order: many")
    refused = day.until(level="ERROR", msg="a change of the configuration is refused")
    assert "'largest_order' (from configs: service.yaml) must be a whole number" in refused["msg"]
    assert json.loads(day.typed("call"))["reason"] == "ORDER_TOO_LARGE"

    day.process.send_signal(signal.SIGTERM)
    day.until(msg="^draining$")
    day.process.send_signal(signal.SIGTERM)  # the second one skips the delay
    day.until(msg="^application stopped$")
    assert day.process.wait() == 0


@pytest.mark.slow
def test_service_says_which_setting_is_missing(tmp_path: Path) -> None:
    for name, text in blocks().items():
        if "." in name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if "ORDERS_" not in name}
    subprocess.run([PROGRAMS / "kratos", "proto", "shop"], cwd=tmp_path, check=True)
    started = subprocess.run(
        [PROGRAMS / "kratos", "run", "service:build"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 2
    assert "'login.secret'" in started.stderr
    assert "Traceback" not in started.stderr
