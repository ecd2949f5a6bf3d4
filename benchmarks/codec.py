"""Protobuf to JSON and back: Google's json_format, the compiled plans, the extension in Rust."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

from google.protobuf import json_format

from benchmarks.measure import Result
from kratos_cli.proto import compile_protos
from kratos_protojson import ParseOptions, Parser, Printer, PrintOptions

__all__ = ["measured"]

Work: TypeAlias = Callable[[], object]

_ROOT: Final = Path(__file__).parent / "proto"
_BATCH: Final = 0.004  # seconds; short ones find a moment in which nobody disturbs
_LINES: Final = {"order1": 1, "order10": 10, "4mib": 20_000}


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure all cases round by round, subjects alternating; the first round warms up.

    Args:
        rounds: How many count.
        seconds: Of one round, for a case and a subject; a twentieth of that is enough here.
    """
    batches = max(1, int(seconds / 20 / _BATCH))
    works = _works()
    results = {key: Result("json", *key, unit="us_cpu_per_op") for key in works}
    counts = {key: max(1, int(_BATCH / _cpu(work, 1))) for key, work in works.items()}
    for number in range(rounds + 1):
        for case in dict.fromkeys(case for case, _ in works):
            keys = [key for key in works if key[0] == case]
            best = dict.fromkeys(keys, float("inf"))
            # Alternating by batches: who else is busy on this machine slows all subjects alike.
            for _ in range(batches if counts[keys[0]] > 1 else 1):
                for key in keys:
                    best[key] = min(best[key], _cpu(works[key], counts[key]))
            if number > 0:
                for key in keys:
                    results[key].values.append(best[key] * 1e6)
                    results[key].rate = max(results[key].rate, 1 / best[key])
    return list(results.values())


def _cpu(work: Work, count: int) -> float:
    """Return CPU seconds of one call."""
    start = time.process_time()
    for _ in range(count):
        work()
    return max(time.process_time() - start, 1e-7) / count


def _works() -> dict[tuple[str, str], Work]:
    bench = _definitions()
    works: dict[tuple[str, str], Work] = {}
    subjects = list(_subjects())
    for case, lines in _LINES.items():
        message = _order(bench, lines)
        for name, write, _ in subjects:
            works[f"print-{case}", name] = _bound(write, message)
        data = Printer().to_json(message)
        for name, write, read in subjects:
            assert read(data, bench.Order) == message
            assert read(write(message), bench.Order) == message
            works[f"parse-{case}", name] = _bound(read, data, bench.Order)
    return works


def _bound(work: Callable[..., object], *arguments: object) -> Work:
    return lambda: work(*arguments)


def _subjects() -> Iterator[tuple[str, Callable[[Any], Any], Callable[[Any, Any], Any]]]:
    yield (
        "json_format",
        lambda message: json_format.MessageToJson(message, indent=None),
        lambda data, kind: json_format.Parse(data, kind(), ignore_unknown_fields=True),
    )
    printer = Printer(PrintOptions(backend="python"))
    yield "plans", printer.to_json, Parser(ParseOptions(backend="python")).from_json
    if find_spec("kratos_protojson_native") is None:
        print("left out: rust is not built; ./hatchw run native builds it", file=sys.stderr)
        return
    printer = Printer(PrintOptions(backend="native"))
    yield "rust", printer.to_json, Parser(ParseOptions(backend="native")).from_json


def _definitions() -> Any:
    with tempfile.TemporaryDirectory() as generated:
        compile_protos([_ROOT], roots=[_ROOT], out=Path(generated))
        sys.path.insert(0, generated)
        try:
            return import_module("bench.order_pb2")
        finally:
            sys.path.remove(generated)


def _order(bench: Any, lines: int) -> Any:
    order = bench.Order(
        id=9007199254740993,
        customer_name="Ada Lovelace",
        created_at={"seconds": 1700000000, "nanos": 123000000},
        valid_for={"seconds": 3600},
        labels={"channel": "web", "region": "eu"},
        card_token="tok_4242",
        discount_percent=5,
        note={"value": "leave at the door"},
    )
    for at in range(lines):
        order.lines.add(
            sku=f"SKU-{at:05}",
            title=f"Thing number {at}",
            quantity=at + 1,
            price={"currency_code": "EUR", "units": 19 + at, "nanos": 990000000},
            tags=["new", "fragile"],
            weight_kg=0.25 * at + 0.1,
            is_gift=at % 2 == 0,
            state=1 + at % 2,
        )
    return order
