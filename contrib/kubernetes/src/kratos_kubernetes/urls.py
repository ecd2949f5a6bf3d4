"""URLs that say where Kubernetes is, and what of it is meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kratos.errors import ConfigError
from kratos.tls import ClientTls
from kratos.url import Options, Url
from kratos_kubernetes.client import PORTS, SILENCE, TIMEOUT, WATCH_TIMEOUT, KubernetesClient
from kratos_kubernetes.cluster import Cluster

__all__ = ["client_of", "parts_of"]


def client_of(url: Url, options: Options) -> Callable[[], KubernetesClient]:
    """Return what makes the client that a URL describes: ``kubernetes://[host[:port]]``.

    Without a host it is the cluster of this pod, else that of the kubeconfig; the options
    ``kubeconfig`` and ``context``, or ``service_account``, say which. With a host, ``token`` or
    ``token_file``, and the PEM files ``ca``, ``certificate`` and ``key``; ``tls=false`` is for a
    server without TLS. The cluster is looked for when the client is made: what is wrong with the
    URL comes first, wherever one is.

    Raises:
        ConfigError: The URL cannot be used; from what is returned, there is no such cluster.
    """
    cluster = _cluster_of(url, options)
    made = partial(
        KubernetesClient,
        timeout=options.duration("timeout", default=TIMEOUT),
        watch_timeout=options.duration("watch_timeout", default=WATCH_TIMEOUT),
        silence=options.duration("silence", default=SILENCE),
    )
    return lambda: made(cluster())


def parts_of(url: Url, most: int) -> tuple[str, ...]:
    """Return the parts of a URL's path, as many as there may be, empty where there is none.

    Raises:
        ConfigError: There are more.
    """
    parts = [part for part in url.path.split("/") if part]
    if len(parts) > most:
        raise ConfigError(f"{url}: the path has at most {most} parts")
    return (*parts, *[""] * (most - len(parts)))


def _cluster_of(url: Url, options: Options) -> Callable[[], Cluster]:
    """Return what finds the cluster of a URL."""
    if url.username is not None or len(url.hosts) > 1:
        raise ConfigError(f"{url}: write kubernetes://host:port, and a token as option token")
    if url.hosts:
        return _named_cluster(url, options)
    kubeconfig = options.text("kubeconfig", default="")
    context = options.text("context", default="")
    account = options.text("service_account", default="")
    if account and (kubeconfig or context):
        raise ConfigError(f"{url}: give kubeconfig or service_account, not both")
    if account:
        return partial(Cluster.in_pod, folder=account)
    if kubeconfig or context:
        return partial(Cluster.from_kubeconfig, kubeconfig or None, context=context)
    return Cluster.found


def _named_cluster(url: Url, options: Options) -> Callable[[], Cluster]:
    secure = options.flag("tls", default=True)
    ca, certificate, key, token, token_file = (
        options.text(name, default="") or None
        for name in ("ca", "certificate", "key", "token", "token_file")
    )
    if (ca or certificate or key) and not secure:
        raise ConfigError(f"{url}: certificates need TLS")
    scheme = "https" if secure else "http"
    return partial(
        Cluster,
        server=f"{scheme}://{url.hosts[0].address(PORTS[scheme])}",
        tls=ClientTls(ca=ca, certificate=certificate, key=key) if secure else None,
        token=token,
        token_file=token_file,
    )
