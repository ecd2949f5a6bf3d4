"""Golden values come from Go: aegis v0.2 ``internal/cpu`` and ``ratelimit/bbr``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from math import exp
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import CpuLoad, ManualClock, cpu_load, highest
from aegis.concurrency.cgroup import CgroupUnreadable, cpu_max, cpus_in, find_cgroup, usage_of
from aegis.concurrency.load import Ema, GoEma, Meter, go_cpu_load
from aegis.concurrency.loop_lag import LoopLag

GO_TRACE = [
    *(50, 97, 142, 184, 224, 262, 298, 333, 366, 397, 427, 455, 482, 507, 531, 554, 576),
    *(597, 617, 636, 654, 671, 687, 702, 716, 730, 743, 755, 767, 778, 789, 799, 809),
]


class Cpu:
    """A CPU clock that is set by hand."""

    def __init__(self) -> None:
        self.used = 0
        self.error: Exception | None = None

    def __call__(self) -> int:
        if self.error is not None:
            raise self.error
        return self.used

    def meter(self, cpus: float = 1.0, name: str = "cpu") -> Meter:
        return Meter(name=name, read=self, cpus=cpus)


class CountedClock(ManualClock):
    """A clock that knows how often it was read."""

    readings = 0

    def __call__(self) -> int:
        self.readings += 1
        return super().__call__()


async def after(seconds: float) -> None:
    """Return when timers that are due before have run."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, passed.set)
    await passed.wait()


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write files below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def version_2(root: Path, own: str = "/", **changes: str) -> Path:
    base = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": f"0::{own}\n",
        f"{base}/cgroup.controllers": "cpuset cpu io memory pids\n",
        f"{base}/cpu.stat": "usage_usec 12345\nuser_usec 1\n",
        f"{base}/cpuset.cpus.effective": "0-3\n",
    }
    return tree(root, files | {f"{base}/{name}": text for name, text in changes.items()})


def version_1(root: Path, **changes: str) -> Path:
    base = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "4:cpu,cpuacct:/\n3:cpuset:/\n",
        f"{base}/cpu/cpu.cfs_quota_us": "20000\n",
        f"{base}/cpu/cpu.cfs_period_us": "100000\n",
        f"{base}/cpuacct/cpuacct.usage": "123456789\n",
        f"{base}/cpuset/cpuset.cpus": "0-2,4\n",
    }
    return tree(root, files | {f"{base}/{name}": text for name, text in changes.items()})


def test_exact_smoothing_follows_go_step_by_step() -> None:
    smooth = GoEma()

    assert [round(smooth.add(1.0, 0.5) * 1000) for _ in GO_TRACE] == GO_TRACE


@pytest.mark.parametrize(("usage", "end"), [(1.0, 981), (1.7, 981), (0.8, 781)])
def test_exact_smoothing_ends_below_what_it_is_given(usage: float, end: int) -> None:
    smooth = GoEma()

    assert round(smooth.add(usage, 0.5 * 500) * 1000) == end


def test_exact_smoothing_falls_below_the_threshold_in_four_steps() -> None:
    smooth = GoEma()
    smooth.add(1.0, 0.5 * 500)

    assert [round(smooth.add(0.0, 0.5) * 1000) for _ in range(4)] == [931, 884, 839, 797]


@given(parts=st.lists(st.floats(0.001, 5), min_size=1, max_size=20))
def test_smoothing_weighs_samples_by_their_time(parts: list[float]) -> None:
    whole, split = Ema(0.7), Ema(0.7)

    for part in parts:
        split.add(1.0, part)

    assert split.value == pytest.approx(whole.add(1.0, sum(parts)))
    assert whole.value == pytest.approx(1 - exp(-sum(parts) / 0.7))


def test_load_is_time_used_by_time_that_may_be_used() -> None:
    cpu, clock = Cpu(), ManualClock()
    load = CpuLoad(meters=[cpu.meter(cpus=2.0)], time_constant=1e-9, clock=clock)
    assert load() == 0.0

    cpu.used += 100_000_000
    clock.advance(0.1)

    assert load() == pytest.approx(0.5)


def test_exact_load_is_sampled_every_half_second() -> None:
    cpu, clock = Cpu(), ManualClock()
    load = CpuLoad(meters=[cpu.meter()], exact=True, clock=clock)
    load()
    seen: list[float] = []
    for _ in range(330):
        cpu.used += 50_000_000
        clock.advance(0.05)
        seen.append(load())

    assert [round(value * 1000) for value in seen[9::10]] == GO_TRACE
    assert seen[8] == 0.0


