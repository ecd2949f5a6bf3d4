"""The application: one start order, one stop order, and every way out unwinds what was started.

Start: mount services, bind every port, before-start hooks, start servers, wait until they
serve, startup checks, readiness on, register, after-start hooks. Stop: readiness off,
before-stop hooks, deregister, drain delay, stop servers, end spawned tasks, after-stop hooks.
"""

from kratos.app._app import App
from kratos.app._context import app_info, current_app
from kratos.app._main import load, run
from kratos.app._options import Hook
from kratos.transport.server import AppInfo

__all__ = ["App", "AppInfo", "Hook", "app_info", "current_app", "load", "run"]
