"""Metrics of Kratos for Datadog, sent to its agent by DogStatsD.

``DogStatsdMeter`` adds up what instruments are told, and sends it every few seconds.
"""

from kratos_datadog.meter import DogStatsdMeter

__all__ = ["DogStatsdMeter"]
