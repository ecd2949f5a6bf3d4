"""HTTP/JSON: a GET with a path variable and a POST of a small order, behind three middlewares."""

from __future__ import annotations

import json

from benchmarks.load_http import drive
from benchmarks.measure import Load, Subject

SUBJECTS = (
    Subject(name="kratos", module="benchmarks.subjects.kratos_server", options=("http",)),
    Subject(name="kratos on uvicorn", module="benchmarks.subjects.kratos_asgi"),
    Subject(name="fastapi on uvicorn", module="benchmarks.subjects.fastapi_server"),
    Subject(name="raw uvicorn", module="benchmarks.subjects.uvicorn_raw"),
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
        Load(case="post", drive=lambda address, seconds: drive(address, _POST, seconds)),
    ]
