"""structlog and Kratos: each one's records by way of the other.

``StructlogLogger`` is a logger of Kratos that writes to structlog, ``to_kratos`` lets structlog
write to a logger of Kratos.
"""

from kratos_structlog.logger import StructlogLogger
from kratos_structlog.sink import KratosSink, to_kratos

__all__ = ["KratosSink", "StructlogLogger", "to_kratos"]
