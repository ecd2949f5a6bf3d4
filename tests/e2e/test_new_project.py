"""A new user's first minute: `kratos new`, from built wheels alone, in an empty folder.

The time it takes, all processes together, is printed with `-s` and held to a minute.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

LISTENING = re.compile(r"serving (?:HTTP|gRPC) on \w+://([\d.]+:\d+)")
MINUTE = 60.0  # seconds of machine time
LONGEST = 600.0  # seconds for a program, on a machine that has much else to do

pytestmark = pytest.mark.slow


class Machine:
    """A machine with wheels of ours, a user of `kratos`, and the project that the user has made.

    Attributes:
        folder: Where everything is; the project is in `shop`.
        environment: Of all programs.
        tested: What `./hatchw run test` said when it was first run.
        used: Seconds of processors that this took, from `kratos new` on.
        passed: Seconds that passed meanwhile.
    """

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HATCH_", "KRATOS_", "VIRTUAL_ENV"))
        }
        self.environment |= {
            "HATCH_DATA_DIR": str(folder / "hatch"),
            "KRATOS_PYTHON": getattr(sys, "_base_executable", sys.executable),
            "PIP_FIND_LINKS": str(wheels),
            "UV_FIND_LINKS": str(wheels),
            # Ports that the system chooses, in place of those in configs/.
            **{f"SHOP_SERVER__{name}__ADDR": "127.0.0.1:0" for name in ("HTTP", "GRPC", "DEBUG")},
        }
        user = folder / "user"
        self.run("uv", "venv", "--python", sys.executable, user, cwd=folder)
        self.run("uv", "pip", "install", "--python", user, "kratos-core[cli]", cwd=folder)
        began, used = time.monotonic(), machine_time()
        self.tested = self.run("./hatchw", "run", "test", cwd=self.new())
        self.used, self.passed = machine_time() - used, time.monotonic() - began

    def run(self, *command: str | Path, cwd: Path) -> str:
        """Return what a program says; end it with all that it started if it is given up."""
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=LONGEST)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        assert process.returncode == 0, said
        return said

    def new(self, *words: str) -> Path:
        """Make the project anew, in place of what became of it."""
        self.run(self.folder / "user/bin/kratos", "new", "shop", "--force", *words, cwd=self.folder)
        return self.folder / "shop"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"), wheels)


@pytest.fixture(scope="module")
def checked(machine: Machine) -> str:
    """What `./hatchw run check` says, where a PostgreSQL server is."""
    shop = machine.new()
    environment = machine.environment
    machine.environment = {**environment, "TEST_POSTGRES": os.environ["KRATOS_TEST_POSTGRES"]}
    try:
        return machine.run("./hatchw", "run", "check", cwd=shop)
    finally:
        machine.environment = environment


def machine_time() -> float:
    """Return the seconds of processors that programs have taken which have ended."""
    times = os.times()
    return times.children_user + times.children_system


class Serving:
    """A service that runs, and what it says.

    Attributes:
        at: Its addresses.
        said: What it has said.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self._lines = process.stderr
        self.said: list[str] = []
        self.at: dict[str, str] = {}

    def started(self) -> dict[str, str]:
        """Wait until it has started, or has started anew, and return its addresses."""
        addresses: list[str] = []
        for line in self._lines:
            self.said.append(line)
            addresses += LISTENING.findall(line)
            if "application started" in line:
                self.at = dict(zip(("debug", "http", "grpc"), addresses, strict=True))
                return self.at
        raise AssertionError("".join(self.said))

    def rest(self) -> str:
        """Wait for its end, and return all that it has said."""
        self.said += self._lines
        return "".join(self.said)


@contextmanager
def serving(*command: str | Path, cwd: Path, environment: dict[str, str]) -> Generator[Serving]:
    """Run the service; at the end press Ctrl-C."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as in a terminal, whose Ctrl-C goes to all of its processes
    )
    service = Serving(process)
    try:
        service.started()
        yield service
        os.killpg(process.pid, signal.SIGINT)
        said = service.rest()
        process.wait()
        assert "application stopped" in said.splitlines()[-1], said
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


def get(address: str, path: str) -> Any:
    with urlopen(f"http://{address}{path}", timeout=20) as reply:
        return json.loads(reply.read())


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    file.write_text(text)


CLIENT = """
import asyncio, sys
from kratos import Client
from shop.api.helloworld.v1.greeter_kratos import GreeterClient
from shop.api.helloworld.v1.greeter_pb2 import GoodbyeRequest, HelloRequest

