"""Connect's conformance tests judge our servers and clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from tests.interop.connect.plans import CLIENTS, SERVERS, Plan
from tests.interop.connect.runner import run, unforeseen

INTEROP = Path(__file__).parents[1]
WELL_KNOWN = files("grpc_tools") / "_proto"
# What the runner says to nobody but itself, and how it is configured.
NOT_NEEDED = {
    *("Config", "ConfigCase", "Features", "WireDetails"),
    *("ExpandedSize", "TestCase", "TestSuite"),
}

pytestmark = [pytest.mark.go, pytest.mark.slow]


@pytest.fixture(scope="session")
def runner(go_tool: Callable[[str], Path]) -> Path:
    """Path of the runner, which brings servers and clients of its own."""
    return go_tool("connect") / "connectconformance"


@pytest.mark.parametrize("plan", [*SERVERS, *CLIENTS], ids=lambda plan: plan.name)
async def test_all_cases_end_as_foreseen(
    plan: Plan, runner: Path, generated: Path, tmp_path: Path
) -> None:
    outcome = await run(runner, plan, generated=generated, folder=tmp_path)
    assert not outcome.failed, told(outcome.failed)
    other = unforeseen(outcome, plan.known)
    assert not other, told(other)
    assert outcome.status == 0, outcome.log[-2000:]
    assert outcome.total >= plan.least


def told(cases: Mapping[str, Sequence[str]]) -> str:
    return "\n".join(f"{name}: {'; '.join(lines)[:400]}" for name, lines in cases.items())


async def test_definition_is_that_of_the_runner(runner: Path, tmp_path: Path) -> None:
    # The runner's own is in the module that it was built of.
    listing = await asyncio.create_subprocess_exec(
        *("go", "list", "-m", "-f", "{{.Dir}}", "connectrpc.com/conformance"),
        cwd=INTEROP / "tools" / "connect",
        stdout=asyncio.subprocess.PIPE,
    )
    module, _ = await listing.communicate()
    theirs = Path(module.decode().strip()) / "proto"
    assert shape_of(INTEROP / "proto", tmp_path) == {
        name: shape
        for name, shape in shape_of(theirs, tmp_path).items()
        if name.rpartition(".")[2] not in NOT_NEEDED
    }


def shape_of(root: Path, folder: Path) -> dict[str, object]:
    """Return what is defined under ``connectrpc``, by name, without comments and order."""
    out = folder / "set.binpb"
    sources = sorted((root / "connectrpc" / "conformance" / "v1").glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc"]
    subprocess.run([*command, f"-I{root}", f"-I{WELL_KNOWN}", f"-o{out}", *sources], check=True)
    shapes: dict[str, object] = {}
    for file in FileDescriptorSet.FromString(out.read_bytes()).file:
        for message in file.message_type:
            _add(shapes, f"{file.package}.{message.name}", message)
        for enum in file.enum_type:
            shapes[f"{file.package}.{enum.name}"] = {each.name: each.number for each in enum.value}
        for service in file.service:
            shapes[f"{file.package}.{service.name}"] = {
                method.name: (
                    *(method.input_type, method.client_streaming),
                    *(method.output_type, method.server_streaming),
                    method.options.idempotency_level,
                )
                for method in service.method
            }
    return shapes


def _add(shapes: dict[str, object], name: str, message: DescriptorProto) -> None:
    oneofs = [each.name for each in message.oneof_decl]
    shapes[name] = {
        each.name: (
            *(each.number, each.type, each.type_name, each.label, each.proto3_optional),
            oneofs[each.oneof_index] if each.HasField("oneof_index") else "",
        )
        for each in message.field
    }
    for nested in message.nested_type:
        _add(shapes, f"{name}.{nested.name}", nested)
