"""A control service tells what to serve; whatever it does, the files stay good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from kratos.errors import ConfigError
from kratos.testing import FakeClock
from kratos.transport.http import Head, Reply
from kratos_gateway.config import Configuration, FileReader
from kratos_gateway.control import ControlService, Identity
from kratos_gateway.controlled import ControlledReader
from kratos_gateway.gates import Gates
from kratos_gateway.release import ConfigFiles, Release
from kratos_http import HttpServer
from kratos_http.testing import eventually, running

RELEASE = {"config": '{"name": "told"}', "version": "v2"}


class Answers:
    """What a control service answers, and what it was asked."""

    max_body = 0

    def __init__(self) -> None:
        self.release: object = RELEASE
        self.features: object = {}
        self.status = 200
        self.asked: list[Mapping[str, list[str]]] = []

    async def answer(self, head: Head, _body: bytes, /) -> Reply:
        if head.path.endswith(b"/features"):
            told = {"gateway": "gw", "features": self.features}
            return Reply(200, (), json.dumps(told).encode())
        self.asked.append(parse_qs(head.query.decode(), keep_blank_values=True))
        return Reply(self.status, (), json.dumps(self.release).encode())


class Controlled:
    """A gateway's end of a control service that is there."""

    def __init__(self, url: str, folder: Path, answers: Answers) -> None:
        self.url = url
        self.path = folder / "config.yaml"
        self.folder = folder / "priorities"
        self.answers = answers
        self.gates = Gates()
        self.clock = FakeClock()
        self._made: list[ControlService] = []

    def service(self, *urls: str, priorities: bool = True) -> ControlService:
        made = ControlService(
            urls or [self.url],
            identity=Identity("gw", "192.0.2.1"),
            files=ConfigFiles(self.path, str(self.folder) if priorities else None),
            gates=self.gates,
            clock=self.clock,
            random=lambda: 1.0,
            shuffle=_as_it_is,
        )
        self._made.append(made)
        return made

    def was_asked(self, times: int) -> bool:
        return len(self.answers.asked) == times

    def texts(self) -> Mapping[str, Any]:
        return {path.name: json.loads(path.read_text()) for path in self.folder.glob("*")}

    async def aclose(self) -> None:
        for each in self._made:
            await each.aclose()


def _as_it_is(_services: list[Any]) -> None:
    """The order stays."""


@pytest.fixture
async def controlled(tmp_path: Path) -> AsyncIterator[Controlled]:
    answers = Answers()
    server = HttpServer("127.0.0.1:0")
    for name in ("release", "features"):
        server.handle("GET", f"/base/v1/control/gateway/{name}", answers)
    async with running(server) as serving:
        (url,) = await serving.bind()
        made = Controlled(f"{url}/base", tmp_path, answers)
        yield made
        await made.aclose()


async def refused_url() -> str:
    """Return the URL of a port that nobody listens on any more."""
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"


async def test_a_release_is_asked_for_as_by_go_and_written(controlled: Controlled) -> None:
    assert await controlled.service().ask()
    (asked,) = controlled.answers.asked
    assert asked == {"gateway": ["gw"], "ip_addr": ["192.0.2.1"], "last_version": [""]}
    assert json.loads(controlled.path.read_text()) == {"name": "told"}
    assert controlled.path.stat().st_mode & 0o777 == 0o600


async def test_the_next_question_tells_the_version_and_304_changes_nothing(
    controlled: Controlled,
) -> None:
    service = controlled.service()
    await service.ask()
    controlled.path.unlink()
    controlled.answers.status = 304
    assert not await service.ask()
    assert controlled.answers.asked[-1]["last_version"] == ["v2"]
    assert not controlled.path.exists()


async def test_a_file_that_is_replaced_keeps_its_permissions(controlled: Controlled) -> None:
    controlled.path.write_text("name: before")
    controlled.path.chmod(0o640)
    await controlled.service().ask()
    assert controlled.path.stat().st_mode & 0o777 == 0o640


async def test_priority_configurations_are_written_and_others_removed(
    controlled: Controlled,
) -> None:
    controlled.gates.switch({"gw:PriorityConfig": True})
    controlled.folder.mkdir()
    (controlled.folder / "old.yaml").write_text("{}")
    item = {"key": "canary", "config": '{"name": "c"}', "version": "7"}
    other = {"key": "blue", "config": '{"name": "b"}', "version": "8"}
    controlled.answers.release = {**RELEASE, "priorityConfigs": [item, other]}
    service = controlled.service()
    assert await service.ask()
    assert controlled.texts() == {"canary.yaml": {"name": "c"}, "blue.yaml": {"name": "b"}}
    await service.ask()
    first, second = controlled.answers.asked
    assert first["supportPriorityConfig"] == ["1"]
    assert second["lastPriorityVersions"] == ["canary=7", "blue=8"]


async def test_a_closed_gate_asks_for_no_priority_configuration(controlled: Controlled) -> None:
    await controlled.service().ask()
    assert "supportPriorityConfig" not in controlled.answers.asked[0]


