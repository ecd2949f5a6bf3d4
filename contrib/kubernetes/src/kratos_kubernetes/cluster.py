"""Where an API server is, and who one is there: in a pod, by a kubeconfig, or as one says."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

import yaml

from kratos.address import join_host_port
from kratos.errors import ConfigError
from kratos.tls import ClientTls

__all__ = ["SERVICE_ACCOUNT", "Cluster", "is_token"]

SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"

_HOST: Final = "KUBERNETES_SERVICE_HOST"
_PORT: Final = "KUBERNETES_SERVICE_PORT"
_DEFAULT_FILE: Final = "~/.kube/config"
_DEFAULT_NAMESPACE: Final = "default"
_PROGRAMS: Final = ("exec", "auth-provider")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An API server, and what it is shown.

    Attributes:
        server: ``https://host:port``, perhaps with a path; ``http://`` for ``kubectl proxy``.
        tls: How to verify the server, with a certificate for it if users have one; files that
            change are read again. ``None`` for the system's trust store.
        token: A bearer token.
        token_file: A file with one, read anew for each call, as it rotates.
        namespace: For whoever names none.
        proxy: URL of the proxy that leads there; ``None`` for none.

    Raises:
        ConfigError: ``server`` is no such URL, there are two tokens, or the one is none.
    """

    server: str
    tls: ClientTls | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | os.PathLike[str] | None = None
    namespace: str = _DEFAULT_NAMESPACE
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.server)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or "@" in self.server or "?" in self.server or "#" in self.server:
            shown = self.server.rpartition("@")[2]
            raise ConfigError(f"server={shown!r} must look like https://host:port")
        if self.token is not None and self.token_file is not None:
            raise ConfigError(f"give a token or a token file for {self.server}, not both")
        if self.token is not None and not is_token(self.token):
            raise ConfigError(f"the token for {self.server} must be the text of one, in one line")

    @classmethod
    def in_pod(
        cls,
        *,
        folder: str | os.PathLike[str] = SERVICE_ACCOUNT,
        environ: Mapping[str, str] = os.environ,
    ) -> Self:
        """Return the cluster whose pod this is, by its service account.

        Args:
            folder: Where ``token``, ``ca.crt`` and ``namespace`` are mounted.
            environ: Environment variables.

        Raises:
            ConfigError: This is no pod, or its service account is not mounted.
        """
        host, port = environ.get(_HOST, ""), environ.get(_PORT, "")
        if not host or not port:
            raise ConfigError(f"this is no pod of Kubernetes: {_HOST} and {_PORT} are not set")
        mounted = Path(folder)
        token, ca = mounted / "token", mounted / "ca.crt"
        for file in (token, ca):
            if not file.is_file():
                raise ConfigError(
                    f"{file} is missing: set automountServiceAccountToken, or mount a token there"
                )
        named = mounted / "namespace"
        namespace = _text(named) if named.is_file() else _DEFAULT_NAMESPACE
        return cls(
            server=f"https://{join_host_port(host, _port(port))}",
            tls=ClientTls(ca=ca),
            token_file=token,
            namespace=namespace,
        )

    @classmethod
    def from_kubeconfig(
        cls, path: str | os.PathLike[str] | None = None, *, context: str = ""
    ) -> Self:
        """Return the cluster that a kubeconfig describes.

        Tokens, token files and client certificates are understood; programs that fetch
        credentials (``exec``) are not.

        Args:
            path: The file; ``None`` for the first that ``KUBECONFIG`` names, or else
                ``~/.kube/config``.
            context: Name of one of its contexts; empty for the current one.

        Raises:
            ConfigError: The file cannot be read, or says something else; names the place.
        """
        file = _kubeconfig_path() if path is None else Path(path)
        return cls(**_Kubeconfig(file, context).read())

    @classmethod
    def found(cls) -> Self:
        """Return the cluster whose pod this is, else that of the kubeconfig.

        Raises:
            ConfigError: There is neither.
        """
        if os.environ.get(_HOST):
            return cls.in_pod()
        path = _kubeconfig_path()
        if not path.is_file():
            raise ConfigError(
                f"there is no Kubernetes here: this is no pod ({_HOST} is not set), and {path} is "
                "missing; give the server"
            )
        return cls.from_kubeconfig(path)


