"""Bodies whose length nobody told, measured before a WSGI application reads them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import Final

from kratos_http._wsgi_environ import Environ

__all__ = ["measured"]

_IN_MEMORY: Final = 1024 * 1024  # bytes; what is longer goes to a file


@contextmanager
def measured(environ: Environ, read: Callable[[], bytes]) -> Generator[None]:
    """Let an application have the body as a file with a length, for the time of this block.

    PEP 3333 knows no body without ``CONTENT_LENGTH``: frameworks that keep to it, Django for one,
    take a body in chunks, or one that was decompressed on its way, for an empty one. Blocks.

    Args:
        environ: Of the application.
        read: Returns the next piece, ``b""`` at the end.

    Raises:
        OSError: The peer has gone, the body breaks a limit, or there is no room for it.
    """
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        while piece := read():
            file.write(piece)
        environ["CONTENT_LENGTH"] = str(file.tell())
        file.seek(0)
        environ["wsgi.input"] = file
        yield
