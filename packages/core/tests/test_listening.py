"""Reserving an address, and listening on it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from kratos.address import Address
from kratos.errors import ConfigError, StartupError
from kratos.transport.listening import (
    SocketFile,
    allow_sharing,
    listen,
    place_of,
    require_free_path,
    reserve,
)

LOOPBACK = Address(host="127.0.0.1")


def address_of(reserved: socket.socket) -> Address:
    return Address(host="127.0.0.1", port=reserved.getsockname()[1])


async def test_reserved_address_refuses_connections_until_it_is_listened_on() -> None:
    with await reserve(LOOPBACK) as reserved:
        address = address_of(reserved)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(address.host, address.port)
        listen(reserved, address)
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()
        await writer.wait_closed()


async def test_reserved_address_is_in_use_for_others_whether_it_is_listened_on_or_not() -> None:
    with await reserve(LOOPBACK) as reserved:
        address = address_of(reserved)
        with pytest.raises(StartupError, match=rf"{address}: the address is in use"):
            await reserve(address)
        listen(reserved, address)
        with pytest.raises(StartupError, match=rf"{address}: the address is in use"):
            await reserve(address)


async def test_reserved_address_can_be_had_beside_only_by_those_who_share_it() -> None:
    with await reserve(LOOPBACK) as reserved:
        address = address_of(reserved)
        with pytest.raises(StartupError, match="the address is in use"):
            await reserve(address, shared=True)
        allow_sharing(reserved)
        with await reserve(address, shared=True) as second:
            listen(second, address)
            with pytest.raises(StartupError, match="the address is in use"):
                await reserve(address)


async def test_address_of_every_host_cannot_be_had_beside_one_of_them() -> None:
    with await reserve(LOOPBACK) as reserved:
        every = Address(port=reserved.getsockname()[1])
        with pytest.raises(StartupError, match=f"listen on {every}: the address is in use"):
            await reserve(every)


async def test_address_is_free_again_when_its_socket_is_closed() -> None:
    with await reserve(LOOPBACK) as reserved:
        address = address_of(reserved)
    with await reserve(address) as again:
        assert address_of(again) == address


async def test_shared_port_is_had_by_all_who_say_so_and_by_nobody_else() -> None:
    with await reserve(LOOPBACK, shared=True) as first:
        address = address_of(first)
        with await reserve(address, shared=True) as second:
            assert address_of(second) == address
        with pytest.raises(StartupError, match="in use"):
            await reserve(address)


async def test_two_who_share_no_port_cannot_both_listen() -> None:
    with await reserve(LOOPBACK) as reserved, socket.socket() as other:
        address = address_of(reserved)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((address.host, address.port))
        other.listen()
        with pytest.raises(StartupError, match=rf"{address}: the address is in use"):
            listen(reserved, address)


async def test_host_that_nobody_knows_is_named() -> None:
    with pytest.raises(StartupError, match=r"cannot listen on host\.invalid:0: "):
        await reserve(Address(host="host.invalid"))


async def test_path_is_taken_by_whoever_answers_there(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "socket"))
    with await reserve(address) as reserved:
        listen(reserved, address)
        for claim in (reserve, _require_free_path):
            with pytest.raises(StartupError, match=rf"{address}: the address is in use"):
                await claim(address)


async def test_path_is_taken_while_its_socket_does_not_listen_yet(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "socket"))
    with await reserve(address) as reserved:
        for claim in (reserve, _require_free_path):
            with pytest.raises(StartupError, match=rf"{address}: the address is in use"):
                await claim(address)
        listen(reserved, address)


async def test_path_of_a_socket_of_another_kind_is_taken(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "socket"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(address.path)
        with pytest.raises(StartupError, match="in use"):
            await reserve(address)


async def test_looking_whether_a_path_is_free_makes_no_connection(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "socket"))
    with await reserve(address) as reserved:
        listen(reserved, address)
        with pytest.raises(StartupError):
            require_free_path(address)
        with pytest.raises(BlockingIOError):
            reserved.accept()


async def test_file_of_a_socket_is_removed_by_whom_it_belongs_to_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    address = Address(path=str(path))
    with await reserve(address):
        old = SocketFile(address.path)
    with await reserve(address):
        new = SocketFile(address.path)
        old.remove()
        assert path.is_socket()
        new.remove()
        new.remove()
    assert not path.exists()


async def test_file_of_no_socket_is_nobodys(tmp_path: Path) -> None:
    SocketFile("").remove()
    path = tmp_path / "later"
    before = SocketFile(str(path))
    path.write_text("somebody's", encoding="utf-8")
    before.remove()
    assert path.read_text(encoding="utf-8") == "somebody's"


def test_place_has_the_permissions_that_were_asked_for() -> None:
    assert place_of("unix:/tmp/a.sock", socket_mode=0o660).mode == 0o660
    assert place_of(":8000") == Address(port=8000)


def test_permissions_that_are_a_text_are_refused() -> None:
    mode: Any = "660"
    with pytest.raises(ConfigError, match=r"socket_mode '660' is for .* a number up to 0o777"):
        place_of("unix:/a", socket_mode=mode)


async def test_path_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "socket"))
    (await reserve(address)).close()
    require_free_path(address)
    with await reserve(address) as reserved:
        assert reserved.getsockname() == address.path


async def test_path_of_a_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(StartupError, match="in use"):
        await reserve(Address(path=str(file)))
    assert file.read_text() == "precious"


async def test_path_without_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        await reserve(Address(path=f"{tmp_path}/no/socket"))


async def _require_free_path(address: Address) -> None:
    require_free_path(address)