class _Kubeconfig:
    """One context of a file, which is read in the terms of kubectl."""

    def __init__(self, path: Path, context: str) -> None:
        self._path = path
        self._context = context

    def read(self) -> dict[str, Any]:
        content = self._content()
        name = self._context or content.get("current-context", "")
        if not name:
            raise ConfigError(f"{self._path} has no current-context: name one of its contexts")
        context = self._member(content, "contexts", name, "context")
        cluster = self._member(content, "clusters", context.get("cluster"), "cluster")
        user = self._member(content, "users", context.get("user"), "user")
        for program in _PROGRAMS:
            if program in user:
                raise ConfigError(
                    f"{self._path}: user {context.get('user')!r} has its credentials from "
                    f"{program!r}, which is not run here: give a token"
                )
        if "username" in user:
            raise ConfigError(f"{self._path}: Kubernetes takes no passwords any more: give a token")
        token, token_file = user.get("token"), self._file(user.get("tokenFile"))
        server = cluster.get("server", "")
        tls = ClientTls(
            ca=self._pem(cluster, "certificate-authority"),
            certificate=self._pem(user, "client-certificate"),
            key=self._pem(user, "client-key"),
            server_name=cluster.get("tls-server-name"),
            verify=not cluster.get("insecure-skip-tls-verify", False),
        )
        return {
            "server": server,
            "tls": tls if server.startswith("https:") else None,
            "token": token or None,
            "token_file": None if token else token_file,  # as client-go
            "namespace": context.get("namespace") or _DEFAULT_NAMESPACE,
            "proxy": cluster.get("proxy-url"),
        }

    def _content(self) -> Mapping[str, Any]:
        try:
            content: object = yaml.safe_load(_text(self._path))
        except yaml.YAMLError as error:
            # Its text quotes the file, and that holds secrets.
            mark = getattr(error, "problem_mark", None)
            line = f" in line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or "it cannot be read"
            raise ConfigError(f"{self._path} is no kubeconfig: {problem}{line}") from None
        if not isinstance(content, dict):
            raise ConfigError(f"{self._path} is no kubeconfig: it is no map")
        return cast("dict[str, Any]", content)

    def _member(
        self, content: Mapping[str, Any], kind: str, name: str | None, inner: str
    ) -> Mapping[str, Any]:
        for entry in _maps(content.get(kind)):
            if entry.get("name") == name:
                for found in _maps([entry.get(inner) or {}]):
                    return found
        raise ConfigError(f"{self._path} has no {inner} {name!r} in {kind}")

    def _pem(self, holder: Mapping[str, Any], name: str) -> bytes | Path | None:
        data = holder.get(f"{name}-data")
        if not data:
            return self._file(holder.get(name))
        try:
            return b64decode(data, validate=True)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self._path}: {name}-data is no base64: {error}") from error

    def _file(self, name: str | None) -> Path | None:
        return self._path.parent / name if name else None


def is_token(text: object) -> bool:
    """Tell whether something can be sent as a token."""
    return isinstance(text, str) and text != "" and text.isascii() and text.isprintable()


def _maps(entries: Any) -> list[dict[str, Any]]:
    """Return the maps in a list; other things are none of anybody's."""
    listed = cast("Sequence[Any]", entries) if isinstance(entries, list) else ()
    return [cast("dict[str, Any]", entry) for entry in listed if isinstance(entry, dict)]


def _kubeconfig_path() -> Path:
    named = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    return Path(named[0] if named else _DEFAULT_FILE).expanduser()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 65535:
        raise ConfigError(f"{_PORT}={text!r} is no port")
    return int(text)
