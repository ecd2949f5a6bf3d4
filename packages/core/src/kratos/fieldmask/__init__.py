"""Field masks: which fields an update changes, and which a reply shows."""

from kratos.fieldmask.paths import FIELD_MASK, is_field_mask
from kratos.fieldmask.pick import pick
from kratos.fieldmask.update import update

__all__ = ["FIELD_MASK", "is_field_mask", "pick", "update"]
