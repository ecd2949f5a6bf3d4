"""The document and the page for trying calls, as endpoints of a server."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Final, Protocol

from kratos.transport.http import Endpoint, Head, Reply
from kratos_http._endpoints import Function
from kratos_http.openapi.document import Document
from kratos_http.openapi.options import OpenApi

__all__ = ["Routes", "as_json", "as_yaml", "publish"]

_ASSETS: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
# Nothing from and to elsewhere, and no frame around the page that could click for its user.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{assets}/page.css">
</head>
<body>
<div id="api" data-document="{document}"></div>
<script src="{assets}/page.js"></script>
</body>
</html>
"""


class Routes(Protocol):
    """Where endpoints are added."""

    def add(self, verb: str, path: str, endpoint: Endpoint, /) -> object:
        """Add a route."""
        ...


def as_json(document: Document) -> bytes:
    """Return the document as JSON, for people too."""
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def as_yaml(document: Document) -> bytes:
    """Return the document as YAML."""
    import yaml  # services that do not describe themselves do without

    # By way of JSON, where nothing is the same object as another: YAML would write references.
    tree = json.loads(json.dumps(document))
    text: str = yaml.dump(tree, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True)
    return text.encode()


def publish(options: OpenApi, document: Document, routes: Routes, /) -> None:
    """Serve a document and its page."""
    if not options.path:
        return
    text_path = f"{options.path.removesuffix('.json')}.yaml"
    routes.add("GET", options.path, _fixed(as_json(document), "application/json"))
    routes.add("GET", text_path, _fixed(as_yaml(document), "application/yaml"))
    if options.page:
        _publish_page(options, document, routes)
    if options.go_paths:
        routes.add("GET", "/q/openapi.yaml", _moved(f"..{text_path}"))
        if options.page:
            routes.add("GET", "/q/swagger-ui", _moved(f"..{options.page}"))
            routes.add("GET", "/q", _moved(f".{options.page}"))


def _publish_page(options: OpenApi, document: Document, routes: Routes) -> None:
    # Relative, so that the page also works behind a proxy that takes a prefix away.
    up = "../" * (options.page.count("/") - 1) or "./"
    page = _PAGE.format(
        title=_attribute(document["info"]["title"]),
        assets=_attribute(options.page.rpartition("/")[2]),
        document=_attribute(up + options.path[1:]),
    )
    routes.add("GET", options.page, _fixed(page.encode(), "text/html; charset=utf-8"))
    for name, kind in _ASSETS.items():
        routes.add("GET", f"{options.page}/{name}", _fixed(_asset(name), kind))


@cache
def _asset(name: str) -> bytes:
    return files("kratos_http.openapi").joinpath("page", name).read_bytes()


def _attribute(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text


def _fixed(body: bytes, content_type: str) -> Function:
    """Return an endpoint of a body that never changes, for caches that ask again."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    kept = ((b"etag", tag), (b"cache-control", b"no-cache"))
    whole = Reply(
        200,
        (
            (b"content-type", content_type.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", _POLICY.encode()),
            (b"referrer-policy", b"no-referrer"),
            *kept,
        ),
        body,
    )

    async def answer(head: Head, _body: bytes) -> Reply:
        known = head.header(b"if-none-match")
        if known and (known == b"*" or tag in known):
            return Reply(304, kept)
        return Reply(whole.status, whole.headers, whole.body)

    return Function(answer, max_body=0)


def _moved(location: str) -> Function:
    async def answer(_head: Head, _body: bytes) -> Reply:
        return Reply(302, ((b"location", location.encode()),))

    return Function(answer, max_body=0)
