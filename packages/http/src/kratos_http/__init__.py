"""HTTP server and client of Kratos."""

from kratos.tls import ClientTls
from kratos_http.asgi import Asgi
from kratos_http.client import HttpClient
from kratos_http.compression import Compression
from kratos_http.connector import HttpConnector
from kratos_http.cookies import Cookie, parse_cookies, set_cookie
from kratos_http.cors import Cors
from kratos_http.decoders import (
    Decoders,
    decode_body,
    decode_query,
    decode_variables,
)
from kratos_http.decompression import Decompression
from kratos_http.disposition import content_disposition
from kratos_http.encoders import Encoders, ErrorEncoder, ReplyEncoder, encode_error, encode_reply
from kratos_http.envelope import Envelope
from kratos_http.health import HealthPaths, health_check
from kratos_http.invocation import ClientReply, ClientRequest
from kratos_http.limits import Limits
from kratos_http.openapi import OpenApi
from kratos_http.proxies import Proxies, Proxy
from kratos_http.reconnect import Reconnect
from kratos_http.redirect import Redirect
from kratos_http.replies import StreamReply, json_reply, redirect_reply, text_reply
from kratos_http.request import Query, Request
from kratos_http.routes import RouteGroup
from kratos_http.server import Filter, HttpServer
from kratos_http.static import StaticFiles
from kratos_http.streams import StreamOptions

__all__ = [
    "Asgi",
    "ClientReply",
    "ClientRequest",
    "ClientTls",
    "Compression",
    "Cookie",
    "Cors",
    "Decoders",
    "Decompression",
    "Encoders",
    "Envelope",
    "ErrorEncoder",
    "Filter",
    "HealthPaths",
    "HttpClient",
    "HttpConnector",
    "HttpServer",
    "Limits",
    "OpenApi",
    "Proxies",
    "Proxy",
    "Query",
    "Reconnect",
    "Redirect",
    "ReplyEncoder",
    "Request",
    "RouteGroup",
    "StaticFiles",
    "StreamOptions",
    "StreamReply",
    "content_disposition",
    "decode_body",
    "decode_query",
    "decode_variables",
    "encode_error",
    "encode_reply",
    "health_check",
    "json_reply",
    "parse_cookies",
    "redirect_reply",
    "set_cookie",
    "text_reply",
]
