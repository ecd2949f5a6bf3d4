"""``WindowBreaker`` against a model that keeps everything, and counts anew each time."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aegis import BreakerState, ManualClock, Outcome, WindowBreaker

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED

MS = 1_000_000
LAST_CALLS, MINIMUM, PROBES, BUCKETS = 6, 3, 3, 4
SPAN, SLOW, OPEN_FOR, LONGEST, PROBE_TIMEOUT = 50 * MS, 75 * MS, 200 * MS, 700 * MS, 150 * MS
FAILURE_RATE, SLOW_RATE, GROWTH = 0.5, 0.6, 2


@dataclass(slots=True)
class Call:
    """One call that is out, as the model knows it."""

    token: int
    era: int
    start: int


@dataclass(slots=True)
class Model:
    """The rules, told as slowly as they may be."""

    by_time: bool
    state: BreakerState = CLOSED
    era: int = 0
    since: int = 0  # when the results below began
    results: list[tuple[int, bool, bool]] = field(default_factory=list[tuple[int, bool, bool]])
    until: int = 0
    trials: int = 0  # that ended badly since it was closed
    probes: list[int] = field(default_factory=list[int])  # tokens, in order
    left: dict[int, int] = field(default_factory=dict[int, int])

    def recent(self, now: int) -> list[tuple[int, bool, bool]]:
        """Return the results within the window."""
        if self.state is HALF_OPEN:
            return self.results
        if not self.by_time:
            return self.results[-LAST_CALLS:]
        newest = (now - self.since) // SPAN
        return [one for one in self.results if (one[0] - self.since) // SPAN > newest - BUCKETS]

    def become(self, state: BreakerState, now: int) -> None:
        if state is OPEN:
            self.until = now + min(OPEN_FOR * GROWTH**self.trials, LONGEST)
            self.trials += 1
        elif state is not HALF_OPEN and state is not FORCED_OPEN:
            self.trials = 0
        self.state, self.era, self.since = state, self.era + 1, now
        self.results, self.probes = [], []

    def decide(self, now: int) -> None:
        recent = self.recent(now)
        needed = PROBES if self.state is HALF_OPEN else MINIMUM
        if self.state not in (CLOSED, HALF_OPEN) or len(recent) < needed:
            return
        failed = sum(one[1] for one in recent) / len(recent)
        slow = sum(one[2] for one in recent) / len(recent)
        if failed >= FAILURE_RATE or slow >= SLOW_RATE:
            self.become(OPEN, now)
        elif self.state is HALF_OPEN:
            self.become(CLOSED, now)

    def give_up(self, now: int) -> None:
        for token in list(self.probes):
            if self.state is HALF_OPEN and now - self.left[token] >= PROBE_TIMEOUT:
                self.probes.remove(token)
                self.results.append((now, True, True))
                self.decide(now)

    def may(self, now: int) -> bool:
        if self.state is OPEN and now >= self.until:
            self.become(HALF_OPEN, now)
        self.give_up(now)
        if self.state is HALF_OPEN:
            return len(self.results) + len(self.probes) < PROBES
        return self.state in (CLOSED, FORCED_CLOSED)

    def done(self, call: Call, outcome: Outcome, now: int) -> None:
        if call.era != self.era:
            return
        self.give_up(now)
        if call.era != self.era:
            return
        if self.state is HALF_OPEN:
            if call.token not in self.probes:
                return
            self.probes.remove(call.token)
        if outcome is not Outcome.IGNORED:
            failed = outcome is not Outcome.SUCCESS
            self.results.append((now, failed, now - call.start > SLOW))
            self.decide(now)


class Machine(RuleBasedStateMachine):
    """Does the same to both, and compares what they say."""

    @initialize(by_time=st.booleans(), threadsafe=st.booleans())
    def begin(self, *, by_time: bool, threadsafe: bool) -> None:
        self.clock = ManualClock(0)
        self.model = Model(by_time)
        self.calls = list[Call]()
        self.changes = list[tuple[BreakerState, BreakerState]]()
        self.breaker = WindowBreaker(
            last_calls=None if by_time else LAST_CALLS,
            window=BUCKETS * SPAN / 1e9 if by_time else None,
            buckets=BUCKETS,
            minimum_calls=MINIMUM,
            failure_rate=FAILURE_RATE,
            slow_rate=SLOW_RATE,
            slow_call=SLOW / 1e9,
            open_for=OPEN_FOR / 1e9,
            growth=GROWTH,
            longest_open=LONGEST / 1e9,
            probes=PROBES,
            probe_timeout=PROBE_TIMEOUT / 1e9,
            on_change=self.note,
            clock=self.clock,
            threadsafe=threadsafe,
        )

    def note(self, old: BreakerState, new: BreakerState) -> None:
        self.changes.append((old, new))

    @rule(pause=st.sampled_from([1, 7, 20, 49, 50, 76, 150, 201, 701]))
    def wait(self, pause: int) -> None:
        self.clock.now += pause * MS

    @rule(times=st.integers(1, 5))
    def ask(self, times: int) -> None:
        for _ in range(times):
            may = self.model.may(self.clock.now)
            token = self.breaker.allow()
            assert (token is not None) == may
            if token is not None:
                self.calls.append(Call(token, self.model.era, self.clock.now))
                if self.model.state is HALF_OPEN:
                    self.model.probes.append(token)
                    self.model.left[token] = self.clock.now

    @precondition(lambda self: self.calls)
    @rule(draw=st.data(), outcome=st.sampled_from(Outcome))
    def end(self, draw: st.DataObject, outcome: Outcome) -> None:
        call = self.calls.pop(draw.draw(st.integers(0, len(self.calls) - 1)))
        self.model.done(call, outcome, self.clock.now)
        self.breaker.done(call.token, outcome)

    @rule(times=st.integers(1, 4), outcome=st.sampled_from(Outcome))
    def ask_and_end(self, times: int, outcome: Outcome) -> None:
        for _ in range(times):
            before = len(self.calls)
            self.ask(1)
            if len(self.calls) > before:
                call = self.calls.pop()
                self.model.done(call, outcome, self.clock.now)
                self.breaker.done(call.token, outcome)

    @rule(order=st.sampled_from([FORCED_OPEN, FORCED_CLOSED, CLOSED]))
    def order(self, order: BreakerState) -> None:
        orders = {
            FORCED_OPEN: self.breaker.force_open,
            FORCED_CLOSED: self.breaker.force_closed,
            CLOSED: self.breaker.reset,
        }
        self.model.become(order, self.clock.now)
        orders[order]()

    @invariant()
    def they_agree(self) -> None:
        now, stats = self.clock.now, self.breaker.stats()
        assert stats.state is self.breaker.state is self.model.state
        if stats.state not in (OPEN, FORCED_OPEN):  # whose counts are those of before
            recent = self.model.recent(now)
            counts = (stats.calls, stats.failed, stats.slow)
            assert counts == (
                len(recent),
                sum(one[1] for one in recent),
                sum(one[2] for one in recent),
            )
        assert stats.probing == len(self.model.probes) <= PROBES
        if stats.state is OPEN:
            assert stats.retry_after is not None
            assert abs(stats.retry_after - max(0, self.model.until - now) / 1e9) < 1e-6

    @invariant()
    def changes_are_a_chain(self) -> None:
        states = [CLOSED, *(new for _, new in self.changes)]
        assert [old for old, _ in self.changes] == states[:-1]
        assert states[-1] is self.breaker.state


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    # Without the phase that explains a failure, which is slow enough to run into the time limit.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