@pytest.mark.parametrize("key", ["../escaped", "a/b", "", ".hidden", "a\x00b"])
async def test_a_key_that_would_lead_elsewhere_is_refused(
    controlled: Controlled, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    item = {"key": key, "config": "{}", "version": "1"}
    controlled.answers.release = {**RELEASE, "priorityConfigs": [item]}
    assert not await controlled.service().ask()
    assert not controlled.path.exists()
    assert "has letters, digits" in caplog.text


@pytest.mark.parametrize(
    "config",
    [
        *("", "[", "[]", "null", '{"endpoints": 1}', '{"endpoints": [{"timeout": "soon"}]}'),
        '{"endpoints": [{"path": "/{a", "backends": [{"target": "127.0.0.1:1"}]}]}',
    ],
)
async def test_a_release_that_cannot_be_read_or_served_is_asked_for_again(
    controlled: Controlled, config: str
) -> None:
    controlled.path.write_text("name: before")
    controlled.answers.release = {"config": config, "version": "v3"}
    service = controlled.service()
    assert not await service.ask()
    assert controlled.path.read_text() == "name: before"
    controlled.answers.release = RELEASE
    assert await service.ask()
    assert controlled.answers.asked[-1]["last_version"] == [""]


async def test_what_a_service_says_forges_no_line_of_the_log(
    controlled: Controlled, caplog: pytest.LogCaptureFixture
) -> None:
    config = json.dumps({"endpoints": [{"path": "a\nFORGED", "timeout": "x\nFORGED"}]})
    controlled.answers.release = {"config": config, "version": "v3"}
    await controlled.service().ask()
    assert "what is served stays" in caplog.messages[-1]
    assert "\n" not in caplog.messages[-1]


async def test_what_cannot_be_written_is_asked_for_again(
    controlled: Controlled, caplog: pytest.LogCaptureFixture
) -> None:
    controlled.path.mkdir()
    service = controlled.service()
    assert not await service.ask()
    assert "Is a directory" in caplog.text
    controlled.path.rmdir()
    assert await service.ask()
    assert [each.name for each in controlled.path.parent.glob("*.tmp")] == []


async def test_features_switch_gates_and_unknown_ones_are_left_out(controlled: Controlled) -> None:
    controlled.answers.features = {"gw:Retry": False, "gw:Tomorrow": True, "gw:PriorityConfig": 1}
    await controlled.service().ask()
    assert controlled.gates.states == {"gw:Retry": False, "gw:PriorityConfig": False}


async def test_who_writes_no_files_asks_for_features_alone(controlled: Controlled) -> None:
    controlled.answers.features = {"gw:Retry": False}
    service = ControlService(
        [controlled.url],
        identity=Identity("gw", "192.0.2.1"),
        files=None,
        gates=controlled.gates,
    )
    assert not await service.ask()
    await service.aclose()
    assert not controlled.gates.enabled("gw:Retry")
    assert controlled.answers.asked == []
    assert not controlled.path.exists()


async def test_after_a_failure_the_next_service_is_asked_and_stays(controlled: Controlled) -> None:
    service = controlled.service(await refused_url(), controlled.url)
    assert not await service.ask()
    assert await service.ask()
    controlled.answers.status = 304
    await service.ask()
    assert len(controlled.answers.asked) == 2
    assert service.inspect()["ctrl_service_idx"] == 1


async def test_a_service_that_fails_is_asked_later_and_later(controlled: Controlled) -> None:
    controlled.answers.status = 500
    task = asyncio.create_task(controlled.service().run(lambda: None))
    await controlled.clock.settle()
    for count, seconds in enumerate((5, 5, 5, 5, 8, 16, 32, 60, 60), 1):
        await controlled.clock.advance(seconds - 0.001)
        assert len(controlled.answers.asked) == count - 1
        await controlled.clock.advance(0.001)
        await eventually(partial(controlled.was_asked, count))
        await eventually(lambda: controlled.clock.sleepers == 1)
    task.cancel()
    await asyncio.wait([task])


async def test_what_is_told_first_is_what_is_served_first(controlled: Controlled) -> None:
    controlled.path.write_text("name: before")
    reader = ControlledReader(FileReader(controlled.path), controlled.service())
    assert (await Configuration(reader).begin()).name == "told"
    await reader.aclose()


async def test_without_an_answer_the_file_that_is_there_is_served(controlled: Controlled) -> None:
    controlled.path.write_text("name: before")
    reader = ControlledReader(FileReader(controlled.path), controlled.service(await refused_url()))
    assert (await Configuration(reader).begin()).name == "before"
    await reader.aclose()


async def test_a_later_release_is_applied_at_once(controlled: Controlled) -> None:
    reader = ControlledReader(FileReader(controlled.path), controlled.service())
    configuration = Configuration(reader, interval=3600.0)
    await configuration.begin()
    names: list[str] = []

    async def apply(gateway: Any) -> None:
        names.append(gateway.name)

    task = asyncio.create_task(configuration.follow(apply))
    controlled.answers.release = {"config": '{"name": "later"}', "version": "v3"}
    await eventually(lambda: controlled.clock.sleepers == 1)
    await controlled.clock.advance(5.0)
    await eventually(lambda: names == ["later"])
    task.cancel()
    await asyncio.wait([task])
    await configuration.aclose()


@pytest.mark.parametrize("url", ["ctrl:80", "ftp://a:80", "http://a:80,b:80", "http://a?x=1"])
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        ControlService([url], identity=Identity("", ""), files=ConfigFiles(tmp_path), gates=Gates())


@pytest.mark.parametrize("told", [[], {"config": 1}, {"config": "{}", "priorityConfigs": {}}])
def test_an_answer_of_another_shape_is_refused(told: object) -> None:
    with pytest.raises(ConfigError):
        Release.of(told)
