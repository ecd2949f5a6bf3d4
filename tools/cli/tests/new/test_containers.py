"""What takes a project into a container agrees with the project, and with the linter's rules."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kratos_cli.main import main

HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one more service."""
    folder = tmp_path_factory.mktemp("made") / "my-shop"
    assert main(["new", str(folder)]) == 0
    assert main(["new", str(folder / "app/user"), "--nomod"]) == 0
    return folder


@pytest.fixture(params=[".", "app/user"])
def service(request: pytest.FixtureRequest, shop: Path) -> Path:
    return shop / str(request.param)


def instructions(service: Path) -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (service / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def variables(service: Path) -> dict[str, str]:
    found = [rest for name, rest in instructions(service) if name == "ENV"]
    return dict(pair.split("=", 1) for rest in found for pair in rest.split())


def manifests(service: Path) -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((service / "deploy/kubernetes.yaml").read_text())
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in documents}


def name_of(service: Path) -> str:
    return "my-shop-user" if service.name == "user" else "my-shop"


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="hadolint has wheels for this machine alone",
)
def test_linter_finds_nothing(service: Path) -> None:
    assert HADOLINT is not None
    done = subprocess.run(
        [HADOLINT, "--no-color", service / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_image_has_stages_and_no_privileges(service: Path) -> None:
    found = instructions(service)
    assert [name for name, _ in found].count("FROM") == 2
    assert ("USER", "10001:10001") in found
    assert found[-1] == ("CMD", f'["{name_of(service)}", "--conf", "/data/conf"]')
    last_stage = found[max(i for i, (name, _) in enumerate(found) if name == "FROM") :]
    assert not any("pip" in rest for name, rest in last_stage if name == "RUN")


def test_image_listens_where_it_says(service: Path) -> None:
    exposed = {rest for name, rest in instructions(service) if name == "EXPOSE"}
    addresses = [value for key, value in variables(service).items() if key.endswith("__ADDR")]
    assert exposed == {" ".join(address.rpartition(":")[2] for address in addresses)}
    assert {address.rpartition(":")[0] for address in addresses} == {"0.0.0.0"}


def test_variables_are_those_that_the_program_reads(service: Path) -> None:
    prefix = name_of(service).replace("-", "_").upper() + "_"
    app = (service / "src" / name_of(service).replace("-", "_") / "app.py").read_text()
    assert f'EnvSource("{prefix}", nested="__")' in app
    own = [key for key in variables(service) if "__" in key]
    assert own
    assert all(key.startswith(prefix) for key in own)


def test_manifests_select_what_they_deploy(service: Path) -> None:
    name = name_of(service)
    found = manifests(service)
    labels = found[f"Deployment/{name}"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": name}
    assert found[f"Deployment/{name}"]["spec"]["selector"]["matchLabels"] == labels
    assert found[f"PodDisruptionBudget/{name}"]["spec"]["selector"]["matchLabels"] == labels
    for kind in (f"Service/{name}", f"Service/{name}-grpc"):
        assert found[kind]["spec"]["selector"] == labels
    assert found[f"HorizontalPodAutoscaler/{name}"]["spec"]["scaleTargetRef"]["name"] == name


def test_manifests_name_ports_that_the_image_exposes(service: Path) -> None:
    name = name_of(service)
    found = manifests(service)
    (container,) = found[f"Deployment/{name}"]["spec"]["template"]["spec"]["containers"]
    ports = {each["name"]: str(each["containerPort"]) for each in container["ports"]}
    (exposed,) = [rest for word, rest in instructions(service) if word == "EXPOSE"]
    assert sorted(ports.values()) == sorted(exposed.split())
    for kind in (f"Service/{name}", f"Service/{name}-grpc"):
        assert {each["targetPort"] for each in found[kind]["spec"]["ports"]} <= set(ports)
    for probe in ("startup", "readiness", "liveness"):
        assert container[f"{probe}Probe"]["httpGet"]["port"] in ports


def test_pod_lives_longer_than_its_longest_stop(service: Path) -> None:
    name = name_of(service)
    found = manifests(service)
    grace = found[f"Deployment/{name}"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    settings = yaml.safe_load(found[f"ConfigMap/{name}"]["data"]["config.yaml"])
    drain_delay = float(settings["server"]["drain_delay"].removesuffix("s"))
    assert grace > drain_delay + 10 + 5  # stop_timeout, and what comes after it


def test_pod_takes_its_database_from_a_secret(service: Path) -> None:
    name = name_of(service)
    pod = manifests(service)[f"Deployment/{name}"]["spec"]["template"]["spec"]
    (variable,) = pod["containers"][0]["env"]
    prefix = name.replace("-", "_").upper()
    assert variable["name"] == f"{prefix}_DATA__DATABASE__SOURCE"
    assert variable["valueFrom"] == {"secretKeyRef": {"name": name, "key": "database"}}


def test_compose_starts_the_service_with_its_database(shop: Path) -> None:
    services: dict[str, Any] = yaml.safe_load((shop / "compose.yaml").read_text())["services"]
    assert set(services) == {"my-shop", "postgres"}
    ports = [each.split(":") for each in services["my-shop"]["ports"]]
    (exposed,) = [rest for word, rest in instructions(shop) if word == "EXPOSE"]
    assert [port[-1] for port in ports] == exposed.split()
    assert {port[0] for port in ports} == {"127.0.0.1"}
    assert services["my-shop"]["environment"]["MY_SHOP_DATA__DATABASE__SOURCE"].startswith(
        "postgresql://my_shop:"
    )


def test_pipeline_runs_what_developers_run(shop: Path) -> None:
    pipeline = yaml.safe_load((shop / ".github/workflows/ci.yml").read_text())
    steps = [step.get("run") for step in pipeline["jobs"]["check"]["steps"]]
    assert "./hatchw run check" in steps
