"""The document: what a server answers, in the words of OpenAPI 3.1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from kratos import encoding
from kratos.encoding import Codecs
from kratos.encoding.json import JsonOptions
from kratos.transport import AppInfo, Arity, HttpRule, Method, Service
from kratos.transport.rule import PathTemplate
from kratos_http._transfers import upload_part
from kratos_http.openapi.bodies import EncodersOf, nobody
from kratos_http.openapi.comments import comments_of
from kratos_http.openapi.errors import Errors
from kratos_http.openapi.operations import Operations, doc_of, home_of
from kratos_http.openapi.options import OpenApi
from kratos_http.openapi.paths import DocumentPath, document_path, numbered
from kratos_http.openapi.schema import Schemas

__all__ = ["Document", "describe"]

Document: TypeAlias = dict[str, Any]

_SERVED: Final = frozenset({Arity.UNARY, Arity.SERVER_STREAM})

_VERBS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY_VERB: Final = ("get", "put", "post", "delete", "patch")


def describe(
    services: Iterable[Service | type[Service]],
    options: OpenApi,
    *,
    codecs: Codecs = encoding.DEFAULT,
    info: AppInfo | None = None,
    prefix: str = "",
    own_replies: bool = False,
    own_errors: bool = False,
    encoders_of: EncodersOf = nobody,
) -> Document:
    """Return the document of some services.

    Args:
        services: Services, or their classes; generated ones will do.
        options: What the application says about its API.
        codecs: Of the server; the options of its codec ``json`` decide the schemas.
        info: Who the application is.
        prefix: Path before every route.
        own_replies: Whether the server has a ``reply_encoder`` of its own.
        own_errors: Whether it has an ``error_encoder`` of its own.
        encoders_of: Tells the encoders that were given for a method by name.

    Raises:
        ConfigError: A rule names a field that its message has not, or the descriptors are none.
        TemplateError: The path of a rule is no template.
    """
    codec = codecs.get("json")
    comments = comments_of(options.descriptors)
    schemas = Schemas(getattr(codec, "options", None) or JsonOptions(), comments)
    operations = Operations(
        schemas=schemas, options=options, envelope=own_replies, encoders_of=encoders_of
    )
    errors = Errors(
        schemas=schemas,
        options=options,
        comments=comments,
        envelope=own_errors,
        encoders_of=encoders_of,
    )
    writer = _Writer(operations, errors)
    homes = [home_of(service) for service in services]
    short = Counter(name.rpartition(".")[2] for name in {_name(home) for home in homes})
    for home in homes:
        name = _name(home)
        last = name.rpartition(".")[2]
        writer.service(home, tag=last if short[last] == 1 else name)
    return {
        "openapi": "3.1.0",
        "info": _info(options, info),
        "servers": [{"url": prefix.rstrip("/") or "/"}],
        "tags": writer.tags,
        "paths": writer.paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": errors.responses,
        },
    }


def _name(home: type[Service]) -> str:
    return home.METHODS[0].service if home.METHODS else home.__name__


def _info(options: OpenApi, info: AppInfo | None) -> dict[str, str]:
    described = {
        "title": options.title or (info.name if info else "") or "API",
        "version": options.version or (info.version if info else "") or "0",
    }
    if options.description:
        described["description"] = options.description
    return described


class _Writer:
    """Gathers paths, tags and responses.

    Attributes:
        paths: Operations by path and verb.
        tags: One for each service.
    """

    def __init__(self, operations: Operations, errors: Errors) -> None:
        self._operations = operations
        self._errors = errors
        self._shapes: dict[str, list[str]] = {}
        self.paths: dict[str, dict[str, Any]] = {}
        self.tags: list[dict[str, str]] = []

    def service(self, home: type[Service], *, tag: str) -> None:
        """Add a service's operations."""
        left_out: list[str] = []
        for method in home.METHODS:
            label = method.operation.rpartition("/")[2]
            rules = [rule for rule in method.http if _is_served(method, rule)]
            if not rules:
                streams = "" if method.arity is Arity.UNARY else f" ({method.arity.value})"
                left_out.append(f"{label}{streams}")
                continue
            ids = numbered(f"{tag.replace('.', '_')}_{label}")
            left_out += [
                f"{label} at {rule.verb} {rule.path}"
                for rule in rules
                if not self._rule(method, rule, home=home, tag=tag, ids=ids)
            ]
        described = doc_of(home)
        if left_out:
            note = f"Not described here: {', '.join(left_out)}."
            described = f"{described}\n\n{note}" if described else note
        self.tags.append({"name": tag, "description": described} if described else {"name": tag})

    def _rule(
        self,
        method: Method[Any, Any],
        rule: HttpRule,
        *,
        home: type[Service],
        tag: str,
        ids: Iterator[str],
    ) -> bool:
        """Add a rule and return whether a document can express it."""
        verbs = _ANY_VERB if rule.verb == "*" else (rule.verb.lower(),)
        if not set(verbs) <= set(_VERBS):
            return False
        path = document_path(PathTemplate.parse(rule.path))
        names = self._names(path)
        item = self.paths.get(path.text(names), {})
        free = [verb for verb in verbs if verb not in item]  # of equal routes the first one wins
        for verb in free:
            operation = self._operations.operation(method, rule, path, names=names, home=home)
            operation["responses"]["default"] = self._errors.reference(method)
            item[verb] = {"tags": [tag], "operationId": next(ids), **operation}
        if free:
            self.paths[path.text(names)] = item
        return bool(free)

    def _names(self, path: DocumentPath) -> list[str]:
        """Return the names of a path's variables: those of the first path of its shape."""
        return self._shapes.setdefault(path.shape, [one.name for one in path.variables])


def _is_served(method: Method[Any, Any], rule: HttpRule) -> bool:
    """Tell whether a rule is an ordinary request: of streams of requests, uploads are."""
    return method.arity in _SERVED or upload_part(method, rule) is not None
