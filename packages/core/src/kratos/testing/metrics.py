"""A meter that a test can ask for its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kratos import metrics
from kratos.metrics import Distribution

__all__ = ["MemoryMeter"]


class MemoryMeter(metrics.MemoryMeter):
    """The meter ``kratos.metrics.MemoryMeter``, and questions to it.

        meter.value("server_requests_code_total", kind="grpc", code="200")

    Gauges are set before they are read, as ``kratos.metrics.Collecting`` says.
    """

    def value(self, name: str, /, **labels: str) -> float:
        """Return the sum of a counter's or a gauge's series, 0 if none was touched.

        Args:
            name: Name of the instrument.
            labels: Values of some of its labels; the others may have any.

        Raises:
            LookupError: No such counter or gauge was made, or it has no such label.
        """
        chosen = self._chosen(name, labels, ("counter", "gauge"))
        return sum(each for each in chosen if not isinstance(each, Distribution))

    def observed(self, name: str, /, **labels: str) -> tuple[int, float]:
        """Return how many values a histogram was told, and their sum.

        Arguments and errors as ``value``.
        """
        chosen = self._chosen(name, labels, ("histogram",))
        told = [each for each in chosen if isinstance(each, Distribution)]
        return sum(sum(each.counts) for each in told), sum(each.total for each in told)

    def _chosen(
        self, name: str, labels: Mapping[str, str], kinds: Sequence[str]
    ) -> Sequence[float | Distribution]:
        families = {family.name: family for family in self.snapshot()}
        found = families.get(name)
        if found is None or found.kind not in kinds:
            known = ", ".join(sorted(families)) or "none"
            raise LookupError(f"there is no {' or '.join(kinds)} {name!r}; made so far: {known}")
        unknown = labels.keys() - set(found.labels)
        if unknown:
            raise LookupError(f"{name!r} has the labels {found.labels}, not {sorted(unknown)}")
        return [
            value
            for key, value in found.series.items()
            if labels.items() <= dict(zip(found.labels, key, strict=True)).items()
        ]
