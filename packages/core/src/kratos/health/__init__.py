"""Health: one table of named checks behind HTTP probes, gRPC health and registrars.

Three questions are asked of the same table:

* *live*: would a restart of this process mend something? Only the process itself may answer,
  so such checks are plain functions without ``await``: a data base that is away must never
  restart every instance that depends on it.
* *startup*: may the application begin to serve?
* *ready*: shall calls come here now? No while starting, and from the first moment of stopping.
"""

from kratos.health._check import Check, CheckFunction, Kind, Result
from kratos.health._table import Health, Phase, Report, Status

__all__ = ["Check", "CheckFunction", "Health", "Kind", "Phase", "Report", "Result", "Status"]
