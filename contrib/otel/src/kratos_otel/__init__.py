"""Traces, metrics and logs of Kratos through OpenTelemetry.

``Telemetry`` is a resource of an application that sends all three by OTLP. ``OtelTracer``,
``OtelMeter`` and ``OtelLogger`` are the core's interfaces on OpenTelemetry's, for whatever
providers a program has.
"""

from kratos_otel.logger import OtelLogger
from kratos_otel.meter import OtelMeter
from kratos_otel.telemetry import Telemetry, TelemetryOptions
from kratos_otel.tracer import OtelTracer

__all__ = ["OtelLogger", "OtelMeter", "OtelTracer", "Telemetry", "TelemetryOptions"]
