"""Copies are laid aside and sold."""

from __future__ import annotations

from bookshop.v1.bookshop_kratos import (
    BOOKSHOP_BUY_BOOK,
    BOOKSHOP_RESERVE_BOOK,
    BookshopClient,
    is_book_sold_out,
)
from bookshop.v1.bookshop_pb2 import BuyBookRequest, Reservation, ReserveBookRequest

from kratos import Error
from kratos_cli.demo.tour.guide import Guide

__all__ = ["fail", "sell"]


async def sell(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Lay the last copy aside for one reader, so that another does not get it."""
    emma = f"shelves/{shelf}/books/emma"
    await guide.call(
        BOOKSHOP_RESERVE_BOOK,
        shop.reserve_book,
        ReserveBookRequest(name=emma, customer="Ada"),
        show=_until,
    )
    await guide.refused(
        BOOKSHOP_BUY_BOOK,
        shop.buy_book,
        BuyBookRequest(name=emma, customer="Bob"),
        by=is_book_sold_out,
    )
    await guide.call(
        BOOKSHOP_BUY_BOOK,
        shop.buy_book,
        BuyBookRequest(name=emma, customer="Ada"),
        show=lambda receipt: receipt.dedication,
    )


async def fail(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Buy for nobody: the greeter's error comes through the bookshop."""
    nobody = BuyBookRequest(name=f"shelves/{shelf}/books/persuasion")
    await guide.refused(BOOKSHOP_BUY_BOOK, shop.buy_book, nobody, by=_name_missing)


def _name_missing(error: Error) -> bool:
    return error.reason == "NAME_MISSING"


def _until(reservation: Reservation) -> str:
    return f"for {reservation.customer}, until {reservation.expires_at.ToDatetime():%H:%M:%S} UTC"
