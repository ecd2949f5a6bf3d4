"""An API gateway for Kratos services, configured as Go's gateway."""

from kratos_gateway.server import Gateway

__all__ = ["Gateway"]
