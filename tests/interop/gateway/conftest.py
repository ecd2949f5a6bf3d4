"""Go's gateway, built of the source that KRATOS_GO_GATEWAY_SRC names, and ours beside it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from tests.interop.gateway.beside import Both, running
from tests.interop.gateway.node import node

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kratos-tests"


@pytest.fixture(scope="session")
def go_source() -> Path:
    """Folder with the source of Go's gateway."""
    return Path(os.environ["KRATOS_GO_GATEWAY_SRC"])


@pytest.fixture(scope="session")
def go_gateway(go_source: Path) -> Path:
    """Path of the program, built outside of its source and kept for as long as that stays."""
    digest = hashlib.sha256()
    for source in sorted((*go_source.rglob("*.go"), go_source / "go.sum")):
        digest.update(source.read_bytes())
    program = CACHE / f"go-gateway-{digest.hexdigest()[:16]}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = program.with_name(f"{program.name}.{os.getpid()}")
        command = ["go", "build", "-o", str(scratch), "./cmd/gateway"]
        done = subprocess.run(command, cwd=go_source, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        scratch.rename(program)
    return program


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
