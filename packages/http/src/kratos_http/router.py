"""Which endpoint answers a request (Go: gorilla/mux, as Kratos configures it).

Differences from Go, where a path leads to no route by itself:

* The most specific route wins, not the first one: from the left, segment by segment, literals
  before ``*`` before ``**``, and a custom verb before a variable that could swallow it. Among
  equals the first one added wins.
* Another method is 405 with ``Allow``; ``HEAD`` is served by ``GET``, ``OPTIONS`` by 204.
* ``a%2Fb`` is one segment; its variable holds ``a/b``.
* Paths with empty or dot segments, or a slash at the end, are redirected to the clean path if
  that leads somewhere: 301 for GET and HEAD as in Go, else 308, which keeps method and body.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from kratos.errors import Error
from kratos.transport.http import Endpoint, Head, Reply
from kratos.transport.rule import PathTemplate
from kratos_http._choice import Choosing
from kratos_http._endpoints import Constant
from kratos_http._tree import ANY, Leaf, Route, Tree

__all__ = ["ANY", "Route", "Router"]

_SHOWN_PATH: Final = 128
_ALL_METHODS: Final = b"*"
_KEPT_IN_PATHS: Final = "/%:@!$&'()*+,;=-._~"  # RFC 3986, 3.3, and escapes as they came


class Router:
    """An ``HttpApplication`` over routes.

    Args:
        error_reply: Makes the answer for a request that leads nowhere.
        strict_slash: Whether a path with a slash at its end is redirected to the route
            without it; else it leads nowhere.
        prefix: Path before every route, for instance ``/api``.
    """

    def __init__(
        self,
        *,
        error_reply: Callable[[Head, Error], Reply],
        strict_slash: bool = True,
        prefix: str = "",
    ) -> None:
        self._error_reply = error_reply
        self._strict_slash = strict_slash
        self._prefix = prefix.rstrip("/")
        self._static: dict[bytes, Leaf] = {}
        self._plain = Tree()
        self._trees: dict[str, Tree] = {}  # by custom verb
        self._routes: list[Route] = []

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes in the order they were added."""
        return tuple(self._routes)

    def add(self, verb: str, path: str, endpoint: Endpoint | Choosing, /) -> Route:
        """Add a route.

        Args:
            verb: HTTP method; ``*`` for every one.
            path: Path template, without the prefix.
            endpoint: What answers.

        Raises:
            TemplateError: The path is no template.
        """
        template = PathTemplate.parse(self._prefix + path)
        route = Route.of(verb, template, endpoint)
        tree = self._trees.setdefault(template.verb, Tree()) if template.verb else self._plain
        leaf = tree.leaf(template.segments)
        leaf.add(route)
        if not any(segment.text.startswith("*") for segment in template.segments):
            self._static[template.normalised.encode()] = leaf
        self._routes.append(route)
        return route

    def route(self, head: Head, /) -> Endpoint:
        """Choose the endpoint and set ``head.params``; see ``HttpApplication``."""
        leaf = self._static.get(head.path)
        if leaf is not None:
            found = leaf.find(head.method)
            if found is not None:
                return _chosen(found, head)
        try:
            text = head.path.decode()
            if not text.startswith("/"):
                return self._elsewhere(head, text)
            if ":" not in text:
                segments = text[1:].split("/") if text != "/" else []
                found = self._plain.find(segments, head.method)
                if found is not None:
                    head.params = found.extract(segments)
                    return _chosen(found, head)
                return self._elsewhere(head, text)
            for tree, segments in self._readings(text):
                found = tree.find(segments, head.method)
                if found is not None:
                    head.params = found.extract(segments)
                    return _chosen(found, head)
            return self._elsewhere(head, text)
        except ValueError as error:
            return self._refuse(head, Error(400, "BAD_REQUEST", f"the path is malformed: {error}"))

    def _readings(self, path: str) -> tuple[tuple[Tree, list[str]], ...]:
        """Return the ways to read a path, the best first: its end may be a custom verb."""
        whole = (self._plain, _split(path))
        if ":" in path:
            base, _, verb = path.rpartition(":")
            if verb in self._trees:
                return ((self._trees[verb], _split(base)), whole)
        return (whole,)

    def _elsewhere(self, head: Head, path: str) -> Endpoint:
        """Answer a request that no route answers."""
        if head.path == _ALL_METHODS:
            methods = {route.verb for route in self._routes} - {ANY}
        else:
            methods = self._methods(path)
        if methods:
            allow = ", ".join(sorted(methods | {"OPTIONS"}))
            headers = ((b"allow", allow.encode()),)
            if head.method == "OPTIONS":
                return Constant(Reply(HTTPStatus.NO_CONTENT, headers))
            error = Error(405, "METHOD_NOT_ALLOWED", f"{head.method} is none of {allow}")
            return self._refuse(head, error, headers)
        clean = _clean(path, slash=not self._strict_slash)
        if clean != path and self._methods(clean):
            return Constant(self._redirect(head, clean))
        shown = path[:_SHOWN_PATH]
        return self._refuse(head, Error(404, "NOT_FOUND", f"nothing is served at {shown}"))

    def _methods(self, path: str) -> set[str]:
        return {
            verb
            for tree, segments in self._readings(path)
            for leaf in tree.leaves(segments)
            for verb in leaf.routes
        }

    def _redirect(self, head: Head, clean: str) -> Reply:
        # Browsers take a backslash for a slash, so /\\host as it came would lead to another host.
        location = quote(clean, safe=_KEPT_IN_PATHS).encode()
        if head.query:
            location += b"?" + head.query
        permanent = head.method in ("GET", "HEAD")
        status = HTTPStatus.MOVED_PERMANENTLY if permanent else HTTPStatus.PERMANENT_REDIRECT
        return Reply(status, ((b"location", location),))

    def _refuse(
        self, head: Head, error: Error, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Endpoint:
        reply = self._error_reply(head, error)
        reply.headers = (*reply.headers, *headers)
        return Constant(reply)


def _chosen(route: Route, head: Head) -> Endpoint:
    endpoint = route.endpoint
    return endpoint.choose(head) if isinstance(endpoint, Choosing) else endpoint


def _split(path: str) -> list[str]:
    return path[1:].split("/") if len(path) > 1 else []


def _clean(path: str, *, slash: bool) -> str:
    """Return a path without empty and dot segments.

    Args:
        path: Raw path.
        slash: Whether a slash at the end stays.
    """
    kept: list[str] = []
    for segment in path.split("/"):
        dots = segment.replace("%2e", ".").replace("%2E", ".")
        if dots == "..":
            del kept[-1:]
        elif dots not in ("", "."):
            kept.append(segment)
    clean = "/" + "/".join(kept)
    return clean + "/" if slash and path.endswith("/") and kept else clean
