"""From a request's host, method and path to the endpoint that is for it."""

from kratos_gateway.routing.clean import ASTERISK, CleanPath, clean
from kratos_gateway.routing.conditions import Conditions
from kratos_gateway.routing.pattern import HostPattern, PathPattern
from kratos_gateway.routing.table import Found, Table

__all__ = [
    "ASTERISK",
    "CleanPath",
    "Conditions",
    "Found",
    "HostPattern",
    "PathPattern",
    "Table",
    "clean",
]
