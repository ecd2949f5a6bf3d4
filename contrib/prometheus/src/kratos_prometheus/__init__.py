"""Metrics of Kratos through prometheus_client.

``PrometheusMeter`` makes instruments in a registry of prometheus_client, shows all that is in
there, and adds up what workers have counted.
"""

from kratos_prometheus.meter import PrometheusMeter

__all__ = ["PrometheusMeter"]
