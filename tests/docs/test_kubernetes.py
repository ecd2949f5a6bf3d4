"""The manifest on the page about Kubernetes agrees with the program on it, and with our options."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import yaml

from kratos import App, Client
from kratos.app._spawned import CANCEL_GRACE
from kratos.config import Config
from kratos.errors import Error
from kratos.testing import FakeServer, Topology, client_of, in_virtual_time, running
from kratos.testing.echo import WATCH, EchoService, text
from kratos_grpc import GrpcServer
from kratos_http import HealthPaths, HttpServer
from kratos_http.debug import DebugServer

PAGE = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(\w+)[^\n]*\n(.*?)```", PAGE, re.DOTALL)
(PROGRAM,) = [code for kind, code in BLOCKS if kind == "py"]
DOCKERFILE = next(code for kind, code in BLOCKS if kind == "dockerfile")
(MANIFEST,) = [code for kind, code in BLOCKS if kind == "yaml" and "Deployment" in code]
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST))


def document(kind: str, name: str = "orders") -> dict[str, Any]:
    (found,) = [
        each for each in DOCUMENTS if each["kind"] == kind and each["metadata"]["name"] == name
    ]
    return found


POD: dict[str, Any] = document("Deployment")["spec"]["template"]["spec"]
(CONTAINER,) = cast("Sequence[dict[str, Any]]", POD["containers"])
PORTS: dict[str, int] = {each["name"]: each["containerPort"] for each in CONTAINER["ports"]}
PROBES = {name: CONTAINER[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    """The application of the page, with its ConfigMap mounted, on ports that are free."""
    data: dict[str, str] = document("ConfigMap")["data"]
    for name, content in data.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    orders = ModuleType("orders")
    orders.Orders = lambda config: EchoService()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "orders", orders)
    monkeypatch.setenv("ORDERS_DATABASE__PASSWORD", "sesame")
    code = PROGRAM.replace("/etc/orders", str(tmp_path)).partition("\n\nif __name__")[0]
    names: dict[str, Any] = {}
    exec(compile(code, "service.py", "exec"), names)
    made = names["build"]()
    assert isinstance(made, App)
    return made


def on_free_ports(app: App) -> App:
    app.adapt(
        lambda options: replace(
            options,
            servers=[HttpServer("127.0.0.1:0"), GrpcServer("127.0.0.1:0")],
            host_servers=[DebugServer("127.0.0.1:0")],
            drain_delay=0.0,
            signals=(),
        )
    )
    return app


def test_every_document_is_of_a_known_kind() -> None:
    kinds = [(each["apiVersion"], each["kind"]) for each in DOCUMENTS]
    assert kinds == [
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("v1", "Service"),
        ("v1", "ConfigMap"),
        ("policy/v1", "PodDisruptionBudget"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ]


def test_ports_are_those_of_the_program() -> None:
    listening = {int(port) for port in re.findall(r'Server\(":(\d+)"', PROGRAM)}
    assert len(listening) == 3
    assert listening == set(PORTS.values())
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed is not None
    assert {int(port) for port in exposed[1].split()} == listening


def test_services_lead_to_ports_and_pods_that_there_are() -> None:
    labels = document("Deployment")["spec"]["template"]["metadata"]["labels"]
    for name in ("orders", "orders-headless"):
        spec = document("Service", name)["spec"]
        assert spec["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in spec["ports"]} <= PORTS.keys()
    assert document("Service", "orders-headless")["spec"]["clusterIP"] == "None"
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert document(kind)["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_grace_period_is_longer_than_the_longest_stop(app: App) -> None:
    options = app.options
    assert options.stop_timeout is not None
    longest = options.registrar_timeout + options.drain_delay + options.stop_timeout + CANCEL_GRACE
    assert f"here {longest:g} s" in PAGE
    assert POD["terminationGracePeriodSeconds"] >= longest
    assert "lifecycle" not in CONTAINER, "a preStop hook would come on top"


@in_virtual_time
async def test_longest_stop_is_no_longer_than_the_page_says() -> None:
    """The registry is silent, a stream does not end, and its handler clings to life."""

    class Clinging(EchoService):
        async def _answer(self, request: Any) -> Any:
            if request.value != "hang":
                return request
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    await asyncio.sleep(0.5)
                    raise

    def build() -> App:
        return App(
            name="orders", services=[Clinging()], servers=[FakeServer()],
            drain_delay=5, stop_timeout=20,
        )  # fmt: skip

    async with Topology() as t:
        (replica,) = await t.start(build)
        caller = await t.connect("orders")
        streaming = asyncio.create_task(_watch(caller))
        await t.until(lambda: replica.in_flight, within=1)
        t.registry.silent()
        began = asyncio.get_running_loop().time()
        await replica.stop()
        took = asyncio.get_running_loop().time() - began
        assert 35 <= took <= 40
        with pytest.raises(Error, match="DRAINING"):
            await streaming


async def _watch(caller: Client) -> None:
    async with caller.server_stream(WATCH, text("a hang")) as replies:
        async for _ in replies:
            pass


def test_probes_ask_the_port_and_the_paths_of_the_debug_server() -> None:
    paths = HealthPaths()
    assert {name: probe["httpGet"]["path"] for name, probe in PROBES.items()} == {
        "startup": paths.startup,
        "readiness": paths.ready,
        "liveness": paths.live,
    }
    assert {probe["httpGet"]["port"] for probe in PROBES.values()} == {"debug"}
    annotations = document("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(PORTS["debug"])
    assert annotations["prometheus.io/path"] == "/metrics"


def test_startup_probe_has_more_patience_than_the_application(app: App) -> None:
    probe = PROBES["startup"]
    assert app.options.startup_timeout is not None
    assert probe["periodSeconds"] * probe["failureThreshold"] > app.options.startup_timeout


async def test_probes_of_the_manifest_are_answered_by_a_server_that_runs(app: App) -> None:
    async with running(on_free_ports(app)):
        (debug,) = app.options.host_servers
        assert isinstance(debug, DebugServer)
        host, _, port = debug.url.removeprefix("http://").rstrip("/").partition(":")
        for probe in PROBES.values():
            assert await _status(host, int(port), probe["httpGet"]["path"]) == 200
        assert await _status(host, int(port), "/nowhere") == 404
        assert "grpc: {port: 9000}" in PAGE  # and that port has a health service:
        assert any(url.startswith("grpc://") for url in app.endpoints)


async def test_grpc_probe_is_answered(app: App) -> None:
    from kratos_grpc.health import HEALTH_CHECK

    async with client_of(on_free_ports(app), transport="grpc") as caller:
        reply = await caller.unary(HEALTH_CHECK, HEALTH_CHECK.request())
        assert reply.status == 1  # SERVING


async def _status(host: str, port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


def test_configuration_is_mounted_where_the_program_reads_it(app: App) -> None:
    volumes = {each["name"]: each for each in POD["volumes"]}
    (mount,) = [each for each in CONTAINER["volumeMounts"] if each["mountPath"] == "/etc/orders"]
    assert 'FileSource("/etc/orders")' in PROGRAM
    assert volumes[mount["name"]]["configMap"]["name"] == document("ConfigMap")["metadata"]["name"]
    assert "subPath" not in mount
    assert isinstance(app.options.config, Config)


async def test_configuration_and_secret_of_the_manifest_are_read(app: App) -> None:
    config = app.options.config
    assert config is not None
    async with config:
        assert config.snapshot["limits.page_size"] == 100
        assert config.snapshot["database.password"] == "sesame"
    (variable,) = CONTAINER["env"]
    assert variable["name"] == "ORDERS_DATABASE__PASSWORD"


def test_container_runs_as_nobody_in_particular() -> None:
    user = POD["securityContext"]["runAsUser"]
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert f"USER {user}" in DOCKERFILE
    own = CONTAINER["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"]["drop"] == ["ALL"]


def test_image_and_manifest_start_the_program_without_a_shell() -> None:
    assert str(CONTAINER["args"]).replace("'", '"') in DOCKERFILE
    assert f"CMD {str(CONTAINER['args']).replace(chr(39), chr(34))}" in DOCKERFILE


def test_autoscaler_never_goes_below_what_the_budget_needs() -> None:
    scaler = document("HorizontalPodAutoscaler")["spec"]
    assert scaler["minReplicas"] == document("Deployment")["spec"]["replicas"]
    assert scaler["minReplicas"] > document("PodDisruptionBudget")["spec"]["maxUnavailable"]
    assert "cpu" in CONTAINER["resources"]["requests"], "utilisation is relative to the request"
