"""A listener for whoever looks after a process: probes, metrics, and a look inside."""

from kratos_http.debug._metrics import Metrics, Negotiating, Rendering
from kratos_http.debug._pages import Page, json_page, text_page
from kratos_http.debug._server import DebugServer

__all__ = [
    "DebugServer",
    "Metrics",
    "Negotiating",
    "Page",
    "Rendering",
    "json_page",
    "text_page",
]
