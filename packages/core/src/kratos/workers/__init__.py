"""One application on all cores: a supervisor, and workers that it starts and starts again.

The supervisor makes the listening sockets and keeps them, registers, and serves no calls. Each
worker is a process of its own that was started by exec, never by fork: it makes the application
anew, by the name of its factory. The two talk over one socket pair, and a worker leaves when the
supervisor's end of it closes.
"""

from kratos.workers._cores import available_cores
from kratos.workers._supervisor import supervise

__all__ = ["available_cores", "supervise"]
