"""The demo from curtain to curtain."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from kratos.registry import Discovery, ServiceInstance, get_service
from kratos.registry import from_url as registry_from_url
from kratos_cli.demo.account import Account
from kratos_cli.demo.definitions import compile_api
from kratos_cli.demo.figures import is_counting, tell_figures
from kratos_cli.demo.invitation import invite
from kratos_cli.demo.stage import Process, StageError

__all__ = ["play"]

_SERVICES = ("greeter", "bookshop")
_START_TIMEOUT = 20.0  # seconds


def play(*, serve: bool) -> int:
    """Run the demo and return the exit code.

    Args:
        serve: Whether to keep the services up after the calls, until Ctrl-C.
    """
    account = Account()
    try:
        return asyncio.run(_play(account, serve=serve))
    except KeyboardInterrupt:
        account.plain("\n  stopped")
        return 0 if serve else 128 + signal.SIGINT
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except BrokenPipeError:
        # Who read the account has had enough of it. What is still buffered goes nowhere, or Python
        # would complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except StageError as error:
        sys.stderr.write(f"demo failed: {error}\n")
        return 1


async def _play(account: Account, *, serve: bool) -> int:
    me = asyncio.current_task()
    assert me is not None, "runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    with tempfile.TemporaryDirectory(prefix="kratos-demo-") as folder:
        root = Path(folder)
        compile_api(account, root / "generated")
        registry = f"file://{root / 'registry'}?ttl=5s"
        async with AsyncExitStack() as stack:
            processes: dict[str, Process] = {}
            discovery = registry_from_url(registry)
            account.title("Two services start, register and are found")
            for name in _SERVICES:
                process = Process(name, registry=registry, generated=root / "generated")
                processes[name] = await stack.enter_async_context(process)
            for name, process in processes.items():
                for instance in await _found(discovery, process):
                    account.note(f"{name:9} {'  '.join(instance.endpoints)}")
            await _tour(account, processes, registry, root / "generated")
            if is_counting():
                await tell_figures(account, discovery, _SERVICES)
            if serve:
                await invite(account, discovery, root / "generated")
                await _until_one_ends(processes)
            await _stop(account, processes, discovery)
    return 0


async def _found(discovery: Discovery, process: Process) -> list[ServiceInstance]:
    """Wait until a service is in the registry."""
    ended = asyncio.ensure_future(process.ended())
    watching = asyncio.ensure_future(_appears(discovery, process.name))
    try:
        async with asyncio.timeout(_START_TIMEOUT):
            await asyncio.wait((ended, watching), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
        return watching.result()
    except TimeoutError as error:
        raise StageError(f"{process.name} did not register in {_START_TIMEOUT:.0f} s") from error
    finally:
        for task in (ended, watching):
            task.cancel()
        await asyncio.gather(ended, watching, return_exceptions=True)


async def _appears(discovery: Discovery, name: str) -> list[ServiceInstance]:
    watcher = await discovery.watch(name)
    try:
        seen = await watcher.read()
        while not seen.value:
            changed = await watcher.changed(seen.token)
            seen = await watcher.read() if changed is None else changed
        return list(seen.value)
    finally:
        await watcher.aclose()


async def _tour(
    account: Account, processes: dict[str, Process], registry: str, generated: Path
) -> None:
    account.title("Calls: who → whom, by what, code, time, answer")
    sys.path.insert(0, str(generated))
    try:
        # Its imports were generated a moment ago.
        tour = importlib.import_module("kratos_cli.demo.tour")
        await tour.take(account, processes, registry)
    finally:
        sys.path.remove(str(generated))


async def _until_one_ends(processes: dict[str, Process]) -> None:
    ended = [asyncio.ensure_future(process.ended()) for process in processes.values()]
    try:
        done, _ = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


async def _stop(account: Account, processes: dict[str, Process], discovery: Discovery) -> None:
    account.title("The services stop: they leave the registry, answer what is in flight, end")
    for name in reversed(_SERVICES):
        code = await processes[name].stop()
        left = await get_service(discovery, name)
        account.note(f"{name:9} exit code {code}, {len(left)} instances in the registry")
        if code != 0 or left:
            raise StageError(f"{name} ended with exit code {code} and left {left} behind")
    account.plain("")
    account.plain(f"  {account.calls} calls, all as expected. Nothing is left running or on disk.")
