"""``python -m benchmarks BENCH [--json] [--seconds S] [--rounds N]``; ``--help`` names them."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path

from benchmarks import measure

_BENCHES = {
    "gateway": "benchmarks.gateway",
    "http": "benchmarks.http",
    "client": "benchmarks.client",
    "grpc": "benchmarks.grpc",
    "http2": "benchmarks.http2",
    "workers": "benchmarks.workers",
    "workers-grpc": "benchmarks.workers_grpc",
    "cache": "benchmarks.cache",
    "import": "benchmarks.startup",
    "config": "benchmarks.config",
    "json": "benchmarks.codec",
    "metrics": "benchmarks.metrics",
    "jwt": "benchmarks.jwt",
    "overload": "benchmarks.overload",
    "registries": "benchmarks.registries",
    "select": "benchmarks.select",
    "log": "benchmarks.log",
    "aegis": "benchmarks.aegis",
}
_ROOT = Path(__file__).parent


def main() -> None:
    """Run one bench."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("bench", choices=_BENCHES)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--seconds", type=float, default=2.0, help="per round and subject")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds")
    parser.add_argument(
        "--only", default="", help="rows of overload, such as computes,http,5x; cases of grpc"
    )
    options = parser.parse_args()
    bench = importlib.import_module(_BENCHES[options.bench])
    if hasattr(bench, "measured"):
        results = bench.measured(rounds=options.rounds, seconds=options.seconds)
        measure.report(results, as_json=options.json)
        return
    from kratos_cli.proto import compile_protos  # the environment of aegis has no other member

    with tempfile.TemporaryDirectory() as generated:
        compile_protos([_ROOT / "proto"], roots=[_ROOT / "proto"], out=Path(generated))
        path = [Path(generated), _ROOT.parent]
        only = options.only.split(",")
        if hasattr(bench, "show"):
            bench.show(seconds=options.seconds, path=path, as_json=options.json, only=only)
            return
        if hasattr(bench, "against"):
            asked = {"only": only} if options.only else {}
            results = bench.against(
                rounds=options.rounds, seconds=options.seconds, path=path, **asked
            )
            baselines = getattr(bench, "BASELINES", ())
            measure.report(results, as_json=options.json, baselines=baselines)
            return
        results = measure.run(
            options.bench,
            bench.SUBJECTS,
            bench.loads(),
            seconds=options.seconds,
            rounds=options.rounds,
            path=path,
        )
    measure.report(results, as_json=options.json)


if __name__ == "__main__":
    main()
