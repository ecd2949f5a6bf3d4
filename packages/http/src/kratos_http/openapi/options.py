"""What an application says about its description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kratos.errors import ConfigError

__all__ = ["OpenApi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenApi:
    """Description of an API in OpenAPI 3.1, and where it is served.

    Attributes:
        title: Of the API; default: the application's name.
        version: Of the API; default: the application's version.
        description: Text about the API, in Markdown.
        path: Where the document is served, as JSON; its name ends with ``.json``, and beside it
            the same is served as YAML. Empty for nowhere.
        page: Where the page for trying calls is served; empty for nowhere.
        go_paths: Whether ``/q/openapi.yaml``, ``/q/swagger-ui`` and ``/q`` lead to these, where
            users of Go Kratos look.
        descriptors: A serialized ``FileDescriptorSet`` with source info, for the comments of
            messages and fields, which generated code does not have at run time.
        reply_schema: What a server's own ``reply_encoder`` makes of the schema of a reply.
            Without it, the replies of such a server are described as anything.
        error_schema: What a server's own ``error_encoder`` writes. Without it, the errors of
            such a server are described as anything.

    Raises:
        ConfigError: A path is none, or does not end as it must.
    """

    title: str = ""
    version: str = ""
    description: str = ""
    path: str = "/openapi.json"
    page: str = "/docs"
    go_paths: bool = True
    descriptors: bytes = b""
    reply_schema: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    error_schema: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.path and not (self.path.startswith("/") and self.path.endswith(".json")):
            raise ConfigError(f"OpenApi(path={self.path!r}) must be like /openapi.json")
        if self.page and (not self.page.startswith("/") or self.page.endswith("/")):
            raise ConfigError(f"OpenApi(page={self.page!r}) must be like /docs")
        if self.page and not self.path:
            raise ConfigError("OpenApi(page=...) shows the document, so it needs a path")
