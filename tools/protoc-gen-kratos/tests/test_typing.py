"""mypy strict and pyright strict read the output, and find the mistakes of its users."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos import Result, generate

pytestmark = [pytest.mark.slow]

TypeErrors = Callable[[Path], list[str]]
Write = Callable[[Result, Path], Path]

RIGHT = """
from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import assert_type

from kratos.errors import Error
from kratos.transport import Caller, CallOptions

from zoo.lang.v1.words_pb2 import None_, Words
from zoo.old.base_pb2 import Base, label, numbers
from zoo.shop.v1.errors_kratos import error_order_not_found, is_order_not_found
from zoo.shop.v1.order_kratos import ORDERS_GET_ORDER, Orders, OrdersClient
from zoo.shop.v1.order_pb2 import GetOrderRequest, Order
from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty


class Shop(Orders):
    async def get_order(self, request: GetOrderRequest, /) -> Order:
        if not request.HasField("order"):
            raise error_order_not_found(request.name, metadata={"name": request.name})
        return request.order

    async def delete_order(self, wanted: GetOrderRequest, /) -> Empty:
        return Empty()

    async def watch_orders(self, request: GetOrderRequest, /) -> AsyncIterator[Order]:
        yield Order()

    async def upload(self, requests: AsyncIterator[Order.Line], /) -> Order:
        return Order(lines=[line async for line in requests])

    async def chat(self, requests: AsyncIterator[GetOrderRequest], /) -> AsyncIterator[Order]:
        async for request in requests:
            yield request.order

    async def import_(self, request: Order, /) -> Order:
        return request

    async def print(self, request: GetOrderRequest, /) -> HttpBody:
        return HttpBody(content_type="text/plain", data=b"paid")

    async def methods(self, request: Order, /) -> Order:
        return request


async def use(caller: Caller) -> None:
    client = OrdersClient(caller)
    order = await client.get_order(GetOrderRequest(name="a"), options=CallOptions(timeout=1.0))
    assert_type(order, Order)
    async with client.watch_orders(GetOrderRequest()) as replies:
        async for reply in replies:
            assert_type(reply, Order)
    assert_type(await client.upload([Order.Line(sku="a")]), Order)
    async with client.chat() as call:
        await call.send(GetOrderRequest())
        async for reply in call:
            assert_type(reply, Order)
    assert_type(await caller.unary(ORDERS_GET_ORDER, GetOrderRequest(), None), Order)


def messages(order: Order, base: Base) -> None:
    assert_type(order.state, Order.State)
    assert_type(Order.State.Name(order.state), str)
    assert_type(Order.State.Value("STATE_OPEN"), Order.State)
    order.state = Order.STATE_OPEN
    order.history.append(Order.State.STATE_SENT)
    order.by_sku["a"].parts.add(sku="b")
    order.created = datetime.now().astimezone()
    order.wait = timedelta(seconds=1)
    assert_type(order.created.seconds, int)
    assert_type(order.labels["a"], str)
    Order(state="STATE_OPEN", lines=[{"sku": "a"}], created={"seconds": 1}, parent=None)
    match order.WhichOneof("payment"):
        case "card":
            assert_type(order.card, str)
        case "voucher":
            assert_type(order.voucher, Order.Line)
        case None:
            pass
    assert_type(base.Extensions[label], str)
    base.Extensions[numbers].append(1)
    keywords: dict[str, Any] = {"from": "here"}
    Words(**keywords)
    assert_type(None_.class_(), None_.class_)


def errors(error: Exception) -> bool:
    made: Error = error_order_not_found("nothing")
    return is_order_not_found(error) or is_order_not_found(made)
"""

WRONG = {
    "a reply of another type": (
        "async def f(c: OrdersClient) -> Empty: return await c.get_order(R())"
    ),
    "a request of another type": "async def f(c: OrdersClient) -> None: await c.get_order(Order())",
    "an incomplete service": "class Half(Orders): ...\nHalf()",
    "a field that is not there": "Order(nam='a')",
    "a value of another type": "Order(name=1)",
    "presence of what has none": "Order().HasField('name')",
    "a oneof that is not there": "Order().WhichOneof('payments')",
    "a number for an enum": "Order().state = 1",
    "assignment to a message": "Order().parent = Order()",
    "an extension of another message": "Order().Extensions[label]",
    "an unknown helper argument": "error_order_not_found('a', meta={})",
    "a coroutine where an iterator is due": (
        "class Shop(Orders):\n"
        "    async def watch_orders(self, request: R, /) -> AsyncIterator[Order]:\n"
        "        raise NotImplementedError"
    ),
}
WRONG_HEADER = """
from collections.abc import AsyncIterator
from google.protobuf.empty_pb2 import Empty
from zoo.old.base_pb2 import label
from zoo.shop.v1.errors_kratos import error_order_not_found
from zoo.shop.v1.order_kratos import Orders, OrdersClient
from zoo.shop.v1.order_pb2 import GetOrderRequest as R, Order
used = (AsyncIterator, Empty, label, error_order_not_found, Orders, OrdersClient, R, Order)
"""


def test_the_zoo_and_its_user_are_clean(
    zoo: tuple[bytes, list[str]], written: Write, type_errors: TypeErrors, tmp_path: Path
) -> None:
    package = written(generate(*zoo), tmp_path / "zoo")
    user = tmp_path / "user"
    user.mkdir()
    (user / "__init__.py").write_text(RIGHT)
    assert type_errors(package) == []
    assert type_errors(user) == []


def test_mistakes_of_users_are_found_by_both(
    zoo: tuple[bytes, list[str]], written: Write, type_errors: TypeErrors, tmp_path: Path
) -> None:
    written(generate(*zoo), tmp_path / "zoo")
    user = tmp_path / "user"
    user.mkdir()
    (user / "__init__.py").touch()
    for index, code in enumerate(WRONG.values()):
        (user / f"wrong{index}.py").write_text(WRONG_HEADER + code + "\n")
    found = type_errors(user)
    for index, mistake in enumerate(WRONG):
        by_mypy = [line for line in found if line.startswith(f"user/wrong{index}.py")]
        by_pyright = [line for line in found if line.startswith(str(user / f"wrong{index}.py"))]
        assert by_mypy, f"mypy accepts {mistake}"
        assert by_pyright, f"pyright accepts {mistake}"
