"""TLS as servers and clients of every transport take it: PEM files that may change, or bytes."""

from kratos.tls._context import client_context, server_context
from kratos.tls._options import CertificatePair, ClientTls, ServerTls
from kratos.tls._peer import PeerCertificate
from kratos.tls._pem import Pem
from kratos.tls._rotation import Material, Rotation
from kratos.tls._url import client_tls_of

__all__ = [
    "CertificatePair",
    "ClientTls",
    "Material",
    "PeerCertificate",
    "Pem",
    "Rotation",
    "ServerTls",
    "client_context",
    "client_tls_of",
    "server_context",
]
