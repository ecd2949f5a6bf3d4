"""The process that serves: ``python -m kratos_cli.running.child FD WORDS``.

The words are those of ``kratos``, or ``-m MODULE ARGUMENTS`` as for Python. It ends when the
process that started it is gone, however that went.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

__all__ = ["follow"]


def follow(descriptor: int) -> None:
    """End this process in order when the other end of a pipe is closed.

    Args:
        descriptor: Of the pipe's end that is read.
    """
    os.set_inheritable(descriptor, False)  # workers have a supervisor of their own

    def wait() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="kratos-run-parent", daemon=True).start()


if __name__ == "__main__":
    _, descriptor, *words = sys.argv
    follow(int(descriptor))
    if words[0] == "-m":
        import runpy

        sys.argv[:] = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        from kratos_cli.main import main

        sys.exit(main(words))
