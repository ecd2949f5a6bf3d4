"""Definitions of services: given by the configuration, or told by back ends themselves."""

from kratos_gateway.middleware.definitions.defined import Defined
from kratos_gateway.middleware.definitions.sources import Source

__all__ = ["Defined", "Source"]
