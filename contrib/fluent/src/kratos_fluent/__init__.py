"""Records of Kratos for Fluentd, Fluent Bit and collectors, by the Fluentd forward protocol."""

from kratos_fluent.logger import FluentLogger

__all__ = ["FluentLogger"]
