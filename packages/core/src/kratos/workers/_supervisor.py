"""From an application to the supervisor of its workers."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from kratos.app._options import Options, Workers, check_workers
from kratos.errors import ConfigError, StartupError
from kratos.health import Health
from kratos.process import ties, worker_slot
from kratos.workers._cores import available_cores
from kratos.workers._pool import BOOT, GRACE, Pool

if TYPE_CHECKING:
    from kratos.app import App

__all__ = ["supervise", "supervising"]


def supervise(app: App, target: str, /, *, workers: Workers) -> None:
    """Make an application the supervisor of workers that serve in its place.

    Its services, servers, resources and hooks are left to the workers; what it keeps is its
    name, its place in the registry, its signals, its health and its ``host_servers``. SIGHUP
    replaces the workers one after another.

    Args:
        app: As its factory made it; not yet run.
        target: The factory: ``module:name`` or ``/path/file.py:name``.
        workers: How many, or ``"auto"`` for one on each core.

    Raises:
        ConfigError: The number does not fit the options.
        StartupError: Workers would not be safe here; says why and what to do.
    """
    check_workers(workers)
    count = available_cores() if workers == "auto" else workers
    if app.options.min_ready > count:
        raise ConfigError(f"min_ready={app.options.min_ready} can never be met by workers={count}")
    _require_safety()
    pool = Pool(target, app.options, workers=count, registered=app.want_registered, bus=app.bus)
    app.adapt(lambda options: supervising(options, pool))


def supervising(options: Options, pool: Pool) -> Options:
    """Return the options of the supervisor whose workers are ``pool``."""
    start, stop = options.startup_timeout, options.stop_timeout
    apart = options.registration == "worker"
    if stop is not None:
        stop += GRACE + (options.drain_delay if apart else 0.0)
    return replace(
        options,
        services=(),
        middleware=(),
        servers=(pool,),
        resources=(),
        # Checks that the factory added ask for what only workers have.
        health=Health(clock=options.clock),
        registrar=None if apart else options.registrar,
        require_registration=options.require_registration and not apart,
        # Longer than a worker's own limit, which tells more when it is over.
        startup_timeout=None if start is None else start + BOOT + GRACE,
        stop_timeout=stop,
        drain_delay=0.0 if apart else options.drain_delay,
        before_start=(),
        after_start=(),
        before_stop=(pool.retire,),
        after_stop=(),
    )


def _require_safety() -> None:
    if worker_slot() is not None:
        raise StartupError(
            "run(build) was called where a worker imports the module: put it under "
            "if __name__ == '__main__':"
        )
    if sys.platform != "linux":
        raise StartupError(
            "workers need Linux, where SO_REUSEPORT spreads connections evenly: "
            "run without workers, or one process per port behind a load balancer"
        )
    tied = ties()
    if tied:
        raise StartupError(
            f"workers are not started from a process that uses {', '.join(tied)}: the supervisor "
            "would hold threads and connections that serve nobody, and that a fork would break. "
            "Make such objects where the workers are: in a resource (App(resources=...)) or in a "
            "before_start hook, not while modules are imported, in build(), or before run(build)"
        )
