"""Images are built and run as Docker does it, and what is wrong with a Dockerfile is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.containers.building import Image, build
from tests.containers.context import Context
from tests.containers.dockerfile import WrongDockerfileError, read
from tests.containers.running import FailedContainerError, running

pytestmark = [pytest.mark.slow, pytest.mark.namespaces]

Build = Callable[[str], Image]

SERVICE = """
import os, signal, sys
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("process", os.getpid(), "user", os.getuid(), os.getgid(), "in", os.getcwd(), flush=True)
Path(sys.argv[1], "written").write_text("x")
print("serves", os.environ["GREETING"], flush=True)
signal.pause()
"""
RIGHT = """
FROM python:3.13-slim AS build
WORKDIR /made
COPY service.py parts ./
RUN ["python", "-c", "open('/made/more', 'w').write('made by a step')"]
RUN cp more still-more && mkdir data

FROM python:3.13-slim
COPY --from=build /made /app
WORKDIR /app/data
RUN ["chown", "10001:10001", "."]
ENV GREETING=hello \\
    # within a line
    PATH=/app:$PATH
EXPOSE 8000 9000
VOLUME ["/app/data"]
USER 10001:10002
CMD ["python", "/app/service.py", "/app/data"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "parts/inner").mkdir(parents=True)
    (folder / "service.py").write_text(SERVICE)
    (folder / "parts/inner/part").write_text("x")
    (folder / "parts/left.db").write_text("x")
    (folder / "secret").write_text("x")
    (folder / ".dockerignore").write_text("secret\n**/*.db\n.*\n")
    return folder


@pytest.fixture
def built(context: Path, tmp_path: Path) -> Build:
    def of(text: str) -> Image:
        (context / "Dockerfile").write_text(text)
        return build(context / "Dockerfile", context, tmp_path / "images")

    return of


def test_image_is_what_its_steps_make(built: Build) -> None:
    image = built(RIGHT)
    made = image.root / "app"
    assert (made / "more").read_text() == "made by a step"
    assert {path.name for path in made.iterdir()} == {
        *("data", "inner", "more", "service.py", "still-more"),
    }
    assert (made / "data").stat().st_uid == 10001
    assert image.exposed == [8000, 9000]
    assert image.environment["PATH"].startswith("/app:/")


def test_container_is_process_1_of_its_user_and_stops_when_it_is_asked(built: Build) -> None:
    with running(built(RIGHT)) as container:
        said = container.until("serves hello")
        assert "process 1 user 10001 10002 in /app/data" in said
        assert container.user == (10001, 10002)
        assert container.run("cat", "/app/data/written") == "x"
        assert "/app/service.py" in container.run("cat", "/proc/1/cmdline")
        assert container.stop(within=20) == 3


def test_container_has_a_network_of_its_own(built: Build) -> None:
    listens = "; ".join(
        (
            "import socket",
            "s = socket.create_server(('127.0.0.1', 80))",
            "print('up', flush=True)",
            "s.accept()",
            "print('called', flush=True)",
            "s.accept()",  # what is run beside process 1 ends with it
        )
    )
    with running(built(f'FROM python:3\nCMD ["python", "-c", "{listens}"]\n')) as container:
        container.until("up")
        calls = "import socket; socket.create_connection(('127.0.0.1', 80))"
        container.run("python", "-c", calls)
        container.until("called")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("COPY service.py", "COPY lost.py", "Dockerfile:4: COPY lost.py parts ./: there is no 'l"),
        ("COPY service.py", "COPY secret", "there is no 'secret' to copy, or .dockerignore"),
        ("parts ./", "parts there", "the target of several files ends with /"),
        ("RUN cp more", "RUN cp nothing", "Dockerfile:6: RUN cp nothing still-more && mkdir data:"),
        ('RUN ["chown"', 'RUN ["chowned"', "'chowned' cannot be run: No such file"),
        ("--from=build", "--from=builder", "there is no stage 'builder' before this one"),
        ("build /made", "build /lost", "the stage 'build' has no folder /lost"),
        ("COPY service.py parts ./", "COPY service.py /usr/bin/x", "/usr/bin/x is the system's"),
        ("EXPOSE 8000", "EXPOSE http", "a port is a number"),
        ("GREETING=hello", "GREETING", "'GREETING' is no NAME=VALUE"),
        ("USER 10001:10002", "USER somebody", "users are known here by their numbers"),
        ("VOLUME", "VOLUMES", 'VOLUMES ["/app/data"]: this is not known here'),
        ("\nFROM python:3.13-slim AS build", "\nRUN x\nFROM x", "does not begin with FROM"),
    ],
)
def test_step_that_is_wrong_is_told(built: Build, before: str, after: str, told: str) -> None:
    assert before in RIGHT
    with pytest.raises(WrongDockerfileError) as caught:
        built(RIGHT.replace(before, after, 1))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('RUN ["chown", "10001:10001", "."]\n', "", "PermissionError"),
        ('VOLUME ["/app/data"]\n', "", "Read-only file system"),
        ('service.py", "/app/data', 'lost.py", "/app/data', "No such file"),
        ('CMD ["python"', 'CMD ["pythons"', "'pythons' cannot be run: No such file or directory"),
        ("ENV GREETING", "ENV GREETED", "KeyError: 'GREETING'"),
    ],
)
def test_image_that_cannot_serve_is_told(built: Build, before: str, after: str, told: str) -> None:
    assert before in RIGHT
    with running(built(RIGHT.replace(before, after, 1))) as container:
        with pytest.raises(FailedContainerError) as caught:
            container.until("serves hello")
        assert told in str(caught.value)


def test_shell_that_hears_no_signal_is_found(built: Build) -> None:
    text = RIGHT.replace('CMD ["python", "/app/service.py", "/app/data"]', "CMD {}").format(
        "python /app/service.py /app/data; echo ended"
    )
    with running(built(text)) as container:
        container.until("serves")
        with pytest.raises(FailedContainerError, match=r"it has not ended within 0\.5 s"):
            container.stop(within=0.5)


def test_ignored_files_are_not_there(context: Path, tmp_path: Path) -> None:
    rules = "**/logs\n*.tmp\n!keep.tmp\ndocs/*\n!docs/index.md\n# none\n"
    (context / ".dockerignore").write_text(rules)
    paths = ("a/logs/x", "logs/y", "z.tmp", "keep.tmp", "a/z.tmp", "docs/index.md", "docs/more.md")
    for path in paths:
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).touch()
    found = Context(context)
    assert [path for path in paths if found.has(Path(path))] == [
        *("keep.tmp", "a/z.tmp", "docs/index.md"),
    ]
    found.copy(Path(), tmp_path / "copied")
    assert not (tmp_path / "copied/logs").exists()
    assert (tmp_path / "copied/docs/index.md").exists()


def test_lines_that_go_on_are_one_instruction(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text('# x\nFROM a\n\nENV A=1 \\\n  # not this\n  B=2\nCMD ["x", "y z"]\n')
    found = read(file)
    assert [(each.where, each.name) for each in found] == [
        *(("Dockerfile:2", "FROM"), ("Dockerfile:4", "ENV"), ("Dockerfile:7", "CMD")),
    ]
    assert found[1].words == ["A=1", "B=2"]
    assert found[2].command == ["x", "y z"]