def test_highest_share_of_the_meters_counts() -> None:
    one, other, clock = Cpu(), Cpu(), ManualClock()
    meters = [one.meter(cpus=4.0), other.meter(cpus=1.0)]
    load = CpuLoad(meters=meters, time_constant=1e-9, clock=clock)
    load()

    one.used, other.used = 100_000_000, 90_000_000
    clock.advance(0.1)

    assert load() == pytest.approx(0.9)


def test_idleness_is_told_and_bursts_count_as_full() -> None:
    cpu, clock = Cpu(), ManualClock()
    load = CpuLoad(meters=[cpu.meter()], time_constant=1e-9, clock=clock)
    load()
    cpu.used += 300_000_000
    clock.advance(0.1)
    assert load() == 1.0

    clock.advance(0.1)

    assert load() == 0.0


def test_meter_that_fails_is_left_out_with_the_reason() -> None:
    one, other, clock = Cpu(), Cpu(), ManualClock()
    meters = [one.meter(name="first"), other.meter(name="second")]
    load = CpuLoad(meters=meters, time_constant=1e-9, clock=clock)
    load()
    one.error = OSError("gone")
    clock.advance(0.1)
    load()

    other.used += 80_000_000
    clock.advance(0.1)

    assert load() == pytest.approx(0.8)
    assert load.problems == ("first is no longer read: gone",)


def test_load_without_any_meter_is_zero_and_says_why() -> None:
    cpu, clock = Cpu(), ManualClock()
    load = CpuLoad(meters=[cpu.meter()], time_constant=1e-9, clock=clock)
    load()
    cpu.used += 100_000_000
    clock.advance(0.1)
    assert load() == 1.0

    cpu.error = ValueError("nonsense")
    clock.advance(0.1)

    assert load() == 0.0
    clock.advance(0.1)
    assert load() == 0.0
    assert load.problems == ("cpu is no longer read: nonsense",)


def test_load_of_this_process_is_seen() -> None:
    clock = ManualClock()
    load = CpuLoad(quota=0.000_001, clock=clock)  # whatever is used is more than that
    load()
    sum(range(10_000))

    clock.advance(1)

    assert load() > 0.9


def test_shared_load_is_one_and_leaves_no_thread() -> None:
    threads = set(threading.enumerate())

    assert cpu_load() is cpu_load()
    assert go_cpu_load() is not cpu_load()
    assert 0.0 <= cpu_load()() <= 1.0
    assert set(threading.enumerate()) == threads


