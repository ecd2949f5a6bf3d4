"""``python -m kratos.worker --channel FD module:build``: a worker; a supervisor starts it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve as a worker and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kratos.worker",
        description="Serve as one of a supervisor's workers; started by kratos.run and kratos run.",
    )
    parser.add_argument("--channel", type=int, required=True, metavar="FD")
    parser.add_argument("target", help="module:build or /path/service.py:build")
    options = parser.parse_args(argv)
    from kratos.workers._member import work

    return work(options.target, options.channel)


if __name__ == "__main__":
    sys.exit(main())
