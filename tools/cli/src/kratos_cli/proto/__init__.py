"""From files on disk to descriptors, and from generated files back to disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["compile_protos"]


def compile_protos(protos: Sequence[Path], *, roots: Sequence[Path], out: Path) -> list[Path]:
    """Generate Python from definitions, as ``kratos proto`` does, and return what was written.

    Args:
        protos: Files and folders; folders are searched.
        roots: Folders that names in imports start from.
        out: Folder to write into.

    Raises:
        CommandFailure: There is no compiler, or a definition is wrong; the text says what.
    """
    from kratos_cli.failure import CommandFailure
    from kratos_cli.proto.compiler import compile_definitions
    from kratos_cli.proto.inputs import find_inputs
    from kratos_cli.proto.tree import Tree
    from protoc_gen_kratos import DefinitionError, generate

    inputs = find_inputs([str(proto) for proto in protos], [str(root) for root in roots])
    compiled = compile_definitions(list(inputs.paths), inputs)
    try:
        result = generate(compiled, list(inputs.paths))
    except DefinitionError as error:
        lines = [problem.text(inputs.paths) for problem in error.problems]
        raise CommandFailure("\n".join(lines)) from error
    return list(Tree.plan(out, result.files).write())
