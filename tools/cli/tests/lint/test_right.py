"""What looks like a mistake and is none is left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Lint = Callable[..., list[str]]
Write = Callable[[Mapping[str, str]], None]

RIGHT = {
    "a name of one's own": """
class time:
    def sleep(self): ...
async def handler():
    time.sleep(1)
""",
    "a parameter": """
import time
async def handler(time):
    time.sleep(1)
""",
    "a name with two meanings": """
try:
    from time import sleep
except ImportError:
    from asyncio import sleep
async def handler():
    sleep(1)
""",
    "a name that another function sets": """
import time
def change():
    global time
    time = None
async def handler():
    time.sleep(1)
""",
    "a thread": """
import asyncio
async def handler(path):
    def read():
        return open(path).read()
    return await asyncio.to_thread(read)
""",
    "a class in an async function": """
import time
async def handler():
    class Slow:
        now = 1
        def wait(self):
            time.sleep(1)
    return Slow
""",
    "a generator": """
async def numbers():
    yield 1
async def handler():
    numbers()
    async for each in numbers():
        print(each)
""",
    "a decorated function": """
from somewhere import task
@task
async def work(): ...
async def handler():
    work()
""",
    "a function that is async here and not there": """
import sys
if sys.platform == "linux":
    async def work(): ...
else:
    def work(): ...
async def handler():
    work()
""",
    "coroutines for others": """
import asyncio
async def work(): ...
async def handler():
    tasks = [work(), work()]
    await asyncio.gather(*tasks)
    asyncio.create_task(work())
    return await (work() if tasks else asyncio.sleep(1))
""",
    "a method that is not known": """
class Base:
    async def work(self): ...
class Other:
    def work(self): ...
def choose(): ...
async def handler():
    worker = Base()
    worker = Other()
    worker.work()
    choose().work()
""",
    "options that are passed on": """
from kratos import App
def build(**options):
    return App(name="shop", **options)
""",
    "one's own class of the same name": """
from kratos import App as Base
class App(Base):
    def __init__(self, *, extra): ...
App(extra=1)
""",
    "a code that is computed": """
from kratos import Error
def fail(code, reason):
    raise Error(code, reason)
""",
    "one folder called data": """
from data import something
""",
    "a name that leads back to itself": """
from kratos import App
class Node:
    def __init__(self):
        self.next = self.next.next()
async def handler(self):
    node = node.next()
    node.run()
    first, second = Node(), second.first()
    Node().next.run()
""",
    "circles": """
from right import again
from right import again as right
again()
class A(B): ...
class B(A): ...
async def handler():
    A().work()
""",
}


@pytest.mark.parametrize("name", RIGHT)
def test_is_left_alone(write: Write, lint: Lint, name: str) -> None:
    write({"right.py": RIGHT[name]})
    assert lint("right.py", "--ignore", "KR002", status=0) == []


def test_layers_are_those_of_one_package(write: Write, lint: Lint) -> None:
    write({
        "src/shop/__init__.py": "",
        "src/shop/biz/__init__.py": "import user.data\nimport shop.data_format\nimport shop.conf",
        "src/shop/data/__init__.py": "import shop.biz\nimport shop.conf",
        "src/shop/conf/__init__.py": "",
        "src/shop/service/__init__.py": "import kratos_http",
        "src/user/__init__.py": "",
        "src/user/data/__init__.py": "",
    })  # fmt: skip
    assert lint("src", status=0) == []


def test_another_layout_has_no_layers(write: Write, lint: Lint) -> None:
    write(
        {"shop/__init__.py": "", "shop/data/__init__.py": "", "shop/server.py": "import shop.data"}
    )
    assert lint(status=0) == []
    write({"shop/biz.py": ""})
    assert len(lint()) == 1


def test_code_of_the_project_is_never_imported(write: Write, lint: Lint, folder: Path) -> None:
    leaves_a_trace = "open('imported', 'w').close()\n"
    write({
        "kratos_shop/__init__.py": leaves_a_trace,
        "kratos_http.py": leaves_a_trace,
        "use.py": "import kratos_shop, kratos_http\nkratos_shop.f(a=1)\nkratos_http.Server(b=1)",
    })  # fmt: skip
    assert lint(status=0) == []
    assert not (folder / "imported").exists()
