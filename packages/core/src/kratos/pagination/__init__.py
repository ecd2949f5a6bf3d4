"""Lists in pages, by tokens that callers cannot forge, keep for ever or use elsewhere."""

from kratos.pagination.cursor import (
    CursorCodec,
    JsonCursor,
    MessageCursor,
    OffsetCursor,
    TupleCursor,
)
from kratos.pagination.follow import follow
from kratos.pagination.page import Page
from kratos.pagination.paginator import (
    PAGE_SIZE,
    PAGE_TOKEN,
    PageRequest,
    Paginator,
    is_page_size,
    is_page_token,
    page_size,
)

__all__ = [
    "PAGE_SIZE",
    "PAGE_TOKEN",
    "CursorCodec",
    "JsonCursor",
    "MessageCursor",
    "OffsetCursor",
    "Page",
    "PageRequest",
    "Paginator",
    "TupleCursor",
    "follow",
    "is_page_size",
    "is_page_token",
    "page_size",
]
