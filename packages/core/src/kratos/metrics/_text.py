"""The text that Prometheus reads, format 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from kratos.metrics._snapshot import Distribution, Family, Snapshot

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_IN_TEXT: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_VALUE: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposition(snapshot: Snapshot, /) -> str:
    """Return a snapshot as text for a scraper; what UTF-8 cannot carry of it becomes ``?``."""
    text = "".join(f"{line}\n" for family in snapshot for line in _lines(family))
    # One label from afar with half a surrogate pair would end all metrics for good.
    return text.encode(errors="replace").decode()


def _lines(family: Family) -> Iterator[str]:
    if family.description:
        yield f"# HELP {family.name} {family.description.translate(_IN_TEXT)}"
    yield f"# TYPE {family.name} {family.kind}"
    for values, value in family.series.items():
        labels = [
            f'{name}="{text.translate(_IN_VALUE)}"'
            for name, text in zip(family.labels, values, strict=True)
        ]
        if isinstance(value, Distribution):
            yield from _buckets(family.name, labels, value)
        else:
            yield f"{family.name}{_braced(labels)} {_number(value)}"


def _buckets(name: str, labels: Sequence[str], value: Distribution) -> Iterator[str]:
    bounds = (*value.bounds, math.inf)
    for bound, count in zip(bounds, accumulate(value.counts), strict=True):
        limit = f'le="{_number(bound)}"'
        yield f"{name}_bucket{_braced([*labels, limit])} {count}"
    yield f"{name}_sum{_braced(labels)} {_number(value.total)}"
    yield f"{name}_count{_braced(labels)} {sum(value.counts)}"


def _braced(labels: Sequence[str]) -> str:
    return f"{{{','.join(labels)}}}" if labels else ""


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
