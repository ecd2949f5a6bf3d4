"""Requests checked by the rules of their protobuf definitions (Go: contrib/middleware/validate)."""

from kratos_validate.legacy import LegacyRules
from kratos_validate.middleware import proto_validate
from kratos_validate.modern import ModernRules

__all__ = ["LegacyRules", "ModernRules", "proto_validate"]
