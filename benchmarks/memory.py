"""How much memory a process takes, from a moment on."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Memory"]


class Memory:
    """Resident memory of a process, from now on.

    Args:
        process: Its identifier; ``self`` for this one.
    """

    def __init__(self, process: str) -> None:
        self._folder = Path("/proc", process)
        (self._folder / "clear_refs").write_text("5")  # the peak is what it has now
        self._before = self._field("VmRSS")

    def extra(self) -> float:
        """Return the MiB of the peak beyond what there was."""
        return (self._field("VmHWM") - self._before) / 1024

    def _field(self, name: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise RuntimeError(f"this system does not tell {name}")
