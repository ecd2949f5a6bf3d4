"""What a meter has counted, as data: to be sent, added up and rendered.

Workers of one host count each for themselves. What a scraper wants is one answer, whose counters
never fall: so counters and histograms of all workers are added, also of those that have ended,
and gauges are combined by the rule that each was made with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from kratos.metrics._interface import Across

__all__ = [
    "Distribution",
    "Exemplar",
    "Exemplars",
    "Family",
    "Kind",
    "Snapshot",
    "from_wire",
    "lasting",
    "merge",
    "to_wire",
]

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

_KINDS: Final = get_args(Kind)
_RULES: Final = get_args(Across)
_ORIGIN: Final = "worker"  # the label of gauges that are shown each for itself
_TAKEN: Final = f"exported_{_ORIGIN}"  # a label of that name becomes this one, as in Prometheus


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Values that were observed.

    Attributes:
        bounds: Upper bounds of the buckets, rising; the last bucket has none.
        counts: Values in each bucket alone: one number more than bounds.
        total: Sum of the values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    def __add__(self, other: Distribution, /) -> Distribution:
        """Return both together.

        Raises:
            ValueError: The bounds differ.
        """
        counts = tuple(map(sum, zip(self.counts, other.counts, strict=True)))
        if self.bounds != other.bounds:
            raise ValueError(f"buckets {self.bounds} and {other.bounds} cannot be added")
        return Distribution(bounds=self.bounds, counts=counts, total=self.total + other.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """One of those that were counted.

    Attributes:
        labels: What it is looked up by, such as ``trace_id``.
        value: What was observed, or added.
        time: When, in seconds since the epoch.
    """

    labels: Mapping[str, str]
    value: float
    time: float


Exemplars: TypeAlias = Mapping[tuple[str, ...], Mapping[int, Exemplar]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One instrument with all its series.

    Attributes:
        name: Name of the series.
        kind: What it is.
        description: What it tells, in one line.
        unit: Unit of the values; empty for a plain number.
        labels: Names of the labels.
        across: How a gauge of several workers is combined.
        series: A number, or what was observed, by the values of the labels.
        exemplars: Of counters and histograms, by the values of the labels and the index of the
            bucket; that of a counter is 0.
    """

    name: str
    kind: Kind
    description: str = ""
    unit: str = ""
    labels: tuple[str, ...] = ()
    across: Across = "each"
    series: Mapping[tuple[str, ...], float | Distribution] = field(
        default_factory=dict[tuple[str, ...], "float | Distribution"]
    )
    exemplars: Exemplars = field(default_factory=dict[tuple[str, ...], Mapping[int, Exemplar]])


Snapshot: TypeAlias = Sequence[Family]


def merge(parts: Iterable[tuple[str, Snapshot]], /) -> Snapshot:
    """Return what several processes have counted together.

    An instrument that is not made alike everywhere, as after a reload with new code, is that of
    the later ones; what the earlier ones counted is left out, as if they had been restarted. Of
    exemplars, the newest is kept.

    Args:
        parts: Where each snapshot comes from, which names gauges that are shown each for itself,
            and the snapshot; the oldest first. An empty origin gives no label.
    """
    merged: dict[str, Family] = {}
    for origin, snapshot in parts:
        for family in snapshot:
            if not family.series:
                continue  # nothing was counted there, so it takes nothing away from others
            part = _labelled(family, origin)
            known = merged.get(family.name)
            merged[family.name] = part if known is None else _together(known, part)
    return tuple(merged.values())


def lasting(snapshot: Snapshot, /) -> Snapshot:
    """Return what stays when the process has ended: all but the gauges."""
    return tuple(family for family in snapshot if family.kind != "gauge")


def to_wire(snapshot: Snapshot, /) -> list[Any]:
    """Return a snapshot as values of JSON."""
    return [
        {
            "name": family.name,
            "kind": family.kind,
            "description": family.description,
            "unit": family.unit,
            "labels": family.labels,
            "across": family.across,
            "series": [[values, _sent(value)] for values, value in family.series.items()],
            "exemplars": [
                [values, [[index, one.labels, one.value, one.time] for index, one in told.items()]]
                for values, told in family.exemplars.items()
            ],
        }
        for family in snapshot
    ]


