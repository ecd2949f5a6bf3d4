"""What servers of other packages are made of that serve an ``HttpApplication`` on our engine."""

from kratos_http._listening import Listening
from kratos_http.engine import Engine
from kratos_http.rest import Place

__all__ = ["Engine", "Listening", "Place"]
