"""The plug-in ``datadog`` of the group ``kratos.metrics``."""

from __future__ import annotations

from kratos_datadog.meter import DogStatsdMeter

__all__ = ["meter"]


def meter() -> DogStatsdMeter:
    """Return a meter to the agent that the environment names, for applications that name none."""
    return DogStatsdMeter()
