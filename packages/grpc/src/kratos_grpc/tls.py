"""TLS of gRPC: the options are those of every transport."""

from kratos.tls import ClientTls, ServerTls

__all__ = ["ClientTls", "ServerTls"]
