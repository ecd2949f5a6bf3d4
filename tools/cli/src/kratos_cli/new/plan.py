"""What is to be made: where, by which names, with which parts."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from kratos_cli.new.names import Names
from kratos_cli.new.repository import Repository

__all__ = ["Plan", "installed"]


def installed() -> Mapping[str, str]:
    """Return the versions of Kratos that a project asks for if it is made now."""
    return {"kratos": _compatible("kratos-core"), "cli": _compatible("kratos-cli")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be made.

    Attributes:
        folder: Where.
        names: How it is called.
        http: Whether it serves HTTP.
        grpc: Whether it serves gRPC.
        repository: The project that it is added to; ``None`` for one of its own.
        number: Its place among the services of its repository, from 1; 0 for one of its own.
        requires: The versions of ``kratos`` and of ``cli`` that it asks for.
    """

    folder: Path
    names: Names
    http: bool = True
    grpc: bool = True
    repository: Repository | None = None
    number: int = 0
    requires: Mapping[str, str] = field(default_factory=installed)

    @property
    def flags(self) -> dict[str, bool]:
        """The parts of a template, and whether they are wanted."""
        service = self.repository is not None
        return {"http": self.http, "grpc": self.grpc, "service": service, "project": not service}

    @property
    def path(self) -> str:
        """Where it is in its repository."""
        if self.repository is None:
            return "."
        return self.folder.relative_to(self.repository.folder).as_posix()

    @property
    def ports(self) -> Mapping[str, int]:
        """Where it listens on the machine of a developer: each service of a repository apart."""
        bases = {"http": 8000, "grpc": 9000, "debug": 9100}
        return {name: base + self.number for name, base in bases.items()}

    def values(self) -> dict[str, str]:
        """Return what placeholders stand for."""
        transports = [name for name in ("http", "grpc") if self.flags[name]]
        package, repository = self.names.package, self.repository
        exposed = {"http": "8000", "grpc": "9000"}
        return {
            "name": self.names.distribution,
            "package": package,
            "PREFIX": self.names.prefix,
            "path": self.path,
            "root": self.names.distribution if repository is None else repository.name,
            "api": f"{package if repository is None else repository.package}.api",
            "config_path": "configs" if repository is None else f"{self.path}/configs",
            "extras": ",".join(sorted(transports)),
            "transports": ", ".join(f'"{name}"' for name in transports),
            "server_count": str(len(transports)),
            "exposed": " ".join([*(exposed[name] for name in transports), "9100"]),
            "lock": f"{zlib.crc32(package.encode()):08X}",
            **self.requires,
            **{f"{name}_port": str(port) for name, port in self.ports.items()},
        }


def _compatible(distribution: str) -> str:
    """Return the versions that go with what is installed: up to the next major one."""
    installed = version(distribution)
    major, _, rest = installed.partition(".")
    return f">={major}.{rest.partition('.')[0]},<{int(major) + 1}"
