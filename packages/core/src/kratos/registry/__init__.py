"""Registries: publishing where a service is reached, and finding out where others are.

An adapter supplies primitives (``Registrar``, ``Registration``, ``Discovery``); the loops are
here, once: ``Keeper`` holds a publication against every failure, and ``instance_feed`` keeps
the list of a service's instances. ``from_url`` makes an adapter out of a URL.
"""

from kratos.registry._from_url import from_url
from kratos.registry._instance import ServiceInstance, same_instances
from kratos.registry._interface import Discovery, Registrar, Registration, Registry
from kratos.registry._read import get_service, instance_feed
from kratos.registry._skips import Skips
from kratos.registry._status import RegistrationState, RegistrationStatus
from kratos.registry._undoing import Undoing
from kratos.registry._unmanaged import SelfKeeping, unmanaged
from kratos.registry.keeper import Keeper

__all__ = [
    "Discovery",
    "Keeper",
    "Registrar",
    "Registration",
    "RegistrationState",
    "RegistrationStatus",
    "Registry",
    "SelfKeeping",
    "ServiceInstance",
    "Skips",
    "Undoing",
    "from_url",
    "get_service",
    "instance_feed",
    "same_instances",
    "unmanaged",
]
