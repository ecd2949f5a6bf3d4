from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kratos import plugins
from kratos.errors import ConfigError, PluginConflict, PluginLoadError, PluginNotFound

GROUP = "kratos.registry"

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    plugins.clear()
    yield
    plugins.clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with plug-ins on the path, as an installer would."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)

    def install(
        distribution: str, module: str, code: str = "made = object()", **entries: str
    ) -> None:
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.2.3\n")
        lines = [f"{name} = {target}" for name, target in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))
        (tmp_path / f"{module}.py").write_text(code)
        importlib.invalidate_caches()
        plugins.clear()

    yield install
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_installed_plugin_is_listed_without_being_imported(install: Install) -> None:
    install("kratos-fake", "kratos_fake_a", fake="kratos_fake_a:made")

    (plugin,) = [plugin for plugin in plugins.find(GROUP) if plugin.name == "fake"]

    assert plugin == plugins.Plugin(
        group=GROUP,
        name="fake",
        distribution="kratos-fake",
        version="1.2.3",
        target="kratos_fake_a:made",
    )
    assert "kratos_fake_a" not in sys.modules


def test_installed_plugin_is_imported_when_loaded(install: Install) -> None:
    install("kratos-fake", "kratos_fake_b", fake="kratos_fake_b:made")

    made: object = plugins.load(GROUP, "fake")

    assert made is sys.modules["kratos_fake_b"].made


def test_attribute_of_an_attribute_may_be_announced(install: Install) -> None:
    install("kratos-fake", "kratos_fake_c", "class A:\n    make = 7", fake="kratos_fake_c:A.make")

    made: object = plugins.load(GROUP, "fake")

    assert made == 7


def test_unknown_name_tells_what_there_is() -> None:
    with pytest.raises(PluginNotFound) as caught:
        plugins.load(GROUP, "pigeon")

    assert "memory" in caught.value.installed
    assert "no distribution that this kratos-core knows of brings it" in str(caught.value)


def test_missing_plugin_of_a_known_distribution_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kratos.plugins._found", {"kratos.transport": {}})
    with pytest.raises(PluginNotFound, match=r"pip install kratos-grpc$"):
        plugins.load("kratos.transport", "grpc")
    with pytest.raises(PluginNotFound, match="did you mean 'grpc'") as caught:
        plugins.load("kratos.transport", "grcp")
    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"), [("memory9", "did you mean 'memory'"), ("thrift", "no dist")]
)
def test_no_name_of_strangers_is_proposed_for_installation(name: str, hint: str) -> None:
    with pytest.raises(PluginNotFound, match=hint) as caught:
        plugins.load(GROUP, name)

    assert "pip install" not in str(caught.value)


def test_near_spelling_is_suggested() -> None:
    with pytest.raises(PluginNotFound, match="did you mean 'memory'"):
        plugins.load(GROUP, "memroy")


def test_nobody_is_told_to_install_a_misspelling() -> None:
    with pytest.raises(PluginNotFound) as caught:
        plugins.load(GROUP, "memroy")

    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize("name", ["os:system", "os.path:join", "Etcd", "../etcd", "", "a b"])
def test_path_to_code_is_no_name(name: str) -> None:
    with pytest.raises(PluginNotFound) as caught:
        plugins.load(GROUP, name)

    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize(
    "code", ["import no_such_library", "1 / 0", "other = 1"], ids=["missing", "broken", "renamed"]
)
def test_plugin_that_fails_to_import_is_named_with_its_distribution(
    install: Install, code: str
) -> None:
    install("kratos-fake", "kratos_fake_d", code, fake="kratos_fake_d:made")

    with pytest.raises(PluginLoadError, match=r"'fake' in .* kratos-fake 1\.2\.3") as caught:
        plugins.load(GROUP, "fake")

    assert caught.value.__cause__ is not None


