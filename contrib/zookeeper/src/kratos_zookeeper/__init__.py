"""Registry and configuration of Kratos on ZooKeeper."""

from __future__ import annotations

from kratos_zookeeper.registry import ZooKeeperRegistry
from kratos_zookeeper.source import ZooKeeperSource

__all__ = ["ZooKeeperRegistry", "ZooKeeperSource"]
