"""What generated classes are built on."""

from kratos_cachegen.runtime.aside import Aside, AsideOptions
from kratos_cachegen.runtime.codec import Codec, codec
from kratos_cachegen.runtime.flow import Flow
from kratos_cachegen.runtime.groups import in_groups, partial_result, with_partial
from kratos_cachegen.runtime.kept import Found, Kept
from kratos_cachegen.runtime.keys import key_of

__all__ = [
    "Aside",
    "AsideOptions",
    "Codec",
    "Flow",
    "Found",
    "Kept",
    "codec",
    "in_groups",
    "key_of",
    "partial_result",
    "with_partial",
]
