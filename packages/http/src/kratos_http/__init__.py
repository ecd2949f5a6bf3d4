"""HTTP server and client of Kratos."""

from kratos_http.asgi import Asgi
from kratos_http.connector import HttpConnector
from kratos_http.encoders import ErrorEncoder, ReplyEncoder, encode_error, encode_reply
from kratos_http.health import HealthPaths
from kratos_http.limits import Limits
from kratos_http.redirect import Redirect
from kratos_http.server import Filter, HttpServer
from kratos_http.streams import StreamOptions

__all__ = [
    "Asgi",
    "ErrorEncoder",
    "Filter",
    "HealthPaths",
    "HttpConnector",
    "HttpServer",
    "Limits",
    "Redirect",
    "ReplyEncoder",
    "StreamOptions",
    "encode_error",
    "encode_reply",
]
