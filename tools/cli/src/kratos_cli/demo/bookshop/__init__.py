"""The bookshop of the demo: what it keeps, and the service in front of it."""

from kratos_cli.demo.bookshop.service import BookshopService

__all__ = ["BookshopService"]
