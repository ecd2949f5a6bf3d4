"""loguru and Kratos: each one's records by way of the other.

``LoguruLogger`` is a logger of Kratos that writes to loguru, ``to_kratos`` lets loguru write to a
logger of Kratos.
"""

from kratos_loguru.logger import LoguruLogger
from kratos_loguru.sink import KratosSink, to_kratos

__all__ = ["KratosSink", "LoguruLogger", "to_kratos"]
