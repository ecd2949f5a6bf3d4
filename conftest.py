"""What tests need that a machine may lack: skipped for a reason here, an error in CI."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest

# pytest names a test module by its path, so it would make up a package `aegis` out of the folder
# of that name and hide the real one; importing the real one first prevents that.
import aegis  # noqa: F401  # pyright: ignore[reportUnusedImport]

# A time limit per example says more about the machine's load than about the code.
hypothesis.settings.register_profile("kratos", deadline=None)
hypothesis.settings.load_profile("kratos")

SLOW_TIMEOUT = 180  # seconds, in place of the limit in pytest.toml

# An installed meter is every application's, and a tracer that of every middleware. Here they would
# be those of all tests; those of the distributions that bring them take this back.
os.environ.setdefault(
    "KRATOS_PLUGINS_DISABLED",
    "kratos.metrics:datadog,kratos.metrics:otel,kratos.metrics:prometheus,kratos.tracing:otel",
)

ROOT_LEVEL = logging.getLogger().level

LACKS = pytest.StashKey[str]()
LEFT_OUT = pytest.StashKey[Counter[tuple[str, str]]]()


def lacks(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """Yield what a test needs and the machine lacks, and how to provide it."""
    if item.get_closest_marker("go") is not None and shutil.which("go") is None:
        yield "Go", "put go on PATH"
    if item.get_closest_marker("namespaces") is not None:
        from tests.containers.namespaces import lacking

        if lacking():
            yield lacking(), "run them as root of a Linux machine"
    for marker in item.iter_markers("service"):
        if not marker.args:
            raise pytest.UsageError(f'{item.nodeid}: write @pytest.mark.service("<name>")')
        name: str = marker.args[0]
        variable = f"KRATOS_TEST_{name.upper().replace('-', '_')}"
        if not os.environ.get(variable):
            yield name, f"set {variable}"


def unnamed(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """Yield what a test needs of others, and where nobody has said where it is.

    It is nothing that could be pinned and fetched, so that CI runs without it.
    """
    for marker in item.iter_markers("outside"):
        if len(marker.args) != 2:
            raise pytest.UsageError(
                f'{item.nodeid}: write @pytest.mark.outside("<VARIABLE>", "<what>")'
            )
        variable, what = marker.args
        if not os.environ.get(variable):
            yield what, f"set {variable} to where it is"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Decide which tests cannot run, and how long they may."""
    in_ci = os.environ.get("CI") == "true"
    left_out = config.stash[LEFT_OUT] = Counter[tuple[str, str]]()
    for item in items:
        if item.get_closest_marker("slow") is not None:
            # What a fixture builds, a program in Go for instance, takes as long as it takes.
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT, func_only=True))
        for need, remedy in unnamed(item):
            item.add_marker(pytest.mark.skip(reason=f"not run without {need}: {remedy}"))
            left_out[need, remedy] += 1
        for need, remedy in lacks(item):
            if in_ci:
                item.stash[LACKS] = f"{need} is missing, and CI runs every test: {remedy}"
            else:
                item.add_marker(pytest.mark.skip(reason=f"{need} is missing: {remedy}"))
                left_out[need, remedy] += 1


def is_of_this_loop(record: logging.LogRecord) -> bool:
    """Tell whether the loop of a test says something of its own.

    gRPC's core answers a call after the loop of the test that made it has closed, and grpcio says
    so in the loop of the next one, where a test may look at all that is logged.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (
        isinstance(error, RuntimeError)
        and str(error) == "Event loop is closed"
        and "PollerCompletionQueue._handle_events" in record.getMessage()
    )


def pytest_configure() -> None:
    """Keep what one test left behind out of the records of another."""
    logging.getLogger("asyncio").addFilter(is_of_this_loop)


def pytest_collection_finish() -> None:
    """Spare collections of garbage, which tests of leaks ask for, what all tests are made of."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a test fail in CI that cannot run there."""
    if LACKS in item.stash:
        pytest.fail(item.stash[LACKS], pytrace=False)


@pytest.fixture(autouse=True)
def level_of_root() -> Iterator[None]:
    """Take back what a test, or a library that it uses, does to the level of all loggers."""
    yield
    logging.getLogger().setLevel(ROOT_LEVEL)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out for want of what."""
    left_out = config.stash.get(LEFT_OUT, Counter[tuple[str, str]]())
    for (need, remedy), count in sorted(left_out.items()):
        terminalreporter.write_line(f"left out for want of {need}: {count} test(s); {remedy}")
