"""``python -m benchmarks.simulations [name ...] [--plots FOLDER | --no-plots]``."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_DOCS: Final = Path(__file__).parents[2] / "docs"

# Each module has ``report(plots)``, which prints its tables, and saves its plots in the folder
# that it is given; in none if that is None.
SIMULATIONS: Final = {
    "breaker": "benchmarks.simulations.breaker",
    "keys": "benchmarks.simulations.keys",
    "limiters": "benchmarks.simulations.limiters",
    "rate": "benchmarks.simulations.rate",
    "retry": "benchmarks.simulations.retry",
    "selectors": "benchmarks.simulations.selectors",
    "shedding": "benchmarks.simulations.shedding",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulations that are named, or all."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(SIMULATIONS))
    parser.add_argument("--plots", type=Path, help="folder for the plots; by default that in docs")
    parser.add_argument("--no-plots", action="store_true", help="print the tables only")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(SIMULATIONS):
        parser.error(f"no simulation {', '.join(sorted(unknown))}; there are {set(SIMULATIONS)}")
    for name in options.names or SIMULATIONS:
        module = importlib.import_module(SIMULATIONS[name])
        default = _DOCS / "plots" if name == "selectors" else _DOCS / "aegis" / "plots"
        module.report(None if options.no_plots else options.plots or default)


if __name__ == "__main__":
    main()
