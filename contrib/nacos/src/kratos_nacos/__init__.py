"""A registry and configuration on Nacos, for services of Kratos in Python and in Go."""

from kratos_nacos.client import NacosClient
from kratos_nacos.registry import NacosRegistry
from kratos_nacos.source import NacosSource
from kratos_nacos.wire import NacosUnavailable

__all__ = ["NacosClient", "NacosRegistry", "NacosSource", "NacosUnavailable"]
