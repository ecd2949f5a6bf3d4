"""FastAPI on uvicorn, written as its documentation teaches."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.subjects.on_uvicorn import serve

app = FastAPI()


class HelloReply(BaseModel):
    """The greeting."""

    message: str


class Line(BaseModel):
    """One line of an order."""

    sku: str
    quantity: int
    price: float


class OrderRequest(BaseModel):
    """An order."""

    customer: str
    lines: list[Line]


class OrderReply(BaseModel):
    """What came of an order."""

    id: str
    total: float
    lines: list[Line]


@app.get("/hello/{name}")
async def hello(name: str) -> HelloReply:
    """Greet."""
    return HelloReply(message="Hello " + name)


@app.post("/orders")
async def order(request: OrderRequest) -> OrderReply:
    """Add an order up."""
    total = sum(line.quantity * line.price for line in request.lines)
    return OrderReply(id=request.customer, total=total, lines=request.lines)


if __name__ == "__main__":
    serve(app)
