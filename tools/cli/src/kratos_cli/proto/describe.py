"""A program: imports generated services from a folder, and prints them as OpenAPI.

A process of its own, because definitions that are loaded once cannot be unloaded.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Print the document: of a folder, a set of descriptors in it, title, version, modules."""
    from kratos.transport import Service
    from kratos_http.openapi import OpenApi
    from kratos_http.openapi.document import describe
    from kratos_http.openapi.publish import as_json

    folder, descriptors, title, version, *modules = arguments
    sys.path.insert(0, folder)
    services: list[type[Service]] = []
    for name in modules:
        module = importlib.import_module(name)
        found = [getattr(module, exported) for exported in module.__all__]
        services += [one for one in found if isinstance(one, type) and issubclass(one, Service)]
    options = OpenApi(
        title=title, version=version, descriptors=Path(folder, descriptors).read_bytes()
    )
    sys.stdout.buffer.write(as_json(describe(services, options)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
