"""Both sides of these tests: Python of their definition, and the Go program, built once."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.interop.building import built, built_of, run

from kratos_cli.proto import compile_protos

HERE = Path(__file__).parent
PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
)
PGV = "github.com/envoyproxy/protoc-gen-validate"
RULES = HERE.parents[1] / "contrib" / "validate" / "tests" / "proto"
# What v2 cannot do, or does otherwise; go2 has the rest.
ONLY_V3 = ("streams.go", "server_streams.go", "bodies.go", "dialect.go", "go.mod", "go.sum")
DEFINITIONS = ("interop/v1/interop.proto", "interop/peer/v1/peer.proto")
MSGPACK = "interop/msgpack/v1/msgpack.proto"


def _compile() -> Path:
    """Compile the definition before the tests that import it are collected."""
    generated = tempfile.TemporaryDirectory(prefix="kratos-interop-")
    atexit.register(generated.cleanup)
    out = Path(generated.name)
    compile_protos(sorted(HERE.rglob("*.proto")), roots=[HERE / "proto"], out=out)
    return out


GENERATED = _compile()
sys.path.insert(0, str(GENERATED))


@pytest.fixture(scope="session")
def generated() -> Path:
    """Folder with the Python of all definitions, for programs that tests start."""
    return GENERATED


def _build(folder: Path, major: int) -> None:
    """Generate and compile in a scratch folder; the checkout stays as it is."""
    shutil.copytree(HERE / "go", folder, dirs_exist_ok=True)
    for plugin in PLUGINS:
        run(folder, "go", "build", "-o", "bin/", plugin)
    errors = f"Merrors/errors.proto=github.com/go-kratos/kratos/v{major}/errors"
    run(
        folder,
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{HERE / 'proto'}",
        f"-I{sysconfig.get_path('purelib')}",
        f"-I{files('kratos')}",  # errors/errors.proto
        "--plugin=protoc-gen-go=bin/protoc-gen-go",
        "--plugin=protoc-gen-go-grpc=bin/protoc-gen-go-grpc",
        "--go_out=.",
        f"--go_opt=module=kratos.test/interop,{errors}",
        "--go-grpc_out=.",
        f"--go-grpc_opt=module=kratos.test/interop,{errors}",
        *DEFINITIONS,
    )
    if major == 2:
        _turn_into_v2(folder)
    run(folder, "go", "build", "-o", "bin/", "./...")


def _turn_into_v2(folder: Path) -> None:
    shutil.rmtree(folder / "peer")
    for name in ONLY_V3:
        (folder / name).unlink()
    for source in folder.glob("*.go"):
        source.write_text(source.read_text().replace("kratos/v3", "kratos/v2"))
    shutil.copytree(HERE / "go2", folder, dirs_exist_ok=True)


def _build_suite(folder: Path) -> None:
    shutil.copytree(HERE / "grpc" / "go", folder)
    run(folder, "go", "build", "-o", "bin/server", ".")
    run(folder, "go", "build", "-o", "bin/", "google.golang.org/grpc/interop/client")


def _build_tool(folder: Path, name: str) -> None:
    shutil.copytree(HERE / "tools" / name, folder)
    run(folder, "go", "build", "-ldflags", "-s -w", "-o", "bin/", "tool")


@pytest.fixture(scope="session")
def go_tool() -> Callable[[str], Path]:
    """Returns the folder of the programs that tools/<name>/go.mod pins."""

    def tool(name: str) -> Path:
        sources = (HERE / "tools" / name).iterdir()
        return built(f"go-tool-{name}", sources, partial(_build_tool, name=name)) / "bin"

    return tool


def _program(major: int) -> Path:
    """Return the path of the program, built at most once."""
    sources = [*HERE.glob("go*/**/*.*"), *(HERE / "proto" / name for name in DEFINITIONS)]
    name = f"go-interop-v{major}"
    return built(name, sources, lambda folder: _build(folder, major)) / "bin" / "interop"


@pytest.fixture(params=["grpcio", "kratos"])
def engine(request: pytest.FixtureRequest) -> Any:
    """Runs each test that asks for it on each engine of gRPC."""
    return request.param


@pytest.fixture(scope="session")
def go_program() -> Path:
    """Path of the program; see go/main.go for what it does."""
    return _program(3)


@pytest.fixture(scope="session")
def go2_program() -> Path:
    """Path of the same program with Go Kratos v2, which has no streams over HTTP."""
    return _program(2)


@pytest.fixture(scope="session")
def grpc_suite() -> Path:
    """Folder of gRPC's own ``client`` of its interoperability tests, and of a ``server``."""
    return built("go-grpc-suite", (HERE / "grpc" / "go").iterdir(), _build_suite) / "bin"


