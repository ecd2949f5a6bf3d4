"""Between what prometheus_client collects and what Kratos adds up over workers: pure functions.

What prometheus_client knows and a ``Family`` does not becomes the nearest of it: a summary is a
histogram without bounds, an info, an enum and an untyped value are gauges.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from prometheus_client import Metric, utils
from prometheus_client import samples as client
from prometheus_client.samples import Sample

from kratos.metrics import Distribution, Exemplar, Family, Kind

__all__ = ["FamilyMetric", "family_of", "shown", "without_created"]

_KINDS: Final[Mapping[str, Kind]] = {
    "counter": "counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "info": "gauge",
    "stateset": "gauge",
    "summary": "histogram",
    "unknown": "gauge",
}
_UNTYPED: Final[Any] = utils
_SUFFIX: Final = {"counter": "_total", "info": "_info"}


def shown(kind: str, name: str) -> str:
    """Return the name under which a scraper finds an instrument."""
    suffix = _SUFFIX.get(kind, "")
    return name if name.endswith(suffix) else name + suffix


def without_created(metric: Metric) -> Metric:
    """Leave out when series began, which would be one more series for each."""
    if not isinstance(metric, FamilyMetric):  # which has none
        metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
    return metric


class FamilyMetric(Metric):
    """A family as prometheus_client writes it; its samples are made when somebody reads them."""

    def __init__(self, family: Family) -> None:
        counts = family.kind == "counter"
        self.family: Final = family
        self.name = family.name.removesuffix("_total") if counts else family.name
        self.documentation = family.description
        self.unit = ""  # it would have to be the end of the name
        first = next(iter(family.series.values()), None)  # all of them are alike
        self.type = "summary" if _is_summary(first) else family.kind

    @property
    def samples(self) -> list[Sample]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """All samples of all series, with their exemplars."""
        return list(_samples(self.name, self.family))


def family_of(metric: Metric) -> Family | None:
    """Return what was collected as a family of Kratos; ``None`` for what cannot be added up."""
    if isinstance(metric, FamilyMetric):
        return metric.family
    kind = _KINDS.get(metric.type)
    if kind is None:
        return None
    samples = [one for one in metric.samples if not one.name.endswith("_created")]
    labels = _labels(samples)
    series: Mapping[tuple[str, ...], float | Distribution]
    if kind == "histogram":
        series = _distributions(metric.name, labels, samples)
    else:
        series = {_key(labels, one): one.value for one in samples}
    return Family(
        name=shown(metric.type, metric.name),
        kind=kind,
        description=metric.documentation,
        labels=labels,
        series=series,
        exemplars=_exemplars(labels, samples),
    )


def _is_summary(value: float | Distribution | None) -> bool:
    return isinstance(value, Distribution) and not value.bounds


def _samples(name: str, family: Family) -> Iterator[Sample]:
    for values, value in family.series.items():
        labels = dict(zip(family.labels, values, strict=True))
        told = family.exemplars.get(values, {})
        if isinstance(value, Distribution):
            yield from _distributed(name, labels, value, told)
        else:
            yield Sample(family.name, labels, value, None, _shown_exemplar(told.get(0)))


def _distributed(
    name: str, labels: dict[str, str], value: Distribution, told: Mapping[int, Exemplar]
) -> Iterator[Sample]:
    if value.bounds:
        bounds = (*value.bounds, math.inf)
        for index, count in enumerate(accumulate(value.counts)):
            limit = {**labels, "le": _UNTYPED.floatToGoString(bounds[index])}
            exemplar = _shown_exemplar(told.get(index))
            yield Sample(f"{name}_bucket", limit, count, None, exemplar)
    if not value.bounds or value.bounds[0] >= 0:  # a sum that may fall is none, says OpenMetrics
        yield Sample(f"{name}_count", labels, sum(value.counts))
        yield Sample(f"{name}_sum", labels, value.total)


def _shown_exemplar(exemplar: Exemplar | None) -> client.Exemplar | None:
    if exemplar is None:
        return None
    return client.Exemplar(dict(exemplar.labels), exemplar.value, exemplar.time)


def _exemplars(
    labels: Sequence[str], samples: Iterable[Sample]
) -> dict[tuple[str, ...], dict[int, Exemplar]]:
    """Return exemplars by the index of their bucket, in the order of which buckets come."""
    found: dict[tuple[str, ...], dict[int, Exemplar]] = {}
    seen: Counter[tuple[str, ...]] = Counter()
    for one in samples:
        key = _key(labels, one)
        index = seen[key] if "le" in one.labels else 0
        seen[key] += "le" in one.labels
        if one.exemplar is not None:
            told = one.exemplar
            found.setdefault(key, {})[index] = Exemplar(
                labels=told.labels, value=told.value, time=float(told.timestamp or 0.0)
            )
    return found


def _distributions(
    name: str, labels: Sequence[str], samples: Iterable[Sample]
) -> dict[tuple[str, ...], Distribution]:
    totals: dict[tuple[str, ...], float] = {}
    counts: dict[tuple[str, ...], float] = {}
    buckets: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for one in samples:
        key = _key(labels, one)
        if one.name == f"{name}_bucket":
            buckets.setdefault(key, []).append((float(one.labels["le"]), one.value))
        elif one.name == f"{name}_count":
            counts[key] = one.value
        elif one.name == f"{name}_sum":
            totals[key] = one.value
    return {
        key: _distribution(buckets.get(key, []), count, totals.get(key, 0.0))
        for key, count in counts.items()
    }


def _distribution(buckets: list[tuple[float, float]], count: float, total: float) -> Distribution:
    bounds = tuple(bound for bound, _ in buckets if bound != math.inf)
    below = [0.0, *(value for bound, value in buckets if bound != math.inf), count]
    counts = tuple(int(high - low) for low, high in pairwise(below))
    return Distribution(bounds=bounds, counts=counts, total=total)


def _labels(samples: Iterable[Sample]) -> tuple[str, ...]:
    # Collectors of one's own may give series of one name different labels; one that is missing
    # is the same as an empty one.
    names = dict.fromkeys(name for one in samples for name in one.labels)
    return tuple(name for name in names if name not in ("le", "quantile"))


def _key(labels: Sequence[str], sample: Sample) -> tuple[str, ...]:
    return tuple(sample.labels.get(name, "") for name in labels)
