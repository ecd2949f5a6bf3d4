"""OpenAPI 3.1 out of services: the document, and a page for trying calls.

The schemas are those of the server's own JSON codec, with its options; ``HttpServer`` describes
what it serves, and serves that when it is given ``OpenApi()``.
"""

from kratos_http.openapi.document import Document, describe
from kratos_http.openapi.options import OpenApi
from kratos_http.openapi.publish import as_json, as_yaml, publish

__all__ = ["Document", "OpenApi", "as_json", "as_yaml", "describe", "publish"]