async def main():
    async with Client(sys.argv[1], transport="grpc") as caller:
        greeter = GreeterClient(caller)
        print((await greeter.say_hello(HelloRequest(name="bob", language="de"))).message)
        print((await greeter.say_goodbye(GoodbyeRequest(name="bob"))).message)

asyncio.run(main())
"""


METHOD = """  rpc SayGoodbye(GoodbyeRequest) returns (GoodbyeReply) {
    option (google.api.http) = {get: "/goodbye/{name}"};
  }
  // Tells how often"""
MESSAGES = """  string name = 1;
  string language = 2;
}
message GoodbyeRequest { string name = 1; }
message GoodbyeReply { string message = 1; }
// The greeting."""
CODE = """        hello = "Hallo" if request.language == "de" else "Hello"
        return HelloReply(message=f"{hello} {greeting.name}")

    async def say_goodbye(self, request: GoodbyeRequest, /) -> GoodbyeReply:
        return GoodbyeReply(message=f"Goodbye {request.name}")
"""


def add_field_and_method(shop: Path) -> None:
    """Do by hand what a developer does first.

    The code is written before the definition, so that nothing starts between the two.
    """
    edit(
        shop / "src/shop/service/greeter.py",
        ("    HelloReply,\n", "    GoodbyeReply,\n    GoodbyeRequest,\n    HelloReply,\n"),
        ("        return HelloReply(message=greeting.hello)\n", CODE),
    )
    edit(
        shop / "api/helloworld/v1/greeter.proto",
        ("  // Tells how often", METHOD),
        ("  string name = 1;\n}\n\n// The greeting.", MESSAGES),
    )


def test_first_minute_of_a_new_user(machine: Machine) -> None:
    assert " passed" in machine.tested
    assert "Branch BrPart" in machine.tested
    shop = machine.new()
    began, used = time.monotonic(), machine_time()
    dev = partial(serving, "./hatchw", "run", "dev", cwd=shop, environment=machine.environment)
    with dev() as service:
        at = service.at
        assert get(at["http"], "/helloworld/ada") == {"message": "Hello ada"}
        assert get(at["http"], "/helloworld/ada/count") == {"count": "1"}
        assert get(at["debug"], "/readyz")["ok"] is True
    used, passed = machine_time() - used, time.monotonic() - began
    print(
        f"\nnew and test: {machine.used:.1f} s of machine time within {machine.passed:.1f} s; "
        f"dev, to its end: {used:.1f} s within {passed:.1f} s"
    )
    assert machine.used + used < MINUTE

    (shop / "client.py").write_text(CLIENT)
    with dev() as service:
        add_field_and_method(shop)
        at = service.started()
        assert "generated src/shop/api/" in "".join(service.said)
        machine.run("./hatchw", "run", "api", "--check", cwd=shop)
        assert get(at["http"], "/helloworld/ada?language=de") == {"message": "Hallo ada"}
        assert get(at["http"], "/goodbye/ada") == {"message": "Goodbye ada"}
        assert get(at["http"], "/helloworld/ada/count") == {"count": "2"}  # it was kept
        said = machine.run("./hatchw", "run", "python", "client.py", at["grpc"], cwd=shop)
        assert said.splitlines()[-2:] == ["Hallo bob", "Goodbye bob"]


@pytest.mark.service("postgres")
def test_project_passes_its_own_checks_on_both_databases(checked: str) -> None:
    assert "Success: no issues found" in checked  # mypy
    assert "0 errors, 0 warnings" in checked  # pyright
    assert re.search(r"^TOTAL .* 100%$", checked, re.MULTILINE)
    assert "skipped" not in checked


@pytest.mark.parametrize("option", ["--http-only", "--grpc-only"])
def test_project_of_one_transport_passes_its_tests(machine: Machine, option: str) -> None:
    assert " passed" in machine.run("./hatchw", "run", "test", cwd=machine.new(option))
