"""HTTP/JSON: a GET with a path variable and a POST of an order of ten lines, against the field."""

from __future__ import annotations

import json
from typing import Final

from benchmarks.load_http import drive
from benchmarks.measure import Load, Subject

_PLANS: Final = {"KRATOS_PROTOJSON": "python"}
_NATIVE: Final = ("kratos_protojson_native",)


def _on_uvicorn(name: str, *needs: str) -> Subject:
    module = f"benchmarks.subjects.{name.replace('-', '_')}_on_uvicorn"
    return Subject(name=name, module=module, needs=needs)


SUBJECTS = (
    Subject(name="kratos", module="benchmarks.subjects.kratos_server", options=("http",)),
    Subject(
        name="kratos-plans",
        module="benchmarks.subjects.kratos_server",
        options=("http",),
        environment=_PLANS,
        needs=_NATIVE,  # else it is the same as the one before
    ),
    Subject(name="kratos-on-uvicorn", module="benchmarks.subjects.kratos_on_uvicorn"),
    _on_uvicorn("fastapi", "fastapi"),
    _on_uvicorn("litestar", "litestar"),
    _on_uvicorn("blacksheep", "blacksheep"),
    _on_uvicorn("starlette", "starlette"),
    Subject(name="aiohttp", module="benchmarks.subjects.aiohttp_server", needs=("aiohttp",)),
    Subject(name="raw-uvicorn", module="benchmarks.subjects.raw_uvicorn"),
    Subject(
        name="raw-granian-asgi",
        module="benchmarks.subjects.raw_granian",
        options=("asgi",),
        needs=("granian",),
    ),
    Subject(
        name="raw-granian-rsgi",
        module="benchmarks.subjects.raw_granian",
        options=("rsgi",),
        needs=("granian",),
    ),
    Subject(name="robyn", module="benchmarks.subjects.robyn_server", needs=("robyn",)),
    Subject(
        name="connect-python",
        module="benchmarks.subjects.connect_on_uvicorn",
        needs=("connectrpc.server",),
    ),
    Subject(
        name="go-kratos",
        module="benchmarks.subjects.go_server",
        options=("http",),
        tools=("go",),
        patience=600,  # the first time it is compiled
    ),
)

_LINE = {"sku": "b-0042", "quantity": 3, "price": 12.5}
_ORDER = json.dumps({"customer": "kratos", "lines": [_LINE] * 10}).encode()
_GET = b"GET /hello/kratos HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n\r\n"
_POST = (
    b"POST /orders HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_ORDER), _ORDER)
)


def loads() -> list[Load]:
    """Return the kinds of requests."""
    return [
        Load(case="get", drive=lambda address, seconds: drive(address, _GET, seconds)),
        Load(case="order", drive=lambda address, seconds: drive(address, _POST, seconds)),
    ]
