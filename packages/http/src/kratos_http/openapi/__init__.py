"""OpenAPI 3.1 out of services: the document, and a page for trying calls.

The schemas are those of the server's own JSON codec, with its options. ``HttpServer`` describes
what it serves, and serves that when it is given ``OpenApi()``; ``openapi.document`` describes
services without a server, ``openapi.publish`` writes documents. Neither is imported before it is
used.
"""

from kratos_http.openapi.options import OpenApi

__all__ = ["OpenApi"]
