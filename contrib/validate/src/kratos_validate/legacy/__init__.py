"""The rules of protoc-gen-validate, evaluated here: there is no code generated for Python."""

from kratos_validate.legacy.rules import LegacyRules

__all__ = ["LegacyRules"]
