"""Calls that block the event loop, in functions that run on it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kratos_cli.lint.project import Project
from kratos_cli.lint.scopes import Scopes
from kratos_cli.lint.source import Edit, Found, Source

__all__ = ["check_blocking"]

_THREAD: Final = "call it by asyncio.to_thread, or by offload of kratos.offload"
_HTTP: Final = "use a client that awaits, such as kratos.Client or httpx.AsyncClient"
_PROCESS: Final = "await asyncio.create_subprocess_exec"
_DATABASE: Final = "use a driver that awaits"

_CURES: Final[Mapping[str, str]] = {
    "time.sleep": "await asyncio.sleep",
    "builtins.input": _THREAD,
    "builtins.open": _THREAD,
    "io.open": _THREAD,
    **{
        f"pathlib.Path.{name}": _THREAD
        for name in ("open", "read_bytes", "read_text", "write_bytes", "write_text")
    },
    **{
        f"shutil.{name}": _THREAD
        for name in ("copy", "copy2", "copyfile", "copytree", "make_archive", "move", "rmtree")
    },
    "os.system": _PROCESS,
    "os.popen": _PROCESS,
    "os.wait": _PROCESS,
    "os.waitpid": _PROCESS,
    **{
        f"subprocess.{name}": _PROCESS
        for name in ("call", "check_call", "check_output", "getoutput", "getstatusoutput", "run")
    },
    "subprocess.Popen.communicate": _PROCESS,
    "subprocess.Popen.wait": _PROCESS,
    "asyncio.run": "await what it is given: a loop runs already",
    "socket.create_connection": "await asyncio.open_connection",
    "socket.getaddrinfo": "await the method getaddrinfo of the running loop",
    "socket.gethostbyname": "await the method getaddrinfo of the running loop",
    "requests.*": _HTTP,
    "urllib.request.urlopen": _HTTP,
    "urllib.request.urlretrieve": _HTTP,
    "urllib3.*": _HTTP,
    "http.client.HTTPConnection.*": _HTTP,
    "http.client.HTTPSConnection.*": _HTTP,
    **{
        f"httpx.{name}": _HTTP
        for name in (
            "delete",
            "get",
            "head",
            "options",
            "patch",
            "post",
            "put",
            "request",
            "stream",
        )
    },
    "httpx.Client.*": _HTTP,
    "grpc.insecure_channel": "use kratos_grpc, or grpc.aio.insecure_channel",
    "grpc.secure_channel": "use kratos_grpc, or grpc.aio.secure_channel",
    "smtplib.SMTP.*": _THREAD,
    "smtplib.SMTP_SSL.*": _THREAD,
    "sqlite3.connect": f"{_DATABASE}: aiosqlite",
    "psycopg2.connect": f"{_DATABASE}: asyncpg, or psycopg.AsyncConnection",
    "psycopg.connect": f"{_DATABASE}: psycopg.AsyncConnection.connect",
    "psycopg.Connection.connect": f"{_DATABASE}: psycopg.AsyncConnection.connect",
    "pymysql.connect": f"{_DATABASE}: aiomysql or asyncmy",
    "MySQLdb.connect": f"{_DATABASE}: aiomysql or asyncmy",
    "mysql.connector.connect": f"{_DATABASE}: mysql.connector.aio.connect",
    "oracledb.connect": f"{_DATABASE}: oracledb.connect_async",
    "pyodbc.connect": f"{_DATABASE}: aioodbc",
    "pymongo.MongoClient": f"{_DATABASE}: pymongo.AsyncMongoClient",
    "redis.Redis": f"{_DATABASE}: redis.asyncio.Redis",
    "redis.StrictRedis": f"{_DATABASE}: redis.asyncio.Redis",
    "redis.from_url": f"{_DATABASE}: redis.asyncio.from_url",
    "sqlalchemy.create_engine": f"{_DATABASE}: sqlalchemy.ext.asyncio.create_async_engine",
}
_SLEEP: Final = "time.sleep"


def check_blocking(
    source: Source, scopes: Scopes, project: Project, others: Iterable[str]
) -> Iterator[Found]:
    """Yield calls in ``async def`` that block.

    Args:
        source: The file.
        scopes: Its names.
        project: What it belongs to.
        others: Dotted names of further functions that block; ``.*`` at the end for all below.
    """
    known = {**_CURES, **dict.fromkeys(others, _THREAD)}
    statements = {node.value for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
    for node, scope in scopes.of.items():
        if not isinstance(node, ast.Call) or not isinstance(scope.node, ast.AsyncFunctionDef):
            continue
        name = project.resolved(node.func, scope)
        cure = None if name is None else _cure(name, known)
        if name is None or cure is None:
            continue
        shown = name.removeprefix("builtins.")
        edits = _sleep(source, scopes, node) if name == _SLEEP and node in statements else ()
        yield source.found(node, "KR201", f"{shown} blocks the event loop; {cure}", *edits)


def _cure(name: str, known: Mapping[str, str]) -> str | None:
    parts = name.split(".")
    wider = (".".join([*parts[:length], "*"]) for length in range(len(parts) - 1, 0, -1))
    return next((known[each] for each in (name, *wider) if each in known), None)


def _sleep(source: Source, scopes: Scopes, node: ast.Call) -> tuple[Edit, ...]:
    """Return the edits that make a statement await, if nothing else is called ``asyncio``."""
    meaning = scopes.top.names.get("asyncio", "")
    holder = scopes.of[node].holder("asyncio")
    edits = (source.instead(node.func, "await asyncio.sleep"),)
    if meaning == "asyncio" and holder is scopes.top:
        return edits
    if holder is not None:
        return ()
    place = _after_the_first_lines(source)
    return (*edits, Edit(start=place, end=place, text="import asyncio\n"))


def _after_the_first_lines(source: Source) -> int:
    """Return the index behind the docstring and what is imported from ``__future__``."""
    line = 1
    for node in source.tree.body:
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_future and not is_text:
            line = node.lineno
            decorators: list[ast.expr] = getattr(node, "decorator_list", [])
            line = min([line, *(each.lineno for each in decorators)])
            break
    return source.index(line, 0)