def test_name_that_two_distributions_claim_is_refused(install: Install) -> None:
    install("kratos-one", "kratos_fake_e", twice="kratos_fake_e:made")
    install("kratos-two", "kratos_fake_f", twice="kratos_fake_f:made")

    with pytest.raises(PluginConflict, match="kratos-one and kratos-two"):
        plugins.load(GROUP, "twice")
    assert [plugin.name for plugin in plugins.find(GROUP)].count("twice") == 2


def test_built_in_name_that_a_distribution_claims_is_refused_too(install: Install) -> None:
    install("kratos-fake", "kratos_fake_g", memory="kratos_fake_g:made")

    with pytest.raises(PluginConflict, match="kratos-core and kratos-fake"):
        plugins.load(GROUP, "memory")


def test_metadata_of_the_core_is_the_core_and_no_rival(install: Install) -> None:
    install("kratos-core", "kratos_fake_j", memory="kratos_fake_j:made")

    (plugin,) = [plugin for plugin in plugins.find(GROUP) if plugin.name == "memory"]
    (built_in,) = [plugin for plugin in plugins.find(GROUP) if plugin.name == "file"]

    assert (plugin.distribution, plugin.target) == ("kratos-core", "kratos_fake_j:made")
    assert plugin.version == built_in.version == "1.2.3"


def test_disabling_one_claimant_is_not_needed_when_the_other_is_overridden(
    install: Install,
) -> None:
    install("kratos-fake", "kratos_fake_h", memory="kratos_fake_h:made")
    chosen = object()
    undo = plugins.register(GROUP, "memory", chosen)
    try:
        found: object = plugins.load(GROUP, "memory")
    finally:
        undo()

    assert found is chosen


def test_registered_plugin_comes_first_until_undone() -> None:
    before: object = plugins.load(GROUP, "memory")
    chosen = object()

    undo = plugins.register(GROUP, "memory", chosen)
    during: object = plugins.load(GROUP, "memory")
    undo()
    undo()

    assert during is chosen
    assert plugins.load(GROUP, "memory") is before


def test_undoing_gives_back_an_earlier_registration() -> None:
    undo_first = plugins.register("kratos.test", "a", 1)
    undo_second = plugins.register("kratos.test", "a", 2)

    undo_second()
    assert plugins.load("kratos.test", "a") == 1

    undo_first()
    with pytest.raises(PluginNotFound):
        plugins.load("kratos.test", "a")


def test_registered_name_must_be_a_scheme() -> None:
    with pytest.raises(ValueError, match="lower-case URL scheme"):
        plugins.register(GROUP, "No Scheme", object())


def test_disabled_plugin_is_neither_listed_nor_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.DISABLED, " kratos.registry:memory, kratos.config:env")

    assert "memory" not in [plugin.name for plugin in plugins.find(GROUP)]
    with pytest.raises(PluginNotFound, match="KRATOS_PLUGINS_DISABLED disables it"):
        plugins.load(GROUP, "memory")
    assert plugins.load(GROUP, "file")


@pytest.mark.parametrize("value", ["memory", "kratos.registry:", ":memory"])
def test_malformed_list_of_disabled_plugins_is_an_error(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(plugins.DISABLED, value)

    with pytest.raises(ConfigError, match="must list group:name"):
        plugins.find(GROUP)


def test_metadata_is_read_once_per_group(install: Install) -> None:
    before = plugins.find(GROUP)
    install("kratos-fake", "kratos_fake_i", fake="kratos_fake_i:made")
    plugins.find(GROUP)
    after = plugins.find(GROUP)
    assert len(after) == len(before) + 1

    plugins.find("kratos.other")

    assert plugins.find(GROUP) == after


def test_what_the_core_announces_is_known_without_metadata() -> None:
    project = Path(__file__).parents[1] / "pyproject.toml"
    announced = tomllib.loads(project.read_text())["project"]["entry-points"]

    for group, entries in announced.items():
        found = {
            plugin.name: plugin.target
            for plugin in plugins.find(group)
            if plugin.distribution == "kratos-core"
        }
        assert found == entries, group


def test_metadata_is_not_imported_before_the_first_look_up() -> None:
    program = "import sys, kratos.plugins; print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.strip() == b"False"
