"""The plug-in ``prometheus`` of the group ``kratos.metrics``."""

from __future__ import annotations

from kratos_prometheus.meter import PrometheusMeter

__all__ = ["meter"]


def meter() -> PrometheusMeter:
    """Return a meter on prometheus_client's default registry, for applications that name none."""
    return PrometheusMeter()
