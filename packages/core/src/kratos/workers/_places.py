"""The sockets that a supervisor makes, keeps and hands down, one per slot and address."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kratos.address import Address
from kratos.app._options import name_of
from kratos.errors import StartupError
from kratos.transport.listening import allow_sharing, reserve
from kratos.transport.server import Endpointer, Server, Shareable

__all__ = ["Handed", "Places"]

_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What one worker gets, by the index of the server.

    Attributes:
        sockets: To listen on.
        addresses: To bind to with SO_REUSEPORT.
    """

    sockets: dict[int, socket.socket] = field(default_factory=dict[int, socket.socket])
    addresses: dict[int, Address] = field(default_factory=dict[int, Address])


@dataclass(slots=True, kw_only=True, eq=False)
class _Place:
    """One address of one server: of one slot, or of all.

    The holder is bound and never listens, so nobody else gets the port while no worker has it.
    """

    index: int
    takes_socket: bool
    address: Address
    holder: socket.socket
    sockets: dict[int, socket.socket] = field(default_factory=dict[int, socket.socket])


class Places:
    """All addresses of an application.

    Each slot has a listening socket of its own at an address that all share; the system spreads
    connections over them. It stays open when the slot's worker dies, and with it the connections
    that wait there for the next worker. The socket of a Unix path, of which there can be only
    one, is taken by all workers.

    Args:
        servers: Those of the application.
        slots: How many workers there are.
        apart: Whether each slot has an address of its own: the port that was asked for plus its
            number, or one that the system chooses.
    """

    def __init__(self, servers: Sequence[Server], *, slots: int, apart: bool) -> None:
        self._servers = servers
        self._slots = slots
        self._apart = apart
        self._places: list[tuple[range, _Place]] = []

    async def open(self) -> tuple[str, ...]:
        """Take all addresses and return the endpoints that the slots share.

        Raises:
            StartupError: One cannot be had, or a server cannot be shared; names it.
        """
        endpoints: list[str] = []
        try:
            for index, server in enumerate(self._servers):
                if not isinstance(server, Endpointer):
                    continue
                wanted = _address(server, apart=self._apart)
                takes_socket = isinstance(server, Shareable) and server.takes_socket
                for slots in self._groups():
                    place = await self._take(index, wanted, slots[0], takes_socket=takes_socket)
                    self._places.append((slots, place))
                    for slot in slots:
                        await self._open(place, slot)
                if not self._apart:
                    endpoints.extend(await _endpoints(server, self._places[-1][1]))
        except BaseException:
            self.close()
            raise
        return tuple(endpoints)

    def of(self, slot: int, /) -> Handed:
        """Return what the worker of a slot is to have."""
        handed = Handed()
        for slots, place in self._places:
            if slot not in slots:
                continue
            if place.takes_socket:
                handed.sockets[place.index] = place.sockets[slot]
            else:
                handed.addresses[place.index] = place.address
        return handed

    async def open_slot(self, slot: int, /) -> None:
        """Make what ``close_slot`` closed. Idempotent.

        Raises:
            StartupError: That cannot be had again.
        """
        for slots, place in self._places:
            if slot in slots:
                await self._open(place, slot)

    def close_slot(self, slot: int, /) -> None:
        """Close the sockets of a slot, so that no connection waits there. Idempotent."""
        for _, place in self._places:
            if not place.address.path and slot in place.sockets:
                place.sockets.pop(slot).close()

    def stop_listening(self) -> None:
        """Leave the sockets to the workers that have them; the addresses are still held."""
        for slot in range(self._slots):
            self.close_slot(slot)

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        for _, place in self._places:
            for sock in (*place.sockets.values(), place.holder):
                sock.close()
            if place.address.path:
                Path(place.address.path).unlink(missing_ok=True)
        self._places.clear()

    def _groups(self) -> list[range]:
        every = range(self._slots)
        return [range(slot, slot + 1) for slot in every] if self._apart else [every]

    async def _take(self, index: int, wanted: Address, slot: int, *, takes_socket: bool) -> _Place:
        if self._apart and wanted.port:
            if wanted.port + slot > _LAST_PORT:
                raise StartupError(
                    f"{wanted} leaves no port for worker {slot}, which gets the port plus its "
                    "number: choose a lower one, or 0 to let the system choose"
                )
            wanted = Address(host=wanted.host, port=wanted.port + slot)
        holder = await reserve(wanted)
        address = wanted
        if not wanted.path:
            allow_sharing(holder)
            host, port, *_ = holder.getsockname()
            address = Address(host=host if wanted.host else "", port=port)
        return _Place(index=index, takes_socket=takes_socket, address=address, holder=holder)

    async def _open(self, place: _Place, slot: int) -> None:
        if not place.takes_socket or slot in place.sockets:
            return
        if place.address.path:
            place.sockets[slot] = place.holder.dup()
        else:
            place.sockets[slot] = await reserve(place.address, shared=True)


def _address(server: Endpointer, *, apart: bool) -> Address:
    """Return where a server wants to listen.

    Raises:
        StartupError: Workers cannot share that.
    """
    name = name_of(server)
    if not isinstance(server, Shareable):
        raise StartupError(
            f"{name} has an address, and cannot share it with other workers: "
            "run without workers, or put it into host_servers"
        )
    address = server.address
    if address is None:
        raise StartupError(
            f"{name} listens where workers cannot share: give it a host and a port, "
            "or run without workers"
        )
    if apart and address.path:
        raise StartupError(
            f"{name} has one Unix socket, but with registration='worker' each worker needs an "
            "address of its own: give it a host and a port"
        )
    return address


async def _endpoints(server: Server, place: _Place) -> Sequence[str]:
    """Ask the supervisor's own copy of a server, which never starts, what it would publish."""
    assert isinstance(server, Shareable), "asked before"
    assert isinstance(server, Endpointer)
    server.share(place.holder.dup() if place.takes_socket else place.address)
    try:
        return await server.bind()
    finally:
        await server.stop()
