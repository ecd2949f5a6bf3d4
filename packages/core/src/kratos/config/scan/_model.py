"""Pydantic models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kratos.config.scan._place import Place
from kratos.config.scan._thawed import thawed

__all__ = ["read_model"]


def read_model(kind: Any, tree: Mapping[str, object], place: Place) -> Any:
    """Return an instance of a pydantic model, by its own rules.

    With ``place.strict``, unknown keys at the top are refused; further down, the models decide.

    Raises:
        ConfigError: The model refuses a value.
    """
    from pydantic import ValidationError

    fields: Mapping[str, Any] = kind.model_fields
    place.check_known(tree, {name for each in fields.items() for name in _names(*each)})
    try:
        return kind.model_validate(thawed(tree))
    except ValidationError as error:
        # Without the input, which may be a secret.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        culprit = place
        for part in first["loc"]:
            culprit = culprit.item(part) if isinstance(part, int) else culprit.member(part)
        rest = error.error_count() - 1
        more = f" (and {rest} more)" if rest else ""
        told = culprit.missing if first["type"] == "missing" else culprit.error
        raise told(f"is refused: {first['msg']}{more}") from None


def _names(name: str, field: Any) -> set[str]:
    alias: object = field.validation_alias or field.alias
    return {name, alias} if isinstance(alias, str) else {name}
