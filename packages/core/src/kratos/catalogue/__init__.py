"""Texts for people in their languages, by the stable names that programs use.

A ``Catalogue`` is made when a program starts and checked as a whole; the middleware
``kratos.middleware.localize`` answers with its texts.
"""

from kratos.catalogue.catalogue import Catalogue, Text

__all__ = ["Catalogue", "Text"]
