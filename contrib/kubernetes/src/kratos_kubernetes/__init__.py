"""Registry, discovery and configuration on Kubernetes, shared with services of Go Kratos."""

from kratos_kubernetes.client import KubernetesClient
from kratos_kubernetes.cluster import Cluster
from kratos_kubernetes.failure import KubernetesUnavailable
from kratos_kubernetes.registry import KubernetesRegistry
from kratos_kubernetes.services import KubernetesServices
from kratos_kubernetes.source import KubernetesSource

__all__ = [
    "Cluster",
    "KubernetesClient",
    "KubernetesRegistry",
    "KubernetesServices",
    "KubernetesSource",
    "KubernetesUnavailable",
]
