"""A client of Kubernetes' API: the few calls that registries and sources need."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

from kratos.address import join_host_port
from kratos.errors import ConfigError, Error
from kratos.limit import is_cancelled_from_outside
from kratos.options import require_number
from kratos.selector import Node
from kratos.transport import CallOptions, ChainCaller
from kratos_http import HttpClient, HttpConnector
from kratos_kubernetes.cluster import Cluster, is_token
from kratos_kubernetes.failure import KubernetesUnavailable, unavailable
from kratos_kubernetes.json_object import Object, part, parts
from kratos_kubernetes.stream import Watch

__all__ = [
    "ALL",
    "PORTS",
    "SILENCE",
    "TIMEOUT",
    "WATCH_TIMEOUT",
    "KubernetesClient",
    "Listing",
    "Selection",
    "collection",
]

ALL: Final = "*"
"""In place of a namespace: all of them."""

TIMEOUT: Final = 5.0
WATCH_TIMEOUT: Final = 300.0
SILENCE: Final = 90.0
_PAGE: Final = 500  # objects; as client-go
_LARGEST: Final = 1 << 30  # bytes of a page; an object has a few MiB at most, and mostly KiB
PORTS: Final = {"https": 443, "http": 80}
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_KINDS: Final = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of one kind.

    Attributes:
        path: Of their collection.
        labels: A selector by labels; empty for all.
        fields: A selector by fields; empty for all.
    """

    path: str
    labels: str = ""
    fields: str = ""

    def query(self, **more: str) -> dict[str, str]:
        """Return the query that selects them."""
        query = {"labelSelector": self.labels, "fieldSelector": self.fields, **more}
        return {name: value for name, value in query.items() if value}


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a selection at one moment.

    Attributes:
        objects: The objects.
        version: The moment, from which a watch goes on.
    """

    objects: Sequence[Object]
    version: str


class KubernetesClient:
    """Asks an API server; one event loop per object. Nothing is connected before its first use.

    Each watch has a connection of its own. Loops are the business of who calls it.

    Args:
        cluster: Where the server is, and who one is there; ``None`` for ``Cluster.found()``.
        timeout: Seconds for one answer, and for one page of a list.
        watch_timeout: Seconds after which the server is asked to end a watch, which goes on with
            the next one, perhaps at another server.
        silence: Seconds without a word, after which a watch is taken for dead and opened anew;
            servers say something each minute.

    Raises:
        ConfigError: An argument, or a file of the cluster's ``tls``, cannot be used.
    """

    def __init__(
        self,
        cluster: Cluster | None = None,
        *,
        timeout: float = TIMEOUT,
        watch_timeout: float = WATCH_TIMEOUT,
        silence: float = SILENCE,
    ) -> None:
        self._cluster = Cluster.found() if cluster is None else cluster
        require_number("timeout", timeout, above=0)
        require_number("silence", silence, above=0)
        require_number("watch_timeout", watch_timeout, least=1)
        parts = urlsplit(self._cluster.server)
        port = parts.port or PORTS[parts.scheme]
        self._server = join_host_port(parts.hostname or "", port)
        connector = HttpConnector(
            tls=self._cluster.tls,
            proxy=self._cluster.proxy,
            path_prefix=parts.path,
            connect_timeout=timeout,
            max_reply=_LARGEST,
        )
        node = Node(scheme="http", address=self._server, secure=parts.scheme == "https")
        self._connection = connector.connect(node)
        caller = ChainCaller(self._connection.invoke, transport="http", timeout=timeout)
        self._http = HttpClient(caller)
        self._timeout = timeout
        self._watch_timeout = watch_timeout
        self._silence = silence
        self._closed = False

    def __str__(self) -> str:
        return f"kubernetes://{self._server}"

    def __repr__(self) -> str:
        return f"KubernetesClient({str(self)!r})"

    @property
    def namespace(self) -> str:
        """The namespace of whoever names none."""
        return self._cluster.namespace

    async def get(self, path: str, *, query: Mapping[str, str] | None = None) -> Object:
        """Return what is there.

        Raises:
            KubernetesUnavailable: The server did not answer, or refused.

        Cancellation: safe.
        """
        async with self._telling(f"GET {path}"):
            reply = await self._http.request(
                "GET", path, query=query, operation="/kubernetes", options=self._options()
            )
            return _object(reply.json())

    async def patch(self, path: str, changes: Any, *, kind: str) -> Object:
        """Change an object, and return it as it is then.

        Args:
            path: Of the object.
            changes: What to change.
            kind: ``merge`` for RFC 7386, ``json`` for RFC 6902, by whose tests a change may
                depend on what there is.

        Raises:
            KubernetesUnavailable: The server did not answer, or refused.

        Cancellation: safe; the change may have been made.
        """
        async with self._telling(f"PATCH {path}"):
            reply = await self._http.request(
                "PATCH",
                path,
                query={"fieldManager": "kratos"},
                body=json.dumps(changes).encode(),
                content_type=_KINDS[kind],
                operation="/kubernetes",
                options=self._options(),
            )
            return _object(reply.json())

    async def list(self, selection: Selection, /) -> Listing:
        """Return all objects of a selection, page by page.

        Raises:
            KubernetesUnavailable: The server did not answer, or refused.

        Cancellation: safe.
        """
        objects: list[Object] = []
        more = ""
        while True:
            query = selection.query(limit=str(_PAGE), **{"continue": more})
            page = await self.get(selection.path, query=query)
            before = more
            try:
                objects.extend(parts(page, "items"))
                meta = part(page, "metadata")
                more, version = meta.get("continue", ""), meta.get("resourceVersion", "")
            except (TypeError, AttributeError) as error:
                raise KubernetesUnavailable(
                    f"{self} does not answer as Kubernetes does (GET {selection.path}): it lists "
                    "no objects"
                ) from error
            if not more:
                return Listing(objects, version)
            if more == before:
                raise KubernetesUnavailable(f"{self}: {selection.path} continues with what it was")

    async def watch(self, selection: Selection, /, *, since: str) -> Watch:
        """Open a watch of what happens to a selection; who opens it closes it.

        Args:
            selection: What is watched.
            since: The version behind which changes are told.

        Raises:
            KubernetesUnavailable: The server did not answer, or refused; with ``code`` 410 if it
                has forgotten what happened since.

        Cancellation: leaves nothing open.
        """
        query = selection.query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=since,
            timeoutSeconds=str(round(self._watch_timeout)),
        )
        asked = f"watch {selection.path}"
        async with self._telling(asked):
            opening = self._http.download(
                "GET", selection.path, query=query, operation="/kubernetes", options=self._options()
            )
            async with asyncio.timeout(self._timeout):
                pieces = await opening.__aenter__()
        return Watch(opening, pieces, telling=lambda: self._telling(asked), silence=self._silence)

    async def aclose(self) -> None:
        """Close the connections, and end what is under way; idempotent."""
        self._closed = True
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _options(self) -> CallOptions:
        """Return what each call carries: the token that is good now."""
        if self._closed:
            raise KubernetesUnavailable(f"{self}: the client is closed")
        token, file = self._cluster.token, self._cluster.token_file
        if file is not None:
            try:
                token = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                text = f"{self}: token file {file} cannot be read: {error}"
                raise KubernetesUnavailable(text) from error
            if not is_token(token):
                raise KubernetesUnavailable(f"{self}: token file {file} must hold one token")
        if not token:
            return CallOptions()
        return CallOptions(headers={"authorization": f"Bearer {token}"})

    def _credentials(self) -> str:
        cluster = self._cluster
        if cluster.token_file is not None:
            return f"the token in {cluster.token_file}"
        if cluster.token:
            return "the token"
        if cluster.tls is not None and cluster.tls.certificate is not None:
            return "the client certificate"
        return "callers without a token"

    @asynccontextmanager
    async def _telling(self, asked: str) -> AsyncGenerator[None]:
        """Let what the transport raises be told in words."""
        try:
            yield
        except Error as error:
            raise unavailable(
                error, asked=asked, server=self._server, credentials=self._credentials()
            ) from error
        except TimeoutError as error:
            within = f"within {self._timeout:g} s"
            text = f"Kubernetes at {self._server} does not answer {within} ({asked})"
            raise KubernetesUnavailable(text) from error
        except asyncio.CancelledError:
            if is_cancelled_from_outside():
                raise
            raise KubernetesUnavailable(f"{self}: it was closed during a call") from None


def collection(namespace: str, kind: str, *, api: str = "/api/v1") -> str:
    """Return the path of all objects of a kind in a namespace.

    Raises:
        ConfigError: It cannot be a namespace; as a part of the path it would lead elsewhere.
    """
    if namespace == ALL:
        return f"{api}/{kind}"
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(
            f"{namespace!r} cannot be a namespace of Kubernetes: up to 63 small letters, digits "
            "and '-', with a letter or a digit at either end"
        )
    return f"{api}/namespaces/{namespace}/{kind}"


def _object(reply: Any) -> Object:
    if not isinstance(reply, dict):
        raise Error(500, "CODEC", "it is no object")
    return cast("Object", reply)