def test_import_starts_and_reads_nothing() -> None:
    program = """
import sys, threading
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
import aegis
assert threading.active_count() == 1
assert not [path for path in opened if str(path).startswith(("/proc", "/sys"))], opened
from aegis.concurrency import load
assert load.cpu_load.cache_info().currsize == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_highest_of_several_signals() -> None:
    assert highest(lambda: 0.2, lambda: 0.7, lambda: 0.1)() == 0.7


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: CpuLoad(quota=0), "quota"),
        (lambda: CpuLoad(period=0), "period"),
        (lambda: CpuLoad(time_constant=0), "time_constant"),
        (lambda: LoopLag(full=0), "full"),
        (lambda: LoopLag(period=-1), "period"),
    ],
)
def test_option_out_of_range_is_named(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()


async def test_late_timer_is_lag() -> None:
    clock = ManualClock()
    async with LoopLag(full=0.1, period=0.001, time_constant=0.5, clock=clock) as lag:
        before = lag()
        clock.advance(10)  # as if the loop had been blocked for so long
        await after(0.002)

        assert before == 0.0
        assert lag.lag == pytest.approx(9.999, rel=0.01)
        assert lag() == pytest.approx(99.99, rel=0.01)


async def test_stopped_lag_leaves_no_timer_and_is_zero() -> None:
    clock = CountedClock()
    lag = LoopLag(period=0.001, clock=clock)
    lag.start()
    lag.start()
    clock.advance(10)
    await after(0.002)
    assert lag() > 0

    lag.stop()
    lag.stop()
    readings = clock.readings
    await after(0.005)

    assert clock.readings == readings
    assert lag() == 0.0


def test_lag_needs_a_loop() -> None:
    with pytest.raises(RuntimeError):
        LoopLag().start()


def test_lag_begins_anew_in_another_loop_when_the_first_one_is_closed() -> None:
    clock = ManualClock()
    lag = LoopLag(period=0.001, clock=clock)

    async def measure() -> float:
        lag.start()
        before = lag()
        clock.advance(10)
        await after(0.002)
        assert lag() > 0
        return before

    assert [asyncio.run(measure()) for _ in range(2)] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-2,4", {0, 1, 2, 4}),
        ("03,1-3", {1, 2, 3}),
        ("0-3\n", {0, 1, 2, 3}),
        ("7", {7}),
        ("", set[int]()),
    ],
)
def test_list_of_cpus_is_read(text: str, cpus: set[int]) -> None:
    assert cpus_in(text) == cpus


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "1,,2", "1;2"])
def test_other_list_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CPU"):
        cpus_in(text)


def test_share_of_time_of_version_2() -> None:
    assert cpu_max("20000 100000") == 0.2
    assert cpu_max("max 100000") is None
    with pytest.raises(ValueError, match="two fields"):
        cpu_max("invalidformat")
    with pytest.raises(ValueError, match="period"):
        cpu_max("20000 0")
    with pytest.raises(ValueError, match="quota"):
        cpu_max("0 100000")  # a share of nothing is no number of CPUs to divide by


def test_time_used_is_nanoseconds_in_both_versions() -> None:
    assert usage_of("usage_usec 12345\nuser_usec 3\n") == 12_345_000
    assert usage_of("123456789\n") == 123_456_789
    with pytest.raises(ValueError, match="usage_usec"):
        usage_of("user_usec 3\n")


def test_version_2_without_limit_counts_the_cpus(tmp_path: Path) -> None:
    found = find_cgroup(version_2(tmp_path, **{"cpu.max": "max 100000"}))

    assert (found.quota, found.used()) == (4.0, 12_345_000)


def test_version_2_takes_its_own_group_before_the_root(tmp_path: Path) -> None:
    root = version_2(
        tmp_path,
        "/system.slice/app",
        **{
            "system.slice/app/cpu.stat": "usage_usec 7\n",
            "system.slice/app/cpu.max": "150000 100000",
            "system.slice/cpu.stat": "usage_usec 8\n",
            "system.slice/cpu.max": "max 100000",
        },
    )

    found = find_cgroup(root)

    assert (found.quota, found.used()) == (1.5, 7_000)


def test_tightest_of_the_parents_limits_counts(tmp_path: Path) -> None:
    root = version_2(
        tmp_path,
        "/pod/app",
        **{
            "pod/app/cpu.stat": "usage_usec 7\n",
            "pod/app/cpu.max": "200000 100000",
            "pod/cpu.stat": "usage_usec 8\n",
            "pod/cpu.max": "50000 100000",
        },
    )

    found = find_cgroup(root)

    assert (found.quota, found.used()) == (0.5, 8_000)


@pytest.mark.parametrize("own", ["/not/here", "/../../outside"])
def test_path_of_another_name_space_means_the_root(tmp_path: Path, own: str) -> None:
    assert find_cgroup(version_2(tmp_path, own)).used() == 12_345_000


def test_limit_above_the_number_of_cpus_is_that_number(tmp_path: Path) -> None:
    assert find_cgroup(version_2(tmp_path, **{"cpu.max": "900000 100000"})).quota == 4.0


def test_version_1_has_share_and_usage(tmp_path: Path) -> None:
    found = find_cgroup(version_1(tmp_path))

    assert (found.quota, found.used()) == (0.2, 123_456_789)


def test_version_1_without_limit_counts_the_cpus(tmp_path: Path) -> None:
    assert find_cgroup(version_1(tmp_path, **{"cpu/cpu.cfs_quota_us": "-1"})).quota == 4.0


def test_version_1_without_a_set_counts_the_cpus_that_were_used(tmp_path: Path) -> None:
    root = version_1(
        tmp_path,
        **{
            "cpu/cpu.cfs_quota_us": "-1",
            "cpuset/cpuset.cpus": "",
            "cpuacct/cpuacct.usage_percpu": "100 0 200 300",
        },
    )

    assert find_cgroup(root).quota == 3.0


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("cpu/cpu.cfs_period_us", "0", "period"),
        ("cpu/cpu.cfs_period_us", "x", "invalid literal"),
        ("cpu/cpu.cfs_quota_us", "", "invalid literal"),
        ("cpuset/cpuset.cpus", "a", "CPU"),
        ("cpuacct/cpuacct.usage", "", "usage"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(CgroupUnreadable, match=reason):
        find_cgroup(version_1(tmp_path, **{name: text}))


def test_machine_without_groups_is_told(tmp_path: Path) -> None:
    with pytest.raises(CgroupUnreadable, match="cgroup"):
        find_cgroup(tmp_path)


def test_membership_of_another_form_is_told(tmp_path: Path) -> None:
    root = version_2(tmp_path)
    (root / "proc/self/cgroup").write_text("nonsense\n", encoding="ascii")

    with pytest.raises(CgroupUnreadable, match="nonsense"):
        find_cgroup(root)