def from_wire(values: object, /) -> Snapshot:
    """Return the snapshot that ``to_wire`` was given; what is new in later versions is left out.

    Raises:
        ValueError: It is none.
    """
    try:
        return tuple(_family(item) for item in cast("list[dict[str, Any]]", values))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"no snapshot of metrics: {error!r}") from error


def _labelled(family: Family, origin: str) -> Family:
    """Tell series of a gauge apart that is shown for each worker."""
    if not origin or family.kind != "gauge" or family.across != "each":
        return family
    series = {(*values, origin): value for values, value in family.series.items()}
    labels = tuple(_TAKEN if name == _ORIGIN else name for name in family.labels)
    return replace(family, labels=(*labels, _ORIGIN), series=series)


def _together(earlier: Family, later: Family) -> Family:
    if (earlier.kind, earlier.labels) != (later.kind, later.labels):
        return later
    series = dict(earlier.series)
    for values, value in later.series.items():
        known = series.get(values)
        series[values] = value if known is None else _combined(later, known, value)
    if not earlier.exemplars:
        return replace(later, series=series)
    exemplars = dict(earlier.exemplars)
    for values, told in later.exemplars.items():
        exemplars[values] = _newest(exemplars.get(values, {}), told)
    for values, told in exemplars.items():
        exemplars[values] = _fitting(series.get(values), told)
    return replace(later, series=series, exemplars=exemplars)


def _newest(one: Mapping[int, Exemplar], other: Mapping[int, Exemplar]) -> Mapping[int, Exemplar]:
    newest = dict(one)
    for index, exemplar in other.items():
        known = newest.get(index)
        if known is None or known.time <= exemplar.time:
            newest[index] = exemplar
    return newest


def _fitting(
    value: float | Distribution | None, told: Mapping[int, Exemplar]
) -> Mapping[int, Exemplar]:
    """Leave out exemplars of other buckets, as there were before a reload."""
    if not isinstance(value, Distribution):
        return told
    limits = (-math.inf, *value.bounds, math.inf)
    return {
        index: exemplar
        for index, exemplar in told.items()
        if index < len(value.counts) and limits[index] < exemplar.value <= limits[index + 1]
    }


def _combined(
    family: Family, earlier: float | Distribution, later: float | Distribution
) -> float | Distribution:
    if isinstance(earlier, Distribution) or isinstance(later, Distribution):
        try:
            return cast("Distribution", earlier) + cast("Distribution", later)
        except (TypeError, ValueError):
            return later
    if family.kind == "counter" or family.across == "sum":
        return earlier + later
    if family.across == "each":
        return later
    return max(earlier, later) if family.across == "max" else min(earlier, later)


def _sent(value: float | Distribution) -> Any:
    if isinstance(value, Distribution):
        return [value.bounds, value.counts, value.total]
    return value


def _family(item: dict[str, Any]) -> Family:
    kind, across = item["kind"], item["across"]
    if kind not in _KINDS or across not in _RULES:
        raise ValueError(f"{item['name']} is a {kind}, to be combined by {across}")
    labels = tuple(map(str, item["labels"]))
    series = {tuple(map(str, values)): _value(kind, value) for values, value in item["series"]}
    if any(len(values) != len(labels) for values in series):
        raise ValueError(f"{item['name']} has labels without values")
    return Family(
        name=str(item["name"]),
        kind=kind,
        description=str(item["description"]),
        unit=str(item["unit"]),
        labels=labels,
        across=across,
        series=series,
        exemplars=dict(map(_exemplars, item.get("exemplars", ()))),
    )


def _exemplars(told: Any) -> tuple[tuple[str, ...], Mapping[int, Exemplar]]:
    values, exemplars = told
    return tuple(map(str, values)), {
        int(index): Exemplar(
            labels={str(name): str(text) for name, text in labels.items()},
            value=float(value),
            time=float(time),
        )
        for index, labels, value, time in exemplars
    }


def _value(kind: Kind, value: Any) -> float | Distribution:
    if kind != "histogram":
        return float(value)
    bounds, counts, total = value
    if len(counts) != len(bounds) + 1:
        raise ValueError("a histogram has one count more than bounds")
    return Distribution(
        bounds=tuple(map(float, bounds)), counts=tuple(map(int, counts)), total=float(total)
    )
