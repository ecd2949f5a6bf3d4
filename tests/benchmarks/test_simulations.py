"""What the simulations show, in short: a property of each, with several seeds."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from benchmarks.simulations import shedding
from benchmarks.simulations.__main__ import SIMULATIONS, main
from benchmarks.simulations.limiters import BACK_ENDS, SUBJECTS
from benchmarks.simulations.plot import Line, Panel, save
from benchmarks.simulations.queue import BackEnd, Gate, Guarding, Phase, Run, Servers, simulate

from aegis.clock import ManualClock
from aegis.concurrency import FixedLimit

OVERLOAD = (Phase(seconds=10, load=0.5), Phase(seconds=30, load=2), Phase(seconds=20, load=0.5))
seeds = pytest.mark.parametrize("seed", [1, 2, 3])
back_ends = pytest.mark.parametrize("back_end", BACK_ENDS)


def overloaded(subject: str, back_end: str, seed: int) -> Run:
    """Twice the capacity from 10 s to 40 s."""
    end = BACK_ENDS[back_end]

    def make(clock: ManualClock, servers: Servers) -> Gate:
        return Guarding(SUBJECTS[subject](clock, servers, end))

    return simulate(make, end, OVERLOAD, seed=seed)


@seeds
@back_ends
def test_gradient2_serves_nearly_all_it_can_and_bounds_latency(back_end: str, seed: int) -> None:
    run = overloaded("Gradient2", back_end, seed)

    for start, end in [(10, 20), (20, 40)]:
        summary = run.between(start, end)
        assert summary.throughput > 0.94
        assert summary.p99 < 0.250
    assert run.between(45, 60).refused < 0.01


@seeds
@back_ends
def test_bbr_serves_most_it_can_and_bounds_latency(back_end: str, seed: int) -> None:
    run = overloaded("Bbr", back_end, seed)

    for start, end, bound in [(10, 20, 0.350), (20, 40, 0.300)]:  # it has to notice first
        summary = run.between(start, end)
        assert summary.throughput > 0.85
        assert summary.p99 < bound
    assert run.between(45, 60).refused < 0.05


@seeds
@back_ends
def test_vegas_bounds_latency(back_end: str, seed: int) -> None:
    summary = overloaded("Vegas", back_end, seed).between(15, 40)

    assert summary.throughput > 0.85
    assert summary.p99 < 0.250


@back_ends
def test_constants_of_go_do_not_bound_latency(back_end: str) -> None:
    assert overloaded("Bbr as in Go", back_end, seed=1).between(20, 40).p99 > 5


def test_queue_waits_as_theory_says() -> None:
    """One server at 70 %: a call takes service / (1 - 0.7) in the mean, exponentially."""
    run = simulate(
        lambda clock, servers: Guarding(FixedLimit(10_000)),
        BackEnd(servers=1, service=0.01),
        [Phase(seconds=1000, load=0.7)],
    )

    summary = run.between(50, 1000)

    assert summary.throughput == pytest.approx(0.7, rel=0.03)
    assert summary.median == pytest.approx(0.01 / 0.3 * 0.693, rel=0.1)
    assert summary.p99 == pytest.approx(0.01 / 0.3 * 4.605, rel=0.15)


def test_run_is_the_same_each_time_and_another_with_another_seed() -> None:
    first, second, other = (overloaded("Gradient2", "1x5ms", seed) for seed in (1, 1, 2))

    assert first.calls == second.calls
    assert first.calls != other.calls


@pytest.mark.slow
def test_plot_is_the_same_each_time(tmp_path: Path) -> None:
    panels = [Panel("y", [Line("a", [(0, 1), (1, 3)])], log=True), Panel("z", [Line("a", [])])]

    for name in ("one", "other"):
        save(tmp_path / name, panels, title="title")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert b"title" in (tmp_path / "one").read_bytes()


@pytest.mark.parametrize("name", SIMULATIONS)
def test_simulation_has_a_report(name: str) -> None:
    assert callable(importlib.import_module(SIMULATIONS[name]).report)


def test_unknown_simulation_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])

    assert "no simulation nothing" in capsys.readouterr().err


@seeds
@pytest.mark.parametrize("back_end", shedding.BACK_ENDS)
def test_shedding_gives_the_capacity_to_the_important_calls(back_end: str, seed: int) -> None:
    run = shedding.run("Shedder on Gradient2", back_end, seed=seed)

    critical, high, normal, low = (
        1 - run.between(25, 80, priority=priority).refused for priority in shedding.MIX
    )

    assert critical > 0.98
    assert high > 0.94
    assert high > normal > low
    assert low < 0.05
    total = run.between(25, 80)
    assert total.throughput > 0.85
    assert total.p99 < 0.250
    assert run.between(85, 100).refused < 0.02
