"""Orders as dataclasses, for the frameworks whose documentation teaches these.

Annotations are not deferred: BlackSheep takes them as they are.
"""

from dataclasses import dataclass

__all__ = ["HelloReply", "Line", "OrderReply", "OrderRequest", "added_up"]


@dataclass
class HelloReply:
    """The greeting."""

    message: str


@dataclass
class Line:
    """One line of an order."""

    sku: str
    quantity: int
    price: float


@dataclass
class OrderRequest:
    """An order."""

    customer: str
    lines: list[Line]


@dataclass
class OrderReply:
    """What came of an order."""

    id: str
    total: float
    lines: list[Line]


def added_up(request: OrderRequest) -> OrderReply:
    """Add an order up."""
    total = sum(line.quantity * line.price for line in request.lines)
    return OrderReply(id=request.customer, total=total, lines=request.lines)
