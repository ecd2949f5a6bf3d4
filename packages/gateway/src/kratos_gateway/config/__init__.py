"""The configuration: read, checked, merged, and watched for changes."""

from kratos_gateway.config.check import Problem, problems
from kratos_gateway.config.load import Parsed, parse, parse_priority, read
from kratos_gateway.config.priority import merge

__all__ = ["Parsed", "Problem", "merge", "parse", "parse_priority", "problems", "read"]
