"""What a test has left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import threading

import pytest

from kratos.limit import cancel_and_wait
from kratos.log import QueuedWriter
from kratos.testing import LeakCheck, in_virtual_time


async def test_nothing_new_is_nothing_left() -> None:
    waiting = asyncio.create_task(asyncio.Event().wait())
    with socket.socket():
        check = LeakCheck()
        await check.nothing_left(patience=0)
    await cancel_and_wait(waiting)


async def test_task_is_named() -> None:
    check = LeakCheck()
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    with pytest.raises(AssertionError, match=r"left behind: task forgotten: .*Event\.wait"):
        await check.nothing_left(patience=0)
    await cancel_and_wait(task)


@in_virtual_time
async def test_waiting_for_what_does_not_end_collects_no_garbage_all_the_while() -> None:
    check = LeakCheck()
    task = asyncio.create_task(asyncio.Event().wait())
    collected = 0

    def count(phase: str, info: dict[str, int]) -> None:
        nonlocal collected
        collected += phase == "start" and info["generation"] == 2

    gc.callbacks.append(count)
    try:
        with pytest.raises(AssertionError, match="left behind"):
            await check.nothing_left(patience=5)
    finally:
        gc.callbacks.remove(count)
    assert collected < 20
    await cancel_and_wait(task)


async def test_thread_is_named() -> None:
    check, end = LeakCheck(), threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten")
    thread.start()
    assert check.left() == ["thread forgotten"]
    end.set()
    thread.join()


async def test_threads_of_the_loop_are_no_leak() -> None:
    check = LeakCheck()
    await asyncio.to_thread(int)
    await check.nothing_left(patience=0)


async def test_thread_that_writes_the_log_is_no_leak() -> None:
    check = LeakCheck()
    read, write = os.pipe()
    writer = QueuedWriter(write)
    writer.write(b"first line of the process\n")
    try:
        await check.nothing_left(patience=0)
    finally:
        writer.close()
        os.close(read)
        os.close(write)


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are listed on Linux alone")
async def test_socket_is_told_with_its_address() -> None:
    check = LeakCheck()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        (left,) = check.left()
        assert f"laddr={sock.getsockname()}" in left
    await check.nothing_left(patience=0)


async def test_pair_of_sockets_within_the_process_is_no_leak() -> None:
    check = LeakCheck()
    one, other = socket.socketpair()
    with one, other:
        await check.nothing_left(patience=0)


async def test_what_is_about_to_end_is_waited_for() -> None:
    check, end = LeakCheck(), asyncio.Event()
    task = asyncio.create_task(end.wait())
    asyncio.get_running_loop().call_later(0.05, end.set)
    await check.nothing_left()
    assert task.done()
