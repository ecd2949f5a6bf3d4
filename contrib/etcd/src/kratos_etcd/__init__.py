"""A registry and configuration on etcd, for services of Kratos in Python and in Go."""

from kratos_etcd.client import EtcdClient
from kratos_etcd.registry import EtcdRegistry
from kratos_etcd.rpc import EtcdUnavailable
from kratos_etcd.source import EtcdSource

__all__ = ["EtcdClient", "EtcdRegistry", "EtcdSource", "EtcdUnavailable"]
