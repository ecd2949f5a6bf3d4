"""Where asyncio's tasks and the threads are (Go: pprof's goroutine profile)."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

__all__ = ["frames", "stacks", "tasks"]

_NAMES_SHOWN: Final = 10

# Documented, and meant for just this, although its name begins with an underscore.
frames: Final[Callable[[], Mapping[int, FrameType]]] = vars(sys)["_current_frames"]

Place: TypeAlias = tuple[CodeType, int]


def tasks() -> str:
    """Return the tasks of the running loop, those at one place together, the most first."""
    groups: dict[tuple[str, tuple[Place, ...]], list[str]] = {}
    current = asyncio.current_task()
    every = asyncio.all_tasks()
    for task in every:
        name = task.get_name() + (" (this page)" if task is current else "")
        coroutine = task.get_coro()
        title = getattr(coroutine, "__qualname__", type(coroutine).__name__)
        groups.setdefault((title, tuple(_places(coroutine))), []).append(name)
    lines = [f"{len(every)} tasks at {len(groups)} places", ""]
    for (title, places), names in sorted(groups.items(), key=lambda group: -len(group[1])):
        names.sort()
        shown = ", ".join(names[:_NAMES_SHOWN])
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        lines += [f"{len(names)} x {title}", f"  {shown}{more}"]
        lines += [f"    {code.co_qualname}  {code.co_filename}:{line}" for code, line in places]
        lines.append("")
    return "\n".join(lines)


def _places(awaited: Any) -> Iterator[Place]:
    """Return where a coroutine waits, the outermost place first."""
    while awaited is not None:
        frame: FrameType | None = None
        for kind, inner in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                awaited = getattr(awaited, inner)
                break
        if frame is None:
            return
        yield frame.f_code, frame.f_lineno


def stacks() -> str:
    """Return the stack of every thread, the innermost call last."""
    names = {thread.ident: thread for thread in threading.enumerate()}
    lines: list[str] = []
    for ident, frame in frames().items():
        thread = names.get(ident)
        name = "a thread that Python did not start" if thread is None else thread.name
        daemon = ", daemon" if thread is not None and thread.daemon else ""
        lines.append(f"{name} ({ident}{daemon})\n")
        lines += traceback.format_stack(frame)
        lines.append("\n")
    return "".join(lines)
