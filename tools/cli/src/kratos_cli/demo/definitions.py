"""From the definitions of the demo to Python, before your eyes."""

from __future__ import annotations

import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from kratos_cli.demo.account import Account
from kratos_cli.proto import compile_protos
from kratos_cli.proto.compiler import compile_definitions
from kratos_cli.proto.inputs import find_inputs

__all__ = ["DESCRIPTORS", "compile_api"]

DESCRIPTORS: Final = "api.binpb"  # beside the modules: the definitions with their comments

_FOLDERS: Final = ("bookshop", "helloworld")


def compile_api(account: Account, out: Path) -> None:
    """Generate the modules of both services, and tell of it.

    Args:
        account: Where it is told.
        out: Folder of the modules.
    """
    account.title("Two definitions become typed Python")
    with as_file(files("kratos_cli.demo") / "api") as api:
        protos = [api / folder for folder in _FOLDERS]
        start = time.perf_counter()
        written = compile_protos(protos, roots=[api], out=out)
        ms = (time.perf_counter() - start) * 1000
        inputs = find_inputs([str(proto) for proto in protos], [str(api)])
        (out / DESCRIPTORS).write_bytes(compile_definitions(list(inputs.paths), inputs))
    account.plain(f"  $ kratos proto {' '.join(_FOLDERS)}    ({ms:.0f} ms)")
    for folder in _FOLDERS:
        made = [path for path in written if path.is_relative_to(out / folder)]
        modules = [path.name for path in made if not path.stem.startswith("__")]
        account.note(f"{folder:10}  {'  '.join(modules)}")
