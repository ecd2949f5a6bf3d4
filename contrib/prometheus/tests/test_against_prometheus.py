"""A real Prometheus reads a service of several workers; dashboard and alerts find their figures."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from kratos.middleware import metrics
from kratos.testing import serving
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.program import free_port
from kratos_prometheus import PrometheusMeter

MEMBER = Path(__file__).parents[1]
RULES = MEMBER / "rules" / "kratos.yml"
DASHBOARD = json.loads((MEMBER / "dashboards" / "kratos.json").read_text(encoding="utf-8"))
SERVING = re.compile(r"serving HTTP on (http://\S+)")
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
CONFIGURATION = """
global: {scrape_interval: 250ms, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - {job_name: shop, static_configs: [{targets: ["%s"]}]}
"""
PATIENCE = 30  # seconds, on a busy machine

pytestmark = [
    pytest.mark.service("prometheus"),
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]


def program(name: str) -> str:
    return str(Path(os.environ["KRATOS_TEST_PROMETHEUS"]).with_name(name))


def promtool(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), *words], input=given, capture_output=True, text=True, check=False
    )


def get(url: str, **headers: str) -> str:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


class Server:
    """A Prometheus that reads one service."""

    def __init__(self, url: str, service: str) -> None:
        self.url = url
        self.service = service

    def ask(self, path: str, **query: str) -> Any:
        words = urllib.parse.urlencode(query)
        return json.loads(get(f"{self.url}/api/v1/{path}?{words}"))["data"]

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = self.ask("query", query=expression)["result"]
        return found


def eventually(what: Callable[[], Any], why: str) -> Any:
    """Return the first answer that is not empty."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.2)
    raise AssertionError(f"not within {PATIENCE} s: {why}")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the supervisor of a service tells its figures."""
    folder = tmp_path_factory.mktemp("shop")
    disabled = "kratos.metrics:datadog,kratos.metrics:otel"
    environment = {**os.environ, "KRATOS_PLUGINS_DISABLED": disabled}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("shop.py"), f"file://{folder / 'registry'}"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        found = eventually(
            lambda: SERVING.search((folder / "log").read_text(errors="replace")), "it serves"
        )
        yield found[1]
    finally:
        process.terminate()
        try:
            code = process.wait(30)
        finally:
            process.kill()
            process.wait()
    assert code == 0, (folder / "log").read_text(errors="replace")[-4000:]


@pytest.fixture(scope="module")
def prometheus(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("prometheus")
    target = service.removeprefix("http://")
    (folder / "prometheus.yml").write_text(CONFIGURATION % (RULES, target))
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", service)
    try:
        yield server
    finally:
        process.terminate()
        process.wait(30)


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def test_each_query_of_the_dashboard_has_an_answer(prometheus: Server) -> None:
    assert len(expressions()) > 20
    for expression in expressions():
        asked = expression.replace("$__rate_interval", "1m").replace("$job", "shop")
        eventually(partial(numbers, prometheus, asked), asked)


def numbers(prometheus: Server, expression: str) -> list[float]:
    """Return what a query finds; where nothing has happened, a ratio is no number."""
    found = [float(each["value"][1]) for each in prometheus.query(expression)]
    return [each for each in found if not math.isnan(each)]


def test_traces_of_workers_are_there_to_be_looked_up(prometheus: Server) -> None:
    """As Grafana does where a point of the panel of durations is clicked."""

    def exemplars() -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = prometheus.ask(
            "query_exemplars",
            query="server_requests_seconds_bucket",
            start=str(time.time() - 60),
            end=str(time.time() + 60),
        )
        return [each for series in found for each in series["exemplars"]]

    for each in eventually(exemplars, "exemplars"):
        assert re.fullmatch("[0-9a-f]{32}", each["labels"]["trace_id"])
        assert re.fullmatch("[0-9a-f]{16}", each["labels"]["span_id"])


def test_variable_of_the_dashboard_finds_the_services(prometheus: Server) -> None:
    (job,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "job"]
    assert job["definition"] == "label_values(python_info, job)"
    asked = {"match[]": "python_info"}
    eventually(lambda: prometheus.ask("label/job/values", **asked) == ["shop"], "label_values")


def test_alerts_are_loaded_and_each_can_be_evaluated(prometheus: Server) -> None:
    def rules() -> list[Mapping[str, Any]]:
        groups = prometheus.ask("rules")["groups"]
        found: list[Mapping[str, Any]] = groups[0]["rules"] if groups else []
        return found if all(each["health"] == "ok" for each in found) else []

    assert len(eventually(rules, "all rules are evaluated")) == RULES.read_text().count("- alert:")


def test_calls_that_fail_raise_the_alarm(prometheus: Server) -> None:
    # EchoService crashes when it is told to, and that is not of every twentieth call.
    def alerts() -> list[Mapping[str, Any]]:
        raised: list[Mapping[str, Any]] = prometheus.ask("alerts")["alerts"]
        return [each for each in raised if each["labels"]["alertname"] == "KratosCallsFail"]

    (alert,) = eventually(alerts, "KratosCallsFail")
    assert alert["labels"]["operation"] == "/kratos.testing.Echo/Echo"
    assert alert["annotations"]["summary"].endswith("fail at shop")


def test_figures_of_workers_are_one_and_what_they_use_is_told_apart(prometheus: Server) -> None:
    def workers() -> bool:
        found = prometheus.query("process_cpu_seconds_total > 0")
        return {each["metric"]["worker"] for each in found} == {"0", "1", "host"}

    eventually(workers, "CPU of each process")
    (calls,) = eventually(
        lambda: prometheus.query('server_requests_code_total{code="200"}'), "calls"
    )
    # The reason is empty, which to Prometheus is the same as none.
    assert set(calls["metric"]) == {"__name__", "code", "instance", "job", "kind", "operation"}
    assert prometheus.query("shop_orders_total > 0"), "what the program counts by itself"
    assert prometheus.query("kratos_workers_ready == 2")


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_text_is_as_promtool_wants_it(prometheus: Server, accept: str) -> None:
    eventually(lambda: prometheus.query("server_requests_code_total"), "calls")
    shown = get(f"{prometheus.service}/metrics", Accept=accept)
    if accept == OPENMETRICS:
        assert shown.endswith("# EOF\n")
        return  # promtool checks the older format only; the server has read this one
    assert 'worker="1"' in shown, "that of all workers"
    checked = promtool("check", "metrics", given=shown)
    assert (checked.returncode, checked.stderr) == (0, "")


async def test_text_of_one_process_is_as_promtool_wants_it() -> None:
    registry = prometheus_client.CollectorRegistry()
    meter = PrometheusMeter(registry=registry)
    chain = [metrics(meter, in_flight=True, messages=True)]
    async with serving(EchoService(), middleware=chain) as caller:
        await caller.unary(ECHO, text("hello"))
    meter.gauge("queue", description="Waiting.", labels=("of",)).labels('a "b"\\\nc').set(-1)
    meter.histogram("size_bytes", description="Sizes.", buckets=(0.5, 1e6)).observe(7)
    checked = promtool("check", "metrics", given=(await meter.render()).decode())
    assert (checked.returncode, checked.stderr) == (0, "")


def test_rules_are_as_promtool_wants_them() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_has_its_cause_in_the_tests_of_the_rules() -> None:
    declared = re.findall(r"- alert: (\w+)", RULES.read_text())
    raised = re.findall(r'alertname="(\w+)"', (MEMBER / "rules" / "kratos_test.yml").read_text())
    assert sorted(raised) == sorted(declared)


def test_each_alert_is_raised_by_its_cause_and_not_by_that_of_others() -> None:
    tested = promtool("test", "rules", str(MEMBER / "rules" / "kratos_test.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr
