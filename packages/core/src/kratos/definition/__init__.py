"""Definitions of what is served, for peers that ask: reflection, ``kratos.api.Metadata``."""

from kratos.definition.definitions import Definitions
from kratos.definition.metadata import GET_SERVICE_DESC, LIST_SERVICES, MetadataService

__all__ = ["GET_SERVICE_DESC", "LIST_SERVICES", "Definitions", "MetadataService"]
