"""The middleware."""

from __future__ import annotations

from kratos.middleware import AnyCheck, PerMethod, validate
from kratos_validate.legacy import LegacyRules
from kratos_validate.modern import ModernRules

__all__ = ["proto_validate"]


def proto_validate(*checks: AnyCheck) -> PerMethod:
    """Refuse requests that break rules of their definitions (Go: ``validate.ProtoValidate``).

    Those of ``buf.validate`` come first, then those of protoc-gen-validate, then the request's
    own ``validate()``, then the checks. All else is as ``kratos.middleware.validate`` has it:
    400 ``VALIDATOR`` with Go's text and the violations, for each message of any arity.

    For other options than the usual ones give the rules to ``validate`` yourself:
    ``validate(before=[ModernRules(fail_fast=True), LegacyRules()])``.

    Args:
        checks: Functions or coroutine functions, for what rules cannot say.
    """
    return validate(*checks, before=[ModernRules(), LegacyRules()])
