"""Go's gateway, built of the source that KRATOS_GO_GATEWAY_SRC names, and ours beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from tests.interop.building import built, run
from tests.interop.gateway.beside import Both, running
from tests.interop.gateway.node import node


@pytest.fixture(scope="session")
def go_source() -> Path:
    """Folder with the source of Go's gateway."""
    return Path(os.environ["KRATOS_GO_GATEWAY_SRC"])


@pytest.fixture(scope="session")
def go_gateway(go_source: Path) -> Path:
    """Path of the program, built outside of its source and kept for as long as that stays."""
    sources = (*go_source.rglob("*.go"), go_source / "go.sum")

    def build(folder: Path) -> None:
        folder.mkdir()
        run(go_source, "go", "build", "-mod=readonly", "-o", str(folder), "./cmd/gateway")

    return built("go-gateway", sources, build) / "gateway"


@pytest.fixture(scope="module")
def started(
    go_gateway: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[Both]]:
    """Starts both with one configuration, in which ``%(node)s`` is their back end."""

    @contextmanager
    def start(text: str, *arguments: str, **options: Any) -> Generator[Both]:
        folder = tmp_path_factory.mktemp("beside") / "conf"
        folder.mkdir()
        with node() as behind:
            (folder / "config.yaml").write_text(text % {"node": behind.address}, encoding="utf-8")
            words = ("-conf", "{folder}/config.yaml", *arguments)
            with running(go_gateway, behind, folder, words, **options) as both:
                yield both

    return start


@pytest.fixture(scope="module")
def both(
    request: pytest.FixtureRequest, started: Callable[..., AbstractContextManager[Both]]
) -> Iterator[Both]:
    """Both with the ``CONFIG`` of a module, kept for all of its tests."""
    with started(cast("Any", request).module.CONFIG, "-debug") as made:
        yield made
