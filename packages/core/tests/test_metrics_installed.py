"""The meter that is taken without a line of code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kratos import App, plugins
from kratos.errors import ConfigError, PluginLoadError
from kratos.metrics import MemoryMeter, NopMeter, default_meter

Install = Callable[..., None]

MAKES = """
from kratos.metrics import MemoryMeter
calls = 0
def make():
    global calls
    calls += 1
    return MemoryMeter()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with a meter on the path, as an installer would."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)

    def install(name: str, module: str, code: str = MAKES) -> None:
        info = tmp_path / f"kratos_{name}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: kratos-{name}\nVersion: 1.2.3\n")
        (info / "entry_points.txt").write_text(f"[kratos.metrics]\n{name} = {module}:make\n")
        (tmp_path / f"{module}.py").write_text(code)
        importlib.invalidate_caches()
        plugins.clear()

    yield install
    plugins.clear()
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_nothing_is_kept_while_no_meter_is_installed() -> None:
    assert isinstance(default_meter(), NopMeter)
    assert App(name="x").options.metrics is default_meter()


def test_installed_meter_is_made_once_and_taken_by_every_application(install: Install) -> None:
    install("fake", "kratos_fake_meter")
    meter = default_meter()
    assert isinstance(meter, MemoryMeter)
    assert App(name="x").options.metrics is meter
    assert App(name="y").options.metrics is meter
    assert sys.modules["kratos_fake_meter"].calls == 1


def test_meter_that_the_application_was_given_goes_first(install: Install) -> None:
    install("fake", "kratos_fake_unused")
    meter = MemoryMeter()
    assert App(name="x", metrics=meter).options.metrics is meter
    assert "kratos_fake_unused" not in sys.modules


def test_two_installed_meters_are_refused_with_the_choice(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("fake", "kratos_fake_one")
    install("other", "kratos_fake_two")
    with pytest.raises(ConfigError, match="room for one plug-in, and fake, other are installed"):
        App(name="x")
    disabled = os.environ.get(plugins.DISABLED, "")
    monkeypatch.setenv(plugins.DISABLED, f"{disabled},kratos.metrics:other".lstrip(","))
    assert isinstance(App(name="x").options.metrics, MemoryMeter)


@pytest.mark.parametrize(
    ("code", "refusal", "told"),
    [
        ("raise ImportError('no C library')", PluginLoadError, "'fake' in kratos.metrics"),
        ("def make():\n    raise OSError('no disk')", ConfigError, "made no meter: no disk"),
        ("def make():\n    return 7", ConfigError, "made 7, which is no meter"),
    ],
)
def test_broken_meter_is_named_when_the_application_is_made(
    install: Install, code: str, refusal: type[Exception], told: str
) -> None:
    install("fake", f"kratos_fake_{abs(hash(code))}", code)
    with pytest.raises(refusal, match=told):
        App(name="x")


def test_meter_that_a_test_registers_comes_before_installed_ones(install: Install) -> None:
    install("fake", "kratos_fake_three")
    meter: Any = MemoryMeter()
    undo = plugins.register("kratos.metrics", "mine", lambda: meter)
    try:
        assert default_meter() is meter
    finally:
        undo()
    assert default_meter() is not meter
