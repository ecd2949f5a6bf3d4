"""What a configuration costs: CPU time to load and to read it, and time until a change is heard."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import yaml

from benchmarks.measure import Result
from kratos.config import Config, FileSource, MemorySource, Snapshot
from kratos.config.scan import scan

__all__ = ["measured"]

_SOURCES: Final = 20
_KEYS: Final = 500  # of each
_GROUP: Final = 10
_CHANGES: Final = 20
_FORMATS: Final = ("yaml", "json", "toml", "properties")

Tree: TypeAlias = dict[str, dict[str, object]]


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure everything round by round; the first round warms up.

    Args:
        rounds: How many count.
        seconds: Not of interest: each case takes as long as it takes.
    """
    del seconds
    cases: dict[tuple[str, str, str], Callable[[], float]] = {}
    for name in (*_FORMATS, "all four"):
        documents = _documents(_FORMATS if name == "all four" else (name,))
        cases["load", f"kratos, {name}", "ms"] = partial(_load, documents)
    for name, poll in (("told by the system", None), ("poll=0.1", 0.1)):
        cases["change", f"kratos, {name}", "ms"] = partial(_change, poll)
    cases["get", "kratos", "us"] = _get
    cases["scan", "kratos", "us"] = _scan
    results = {
        key: Result("config", key[0], key[1], unit=f"{key[2]}_per_{key[0]}") for key in cases
    }
    for number in range(rounds + 1):
        for key, case in cases.items():
            value = case()
            if number:
                results[key].values.append(value)
    return list(results.values())


# --- load


def _documents(formats: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {f"source{number}.{kind}": _WRITERS[kind](_tree(number))}
        for number in range(_SOURCES)
        for kind in [formats[number % len(formats)]]
    ]


def _tree(number: int) -> Tree:
    """Return the keys of a source: half its groups are those of others, too."""
    values: tuple[Callable[[int], object], ...] = (
        lambda at: f"value {at}",
        lambda at: at,
        lambda at: at % 3 == 0,
        lambda at: f"${{host:localhost}}:{at}",
    )
    return {
        f"group{group if group % 2 else f'{group} of {number}'}": {
            f"key{number}_{at}": values[at % 4](at)
            for at in range(group * _GROUP, (group + 1) * _GROUP)
        }
        for group in range(_KEYS // _GROUP)
    }


def _toml(tree: Tree) -> str:
    lines: list[str] = []
    for group, values in tree.items():
        lines.append(f"[{json.dumps(group)}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines)


def _properties(tree: Tree) -> str:
    return "\n".join(
        f"{group.replace(' ', '-')}.{key}={value}"
        for group, values in tree.items()
        for key, value in values.items()
    )


_WRITERS: Final[dict[str, Callable[[Tree], str]]] = {
    "yaml": yaml.safe_dump,
    "json": json.dumps,
    "toml": _toml,
    "properties": _properties,
}


def _load(documents: list[dict[str, str]]) -> float:
    async def load() -> float:
        config = Config(*(MemorySource(each, name=next(iter(each))) for each in documents))
        start = time.process_time()
        await config.load()
        end = time.process_time()
        await config.aclose()
        return (end - start) * 1000

    return asyncio.run(load())


# --- change


def _change(poll: float | None) -> float:
    return asyncio.run(_longest(poll))


async def _longest(poll: float | None) -> float:
    """Return the longest time from the end of a write to an observer, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.json"
        path.write_text(json.dumps(_tree(0) | {"at": 0}))
        async with Config(FileSource(folder, poll=poll)) as config:
            heard = asyncio.Event()

            def note(_old: Snapshot, _new: Snapshot) -> None:
                heard.set()

            config.watch("at", note)
            longest = 0.0
            for number in range(1, _CHANGES + 1):
                await asyncio.sleep(0.013 * (number % 7 + 1))  # at any point of an interval
                path.write_text(json.dumps(_tree(0) | {"at": number}))
                start = time.perf_counter()
                await heard.wait()
                heard.clear()
                longest = max(longest, time.perf_counter() - start)
            return longest * 1000


# --- read


def _get() -> float:
    snapshot = Snapshot({"server": {"http": {"port": "8000"}}})
    count = 20_000
    start = time.process_time()
    for _ in range(count):
        snapshot.get("server.http.port", int)
    return (time.process_time() - start) / count * 1e6


@dataclass(frozen=True)
class _Part:
    host: str
    port: int


_SETTINGS: Final = make_dataclass(
    "_SETTINGS",
    [
        *((f"number{at}", int) for at in range(30)),
        *((f"text{at}", str) for at in range(30)),
        *((f"part{at}", _Part) for at in range(20)),
    ],
)


def _scan() -> float:
    tree: dict[str, object] = {f"number{at}": str(at) for at in range(30)}
    tree |= {f"text{at}": "text" for at in range(30)}
    tree |= {f"part{at}": {"host": "localhost", "port": 8000} for at in range(20)}
    snapshot = Snapshot(tree)
    count = 200
    start = time.process_time()
    for _ in range(count):
        scan(snapshot, _SETTINGS)
    return (time.process_time() - start) / count * 1e6
