"""The images of a new project: built by their Dockerfiles from wheels, run, probed and stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from tests.containers.building import Image, build
from tests.containers.dockerfile import WrongDockerfileError
from tests.containers.running import FailedContainerError, running

from kratos_cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.namespaces]

DOCKERFILES = ("Dockerfile", "app/user/Dockerfile")
HEALTHY = "application started"
CALL = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"


class Images:
    """Builds what Dockerfiles of the project say, with nothing but wheels and the index.

    Args:
        folder: Where the project and the images go.
        wheels: Ours.
    """

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.shop = folder / "shop"
        assert main(["new", str(self.shop)]) == 0
        assert main(["new", str(self.shop / "app/user"), "--nomod"]) == 0
        self._folder = folder / "images"
        self._wheels = wheels
        self._made: dict[str, Image] = {}
        # Here and not in a test, whose time is limited.
        for name in DOCKERFILES:
            self.of(name)

    def of(self, dockerfile: str) -> Image:
        """Return the image of a Dockerfile; stages that were built before are there already."""
        index = ("PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        variables = {name: text for name, text in os.environ.items() if name.startswith(index)}
        return build(
            self.shop / dockerfile,
            self.shop,
            self._folder,
            mounts={"/wheels": self._wheels},
            variables=variables | {"PIP_FIND_LINKS": "/wheels"},
            made=self._made,
        )

    def changed(self, before: str, after: str) -> Image:
        """Return the image of the project's Dockerfile with something else in it."""
        text = (self.shop / "Dockerfile").read_text()
        assert before in text
        (self.shop / "Dockerfile.changed").write_text(text.replace(before, after))
        return self.of("Dockerfile.changed")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Images:
    return Images(tmp_path_factory.mktemp("made"), wheels)


def probe(project: Path) -> list[str]:
    """Return what compose.yaml asks whether the service is healthy."""
    services = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    command: list[str]
    word, *command = services["shop"]["healthcheck"]["test"]
    assert word == "CMD"
    return command


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_container_serves_as_nobody_and_stops_when_it_is_asked(
    images: Images, dockerfile: str
) -> None:
    image = images.of(dockerfile)
    with running(image) as container:
        container.until(HEALTHY)
        container.run(*probe(images.shop))
        for port in image.exposed:
            container.run("python", "-c", CALL, str(port))
        assert container.user == (10001, 10001)
        assert container.stop(within=15) == 0
        assert "application stopped" in container.said


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('RUN ["chown", "10001:10001", "/data/db"]\n', "", "unable to open database file"),
        (
            "COPY configs /data/conf\n",
            "RUN mkdir -p /data/conf\n",
            "data.database.source is no URL",
        ),
        ("ENV PATH=/app/bin:$PATH \\\n", "ENV \\\n", "'shop' cannot be run: No such file"),
        (
            'VOLUME ["/data/conf", "/data/db"]',
            'VOLUME ["/data/conf"]',
            "unable to open database file",
        ),
    ],
)
def test_dockerfile_that_is_wrong_does_not_pass(
    images: Images, before: str, after: str, told: str
) -> None:
    with running(images.changed(before, after)) as container:
        with pytest.raises(FailedContainerError) as caught:
            container.until(HEALTHY)
        assert told in str(caught.value)


def test_dockerfile_that_does_not_build_does_not_pass(images: Images) -> None:
    with pytest.raises(WrongDockerfileError, match=r"Dockerfile\.changed:\d+: COPY config "):
        images.changed("COPY configs", "COPY config")
