"""A strict fake of Fluentd: reads the forward protocol, and refuses what is not of it."""

from __future__ import annotations

import gzip
import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from os import urandom
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kratos.testing.log import MemoryLogger
from kratos_fluent import FluentLogger

pytest.register_assert_rewrite("kratos.testing.logger_contract")

PATIENCE = 10  # seconds for what another thread does


class Stream:
    """Takes one value of MessagePack after the other from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def next(self) -> Any:
        """Return the next value; raises ``EOFError`` when the connection has ended."""
        while True:
            for size in self._sizes():
                value = msgspec.msgpack.decode(self._rest[:size])
                self._rest = self._rest[size:]
                return value
            said = self._connection.recv(1 << 16)
            if not said:
                if self._rest:
                    raise AssertionError(f"ended within a message: {self._rest[:100]!r}")
                raise EOFError
            self._rest += said

    def _sizes(self) -> Iterator[int]:
        """Yield the size of the first whole value, if there is one."""
        try:
            yield skip(self._rest, 0)
        except IndexError:
            return


def skip(data: bytes, at: int) -> int:
    """Return where a value of MessagePack ends; raises ``IndexError`` if it is not whole."""
    code = data[at]
    at += 1
    if code < 0x80 or code >= 0xE0 or code in (0xC0, 0xC2, 0xC3):
        return at
    if code < 0x90:
        return skip_many(data, at, 2 * (code & 15))
    if code < 0xA0:
        return skip_many(data, at, code & 15)
    if code < 0xC0:
        return whole(data, at + (code & 31))
    fixed = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4}
    fixed |= {0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
    if code in fixed:
        return whole(data, at + fixed[code])
    width = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}
    width |= {0xDE: 2, 0xDF: 4}
    length = int.from_bytes(data[at : whole(data, at + width[code])], "big")
    at += width[code]
    if code in (0xDC, 0xDD):
        return skip_many(data, at, length)
    if code in (0xDE, 0xDF):
        return skip_many(data, at, 2 * length)
    return whole(data, at + length)


def skip_many(data: bytes, at: int, number: int) -> int:
    for _ in range(number):
        at = skip(data, at)
    return at


def whole(data: bytes, end: int) -> int:
    if end > len(data):
        raise IndexError
    return end


class Fluentd:
    """The fake.

    Attributes:
        records: Tag, seconds and record of all that has arrived, in its order.
        messages: The messages that they came in.
        connections: How many were made.
    """

    def __init__(
        self,
        *,
        shared_key: str = "",
        users: dict[str, str] | None = None,
        keepalive: bool = True,
        context: ssl.SSLContext | None = None,
        path: Path | None = None,
        port: int = 0,
    ) -> None:
        self.records: list[tuple[str, float, dict[str, Any]]] = []
        self.messages: list[list[Any]] = []
        self.failures: list[BaseException] = []
        self.connections = 0
        self.acknowledge: Callable[[str], Any] = acknowledged
        self.close_after_message = False
        self.proof: Callable[[str], str] = str
        self._shared_key, self._users, self._keepalive = shared_key, users or {}, keepalive
        self._context = context
        self._changed = threading.Condition()
        self._open: list[socket.socket] = []
        self._stopped = False
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", port))
            self.port = self._listener.getsockname()[1]
            self.address = f"127.0.0.1:{self.port}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def wait_for(self, what: Callable[[], Any]) -> None:
        with self._changed:
            assert self._changed.wait_for(what, PATIENCE), (self.records, self.failures)

    def cut(self) -> None:
        """Break all connections."""
        with self._changed:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            self._open.clear()

    def stop(self) -> None:
        self._stopped = True
        self._listener.shutdown(socket.SHUT_RDWR) if self._listener.fileno() >= 0 else None
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                self._open.append(connection)
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, ExitStack() as stack:
                if self._context is not None:
                    wrapped = self._context.wrap_socket(connection, server_side=True)
                    connection = stack.enter_context(wrapped)
                stream = Stream(connection)
                if self._shared_key:
                    self._let_in(connection, stream)
                while True:
                    self._take(connection, stream.next())
                    if self.close_after_message:
                        return
        except (EOFError, OSError, PermissionError):
            return
        except BaseException as error:
            with self._changed:
                self.failures.append(error)
                self._changed.notify_all()

    def _let_in(self, connection: socket.socket, stream: Stream) -> None:
        nonce, auth = urandom(16), urandom(16) if self._users else b""
        helo = ["HELO", {"nonce": nonce, "auth": auth, "keepalive": self._keepalive}]
        connection.sendall(msgspec.msgpack.encode(helo))
        ping = stream.next()
        if ping[0] != "PING":
            raise PermissionError("it has not been let in")
        _, hostname, salt, digest, user, password = ping
        key = self._shared_key.encode()
        reason = ""
        if digest != sha(salt, hostname.encode(), nonce, key):
            reason = "shared_key mismatch"
        elif self._users:
            known = self._users.get(user, "")
            if not known or password != sha(auth, user.encode(), known.encode()):
                reason = "username/password mismatch"
        proof = "" if reason else self.proof(sha(salt, b"fluentd.test", nonce, key))
        pong = ["PONG", not reason, reason, "fluentd.test" if not reason else "", proof]
        connection.sendall(msgspec.msgpack.encode(pong))
        if reason:
            raise PermissionError(reason)

    def _take(self, connection: socket.socket, message: Any) -> None:
        parts: list[Any] = msgspec.convert(message, list[Any])
        tag, second = parts[:2]
        assert isinstance(tag, str)
        entries: list[Any]
        option: dict[str, Any]
        if type(second) in (list, bytes):
            assert len(parts) == 3
            option = parts[2]
            entries = unpacked(second, option) if isinstance(second, bytes) else second
            assert option["size"] == len(entries)
        else:
            assert len(parts) == 4
            entries, option = [[second, parts[2]]], parts[3]
        told = [(tag, seconds(when), record) for when, record in entries]
        assert all(type(key) is str for _, _, record in told for key in record)
        with self._changed:
            self.messages.append(parts)
            self.records += told
            self._changed.notify_all()
        if "chunk" in option:
            answer = self.acknowledge(option["chunk"])
            if answer is not None:
                connection.sendall(msgspec.msgpack.encode(answer))


def acknowledged(chunk: str) -> Any:
    return {"ack": chunk}


def unpacked(body: bytes, option: dict[str, Any]) -> list[Any]:
    if "compressed" in option:
        assert option["compressed"] == "gzip"
        body = gzip.decompress(body)
    entries: list[Any] = []
    while body:
        size = skip(body, 0)
        entries.append(msgspec.msgpack.decode(body[:size]))
        body = body[size:]
    return entries


def sha(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def seconds(when: Any) -> float:
    assert isinstance(when, msgspec.msgpack.Ext), when
    assert when.code == 0
    whole, nanoseconds = struct.unpack(">II", when.data)
    assert nanoseconds < 1_000_000_000
    return float(whole + nanoseconds / 1e9)


@pytest.fixture
def fluentd() -> Iterator[Callable[..., Fluentd]]:
    """Make fakes of Fluentd, which are stopped, and have found nothing wrong, at the end."""
    made: list[Fluentd] = []

    def make(**options: Any) -> Fluentd:
        made.append(Fluentd(**options))
        return made[-1]

    yield make
    for each in made:
        each.stop()
    assert [failure for each in made for failure in each.failures] == []


@pytest.fixture
def log() -> MemoryLogger:
    return MemoryLogger()


@pytest.fixture
def writing(log: MemoryLogger) -> Iterator[Callable[..., FluentLogger]]:
    """Make loggers, which are closed at the end."""
    made: list[FluentLogger] = []

    def make(address: str, **options: Any) -> FluentLogger:
        options = {"linger": 0, "retry_wait": 0.01, "log": log, "patience": PATIENCE, **options}
        made.append(FluentLogger(address, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
