"""Protobuf messages to JSON and back, conformant and fast.

``to_json`` and ``from_json`` do the usual; a ``Printer`` and a ``Parser`` keep options and
compiled plans for paths that are walked often.
"""

from kratos_protojson._error import JsonError
from kratos_protojson._functions import from_dict, from_json, to_dict, to_json
from kratos_protojson.options import ParseOptions, PrintOptions
from kratos_protojson.parser import Parser
from kratos_protojson.printer import Printer

__all__ = [
    "JsonError",
    "ParseOptions",
    "Parser",
    "PrintOptions",
    "Printer",
    "from_dict",
    "from_json",
    "to_dict",
    "to_json",
]