@pytest.fixture(scope="session")
def go_details() -> Path:
    """Path of the program in details/go."""
    return built_of("details", *(HERE / "details" / "go").iterdir())


@pytest.fixture(scope="session")
def go_auth() -> Path:
    """Path of the program in auth/go."""
    return built_of("auth", *(HERE / "auth" / "go").iterdir())


def _build_msgpack(folder: Path) -> None:
    shutil.copytree(HERE / "msgpack" / "go", folder)
    run(folder, "go", "build", "-o", "bin/", "google.golang.org/protobuf/cmd/protoc-gen-go")
    run(
        folder,
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{HERE / 'proto'}",
        f"-I{sysconfig.get_path('purelib')}",
        "--plugin=protoc-gen-go=bin/protoc-gen-go",
        "--go_out=.",
        "--go_opt=module=kratos.test/msgpack",
        MSGPACK,
    )
    run(folder, "go", "build", "-o", "bin/msgpack", ".")


@pytest.fixture(scope="session")
def go_msgpack() -> Path:
    """Path of the program in msgpack/go."""
    sources = [*(HERE / "msgpack" / "go").iterdir(), HERE / "proto" / MSGPACK]
    return built("go-msgpack", sources, _build_msgpack) / "bin" / "msgpack"


def _build_validate(folder: Path) -> None:
    shutil.copytree(HERE / "validate" / "go", folder)
    for plugin in ("google.golang.org/protobuf/cmd/protoc-gen-go", PGV):
        run(folder, "go", "build", "-o", "bin/", plugin)
    run(
        folder,
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{RULES}",
        "--plugin=protoc-gen-go=bin/protoc-gen-go",
        "--go_out=.",
        "--go_opt=module=kratos.test/validate",
        "shop/accounts.proto",
        "shop/orders.proto",
    )
    # Of maps whose keys are booleans it makes code that does not compile.
    run(
        folder,
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{RULES}",
        "--plugin=protoc-gen-validate=bin/protoc-gen-validate",
        "--validate_out=.",
        "--validate_opt=lang=go,module=kratos.test/validate",
        "shop/orders.proto",
    )
    run(folder, "go", "build", "-o", "bin/validate", ".")


@pytest.fixture(scope="session")
def go_validate() -> Path:
    """Path of the program in validate/go."""
    sources = [*(HERE / "validate" / "go").iterdir(), *RULES.rglob("*.proto")]
    return built("go-validate", sources, _build_validate) / "bin" / "validate"


@asynccontextmanager
async def _serving(program: Path) -> AsyncGenerator[dict[str, str]]:
    process = await asyncio.create_subprocess_exec(
        program,
        "server",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    addresses: dict[str, str] = json.loads(await process.stdout.readline())
    yield addresses
    process.stdin.close()
    assert await process.wait() == 0


@pytest_asyncio.fixture
async def go_server(go_program: Path) -> AsyncIterator[dict[str, str]]:
    """Addresses of a running Go service by transport."""
    async with _serving(go_program) as addresses:
        yield addresses


@pytest_asyncio.fixture
async def go2_server(go2_program: Path) -> AsyncIterator[dict[str, str]]:
    """Addresses of a running service of Go Kratos v2 by transport."""
    async with _serving(go2_program) as addresses:
        yield addresses


def _build_fleet(folder: Path, kind: str, program: str) -> None:
    shutil.copytree(HERE / "fleet" / kind, folder)
    source = (HERE / "fleet" / f"{program}.go").read_text()
    if kind.endswith("_v2"):
        source = source.replace("kratos/v3", "kratos/v2").replace("NewClient(", "DialInsecure(", 1)
    (folder / f"{program}.go").write_text(source)
    run(folder, "go", "build", "-o", f"bin/{program}", ".")


@pytest.fixture(scope="session")
def go_fleet() -> Callable[..., Path]:
    """Returns the path of a program of fleet/, with the registry of a folder there.

    The program is that of fleet.go, unless another one is named.
    """

    def fleet(kind: str, program: str = "fleet") -> Path:
        sources = [HERE / "fleet" / f"{program}.go", *(HERE / "fleet" / kind).iterdir()]
        build = partial(_build_fleet, kind=kind, program=program)
        return built(f"go-{program}-{kind.replace('_', '-')}", sources, build) / "bin" / program

    return fleet


@pytest.fixture(scope="session")
def go_trace() -> Path:
    """Path of the program in trace/go."""
    return built_of("trace", *(HERE / "trace" / "go").iterdir())
