"""The client of gRPC's interoperability tests, grpc-go's, against our server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kratos.transport import Cause

pytestmark = [pytest.mark.go, pytest.mark.slow]

# All that this client has and no cloud is needed for.
CASES = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "pick_first_unary",
]
LOAD_CASES = ["orca_per_rpc", "orca_oob"]
SOAKS = ["rpc_soak", "channel_soak"]

LOAD_BALANCING = '{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}'


async def run(suite: Path, case: str, server: Any, *options: str) -> tuple[int | None, str]:
    """Run a case, and return the exit status, 0 for a good end, and what was logged."""
    host, _, port = server.address.rpartition(":")
    process = await asyncio.create_subprocess_exec(
        suite / "client",
        *("-server_host", host, "-server_port", port, "-test_case", case, *options),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, log = await process.communicate()
    return process.returncode, log.decode()


@pytest.mark.parametrize("case", CASES)
async def test_case_passes(case: str, our_server: Any, grpc_suite: Path) -> None:
    assert await run(grpc_suite, case, our_server) == (0, "")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tls", [True])
async def test_case_passes_over_tls(
    case: str, our_server: Any, certificates: Any, grpc_suite: Path
) -> None:
    secure = ("-use_tls", "-use_test_ca", "-ca_file", str(certificates.root))
    assert await run(grpc_suite, case, our_server, *secure) == (0, "")


@pytest.mark.parametrize("case", LOAD_CASES)
async def test_load_that_a_service_reports_is_understood(
    case: str, our_server: Any, grpc_suite: Path
) -> None:
    options = ("-service_config_json", LOAD_BALANCING)
    assert await run(grpc_suite, case, our_server, *options) == (0, "")


@pytest.mark.parametrize("case", SOAKS)
async def test_calls_from_many_threads_all_succeed(
    case: str, our_server: Any, grpc_suite: Path
) -> None:
    options = ("-soak_iterations", "60", "-soak_num_threads", "6")
    patient = (
        *("-soak_per_iteration_max_acceptable_latency_ms", "30000"),
        *("-soak_overall_timeout_seconds", "60"),
    )
    status, log = await run(grpc_suite, case, our_server, *options, *patient)
    assert status == 0, log


async def test_handler_of_a_cancelled_call_is_cancelled(our_server: Any, grpc_suite: Path) -> None:
    # Not in cancel_after_begin: there a call may be over before its handler runs.
    assert await run(grpc_suite, "cancel_after_first_response", our_server) == (0, "")
    call = await our_server.service.cancelled.get()
    assert call.cause is Cause.PEER_GONE


async def test_case_that_fails_is_noticed(our_server: Any, grpc_suite: Path) -> None:
    # Without the balancer that keeps what servers report, the client misses the report.
    status, log = await run(grpc_suite, "orca_per_rpc", our_server)
    assert status != 0
    assert "received ORCA load report" in log
